//! What leaves for a client or a broker that is not what came.

use std::collections::HashSet;

use seqgate_protocol::session::Local;

use super::World;
use super::script::{Part, Request, Said, read_answer};

/// An answer of ours says success for each partition that was asked for, and the cluster has said so of that batch.
pub fn check_local(world: &World, cluster: usize, asked: &Request, local: &Local, now_ms: Option<u64>) {
    let said = read_answer(asked.version, asked.correlation_id, local.frame()).expect("an answer of ours can be read");
    assert_eq!(said.len(), asked.parts.len());
    for part in &asked.parts {
        check_said(world, cluster, part, &said, now_ms);
    }
}

fn check_said(world: &World, cluster: usize, part: &Part, said: &[Said], now_ms: Option<u64>) {
    let said = said.iter().find(|said| said.place == part.place).expect("it is answered");
    let name = part.name.as_ref().expect("a batch of a producer with sequences");
    assert_eq!(said.error, 0);
    let is_proven = world.truths[cluster].proves(name, said.base_offset, now_ms);
    assert!(is_proven, "no proof of {name:?} at {}\n{:#?}", said.base_offset, world.truths[cluster]);
}

/// What stays of a request is as it was, and what does not is proven.
pub fn check_stripped(world: &World, cluster: usize, asked: &Request, left: &Request) {
    assert_eq!((left.version, left.correlation_id, left.acks), (asked.version, asked.correlation_id, asked.acks));
    let mut staying = left.parts.iter().peekable();
    let mut kept = 0;
    for part in &asked.parts {
        if staying.next_if(|stays| stays.place == part.place && stays.bytes == part.bytes).is_none() {
            let name = part.name.as_ref().expect("a batch of a producer with sequences");
            assert!(world.truths[cluster].proves_at_all(name, world.now_ms), "{name:?} is left out");
            kept += 1;
        }
    }
    assert!(staying.next().is_none() && kept > 0 && !left.parts.is_empty());
}

/// Each partition that was asked for is answered once: by the broker where it was sent, and from its proof where not.
pub fn check_merged(world: &World, cluster: usize, [asked, sent]: [&Request; 2], broker: &[Said], merged: &[u8]) {
    let said = read_answer(asked.version, asked.correlation_id, merged).expect("a merged answer can be read");
    let places: HashSet<_> = said.iter().map(|said| &said.place).collect();
    assert_eq!(places.len(), said.len(), "a partition is answered twice");
    for part in &asked.parts {
        let is_sent = sent.parts.iter().any(|sent| sent.place == part.place);
        if !is_sent {
            check_said(world, cluster, part, &said, None);
        }
    }
    for theirs in broker {
        let ours = said.iter().find(|said| said.place == theirs.place).expect("what a broker says is passed on");
        assert_eq!((ours.error, ours.base_offset), (theirs.error, theirs.base_offset));
    }
    assert!(said.iter().all(|said| asked.parts.iter().any(|part| part.place == said.place)), "nobody asked for it");
}
