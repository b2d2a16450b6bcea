//! What leaves for a client or a broker that is not what came.

use std::collections::HashSet;

use seqgate_protocol::session::Local;

use super::World;
use super::own::Told;
use super::script::{Name, Part, Request, Said, read_answer};

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

/// A refusal of ours is for the one batch that was asked for, whose leader has said that it expects an earlier one.
pub fn check_refused<'a>(asked: &'a Request, said: &[Said], told: Option<&Told>) -> &'a Name {
    let ([part], [said], Some(told)) = (&asked.parts[..], said, told) else {
        panic!("refused without a word of its leader: {asked:?}")
    };
    assert!(said.place == part.place && (said.error, said.base_offset) == (45, -1), "{said:?}");
    let name = part.name.as_ref().expect("a batch of a producer with sequences");
    let ahead = name.first.wrapping_sub(told.last_sequence) & i32::MAX;
    let is_of_it = told.place == name.place && (told.producer, told.epoch) == (name.producer, name.epoch);
    assert!(is_of_it && told.leads && told.last_sequence >= 0 && (2..1 << 30).contains(&ahead), "{name:?}, {told:?}");
    name
}

/// An answer goes out as it came, but for refused batches that turned out to stand in the log.
pub fn check_amended(broker: &[Said], told: &[Said], resolved: &[(Name, i64)]) {
    assert_eq!(broker.len(), told.len());
    broker.iter().zip(told).for_each(|(theirs, ours)| check_passed_on(theirs, ours, resolved));
}

fn check_passed_on(theirs: &Said, ours: &Said, resolved: &[(Name, i64)]) {
    assert_eq!(theirs.place, ours.place);
    match resolved.iter().find(|(name, _)| name.place == theirs.place) {
        Some((_, offset)) if theirs.error == 45 => assert_eq!((ours.error, ours.base_offset), (0, *offset)),
        Some(_) | None => assert_eq!((ours.error, ours.base_offset), (theirs.error, theirs.base_offset)),
    }
}

/// Each partition that was asked for is answered once: by the broker where it was sent, and from its proof where not.
pub fn check_merged(
    world: &World,
    cluster: usize,
    [asked, sent]: [&Request; 2],
    broker: &[Said],
    merged: &[u8],
    resolved: &[(Name, i64)],
) {
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
        check_passed_on(theirs, ours, resolved);
    }
    assert!(said.iter().all(|said| asked.parts.iter().any(|part| part.place == said.place)), "nobody asked for it");
}
