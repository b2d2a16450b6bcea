//! What clients and brokers can make the proxy hold.

use std::io::Write;

use bytes::Bytes;

use crate::scene::{Peer, Scene, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

pub(crate) const MIB: usize = 1 << 20;

/// What the block takes into which a connection reads.
pub(crate) const BLOCK_BYTES: u64 = (128 << 10) + 64;

/// What the proxy may take beside `memory_max`: threads' stacks, what the allocator keeps free, connections.
pub(crate) const BESIDE: usize = 8 * MIB;

/// Writes until nothing more goes, or `most` bytes have gone.
pub(crate) fn stuff(peer: &Peer, bytes: &[u8], most: usize) -> usize {
    peer.0.set_nonblocking(true).unwrap();
    let (mut sent, mut refused) = (0, 0);
    while sent < most && refused < 10_000 {
        let at = sent % bytes.len();
        match (&peer.0).write(&bytes[at..]) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(_) => {
                refused += 1;
                std::thread::yield_now();
            }
        }
    }
    peer.0.set_nonblocking(false).unwrap();
    sent
}

#[test]
fn a_client_that_reads_nothing_holds_the_broker_back_not_memory() {
    let scene = Scene::new();
    let before = scene.resident_bytes();
    let (mut client, mut served) = scene.pair();
    client.send(&REQUEST);
    served.expect(&REQUEST);
    let answer = response(7, &vec![0; 256 * MIB - 4]);
    let taken = stuff(&served, &answer, answer.len());
    assert!(taken < 64 * MIB, "{taken} bytes were taken from the broker");
    let grown = scene.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes");
    drop((client, served));
    scene.wait_for_metric("connections_open", 1);
    scene.wait_for_metric("buffer_bytes", 0);
    scene.end(&[]);
}

#[test]
fn a_broker_that_reads_nothing_holds_the_client_back_not_memory() {
    let scene = Scene::new();
    let before = scene.resident_bytes();
    let clients: Vec<_> = (0..8).map(|_| scene.pair()).collect();
    let sent = produce_one(1, batch_of(7, 0, 0, &[Bytes::from(vec![b'x'; 32 * MIB])]));
    for (client, _served) in &clients {
        let taken = stuff(client, &sent, sent.len());
        assert!(taken < 16 * MIB, "{taken} bytes were taken from the client");
    }
    let grown = scene.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes");
    drop(clients);
    scene.wait_for_metric("buffer_bytes", 0);
    scene.end(&[]);
}

#[test]
fn frames_that_stay_unfinished_keep_nobody_from_being_served() {
    let scene = Scene::with("[limits]\nmemory_max = \"16MiB\"\nhold_bytes_max = \"2MiB\"");
    let before = scene.resident_bytes();
    // Of two batches, of which the second comes last: only whole can they be decided on.
    let large = |base| {
        let batch_of = |bytes| Some(batch_of(7, 0, base, &[Bytes::from(vec![b'x'; bytes])]));
        produce(9, 1, -1, &[("t", 0, batch_of(2 * MIB - 400)), ("t", 1, batch_of(10))])
    };
    let answer = |offset| produced(9, 1, &[("t", 0, 0, offset), ("t", 1, 0, offset)]);
    assert!((MIB..=2 * MIB).contains(&large(0).len()));
    let mut halves: Vec<_> = (1..100).map(|base| (scene.pair(), large(base))).collect();
    for ((client, _served), request) in &mut halves {
        client.send(&request[..MIB / 2]);
    }
    scene.wait_for("as many requests", || scene.metric("requests_total{api=\"Produce\"}") == 99);
    assert!(scene.metric("buffer_bytes") <= 16 * MIB as u64);
    let grown = scene.resident_bytes().saturating_sub(before);
    assert!(grown <= 16 * MIB + BESIDE, "{grown} bytes");
    // Whoever comes now is served all the same.
    let (mut client, mut served) = scene.pair();
    exchange(&mut client, &mut served, &REQUEST, &RESPONSE);
    exchange(&mut client, &mut served, &produce_one(1, batch(8, 0, 1)), &produced_one(1, 0, 10));
    let (mut sender, sent) = (client.0.try_clone().unwrap(), large(0));
    let sending = std::thread::spawn(move || sender.write_all(&sent).unwrap());
    served.expect(&large(0));
    sending.join().unwrap();
    served.send(&answer(11));
    client.expect(&answer(11));
    // And all of them come through in the end.
    for ((mut client, mut served), request) in halves {
        let (mut sender, sent) = (client.0.try_clone().unwrap(), request.clone());
        let sending = std::thread::spawn(move || sender.write_all(&sent[MIB / 2..]).unwrap());
        served.expect(&request);
        sending.join().unwrap();
        served.send(&answer(11));
        client.expect(&answer(11));
    }
    scene.wait_for_metric("connections_open", 2);
    scene.wait_for_metric("buffer_bytes", 0);
    drop((client, served));
    scene.end(&[]);
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let large = produce_one(1, batch_of(7, 0, 0, &[Bytes::from(vec![b'x'; MIB])]));
    client.send(&large);
    served.expect(&large);
    served.send(&produced_one(1, 0, 0));
    client.expect(&produced_one(1, 0, 0));
    scene.wait_for_metric("buffer_bytes", 0);
    // A frame that has begun holds what it needs, and not what the one before it needed.
    let next = produce_one(2, batch_of(7, 0, 1, &[Bytes::from(vec![b'x'; MIB])]));
    client.send(&[&next[..], &[0, 0]].concat());
    served.expect(&next);
    served.send(&produced_one(2, 0, 1));
    client.expect(&produced_one(2, 0, 1));
    scene.wait_for_metric("buffer_bytes", BLOCK_BYTES);
    scene.end(&[]);
}
