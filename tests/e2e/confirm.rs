//! Proofs that are older than the broker's generation: the log is asked whether they are true of it still.

use crate::log::{LIST_OFFSETS, asked_earlier_offset, asked_log, asked_offset, fetched, listed, own, stored};
use crate::scene::{Peer, Scene, acknowledge, exchange};
use crate::wire::*;

const NOT_ALLOWED: i16 = 29;

/// Two batches are acknowledged at 10 and 11, and the broker is lost.
fn acknowledged_before(scene: &Scene) -> (Peer, Peer) {
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    acknowledge(&mut client, &mut served, 7, 1, 11);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 1);
    scene.pair()
}

#[test]
fn proof_of_an_older_generation_is_held_against_the_log_once() {
    let scene = Scene::new();
    let (mut client, mut served) = acknowledged_before(&scene);
    client.send(&produce_one(1, batch(7, 0, 1)));
    let asked = asked_log(&mut served, 10);
    client.silent();
    served.send(&fetched(asked, 0, 12, &[stored(&batch(7, 0, 1), 10), stored(&batch(7, 1, 1), 11)]));
    client.expect(&produced_one(1, 0, 10));
    assert_eq!(own(&scene, "confirm", "found"), 1);
    // The other one was in the same answer.
    for (base, offset) in [(1, 11), (0, 10)] {
        client.send(&produce_one(2, batch(7, base, 1)));
        client.expect(&produced_one(2, 0, offset));
    }
    served.silent();
    scene.end(&[]);
}

/// T7: the broker was wiped, or has lost the end of its log, and keeps its cluster id and addresses.
#[test]
fn retry_goes_to_a_broker_whose_log_has_lost_it() {
    let other = batch(9, 0, 1);
    let cases: [(&str, i16, i64, &[Vec<u8>]); 4] = [
        ("nothing is there", 0, 0, &[]),
        ("the log ends before it", 1, -1, &[]),
        ("another batch is at its place", 0, 11, &[stored(&other, 10)]),
        ("it may not be committed again", 0, 10, &[stored(&batch(7, 0, 1), 10)]),
    ];
    for (name, error, high_watermark, records) in cases {
        println!("{name}");
        let scene = Scene::new();
        let (mut client, mut served) = acknowledged_before(&scene);
        let retry = produce_one(1, batch(7, 0, 1));
        client.send(&retry);
        let asked = asked_log(&mut served, 10);
        served.send(&fetched(asked, error, high_watermark, records));
        served.expect(&retry);
        served.send(&produced_one(1, 0, 0));
        client.expect(&produced_one(1, 0, 0));
        scene.end(&[]);
    }
}

#[test]
fn who_may_not_read_is_answered_for_what_the_log_reaches_beyond() {
    for (end, is_beyond) in [(12, true), (11, false)] {
        let scene = Scene::new();
        let (mut client, mut served) = acknowledged_before(&scene);
        let retry = produce_one(1, batch(7, 1, 1));
        client.send(&retry);
        let asked = asked_log(&mut served, 11);
        served.send(&fetched(asked, NOT_ALLOWED, -1, &[]));
        // The same cluster, and the same topic as far as it is known.
        let asked = served.frame();
        assert_eq!(asked[4..8], [METADATA.to_be_bytes(), 4_i16.to_be_bytes()].concat());
        let port = scene.proxy.address.port();
        served.send(&metadata_answer(correlation_of(&asked), "127.0.0.1", port, "c"));
        let asked = served.frame();
        assert_eq!(asked[4..6], LIST_OFFSETS.to_be_bytes());
        assert_eq!(asked[asked.len() - 8..], (-1_i64).to_be_bytes());
        served.send(&listed(correlation_of(&asked), 0, end));
        if is_beyond {
            client.expect(&produced_one(1, 0, 11));
            served.silent();
            assert_eq!(own(&scene, "confirm", "log_end"), 1);
        } else {
            served.expect(&retry);
            served.send(&produced_one(1, 0, 11));
            client.expect(&produced_one(1, 0, 11));
            assert_eq!(own(&scene, "confirm", "not_found"), 1);
        }
        scene.end(&[]);
    }
}

/// That the log reaches beyond is said of whatever stands there now: it has to do for those who may not read, and for nobody else.
#[test]
fn who_may_read_looks_at_what_the_log_was_only_seen_to_reach_beyond() {
    let scene = Scene::new();
    let (mut client, mut served) = acknowledged_before(&scene);
    client.send(&produce_one(1, batch(7, 1, 1)));
    let asked = asked_log(&mut served, 11);
    served.send(&fetched(asked, NOT_ALLOWED, -1, &[]));
    let port = scene.proxy.address.port();
    let asked = correlation_of(&served.frame());
    served.send(&metadata_answer(asked, "127.0.0.1", port, "c"));
    let asked = correlation_of(&served.frame());
    served.send(&listed(asked, 0, 12));
    client.expect(&produced_one(1, 0, 11));
    // The same client is told of the other one, without more ado.
    client.send(&produce_one(2, batch(7, 0, 1)));
    client.expect(&produced_one(2, 0, 10));
    let (mut reader, mut read) = scene.pair();
    let retry = produce_one(3, batch(7, 0, 1));
    reader.send(&retry);
    let asked = asked_log(&mut read, 10);
    read.send(&fetched(asked, 0, 12, &[stored(&batch(9, 0, 1), 10)]));
    read.expect(&retry);
    read.send(&produced_one(3, 0, 12));
    reader.expect(&produced_one(3, 0, 12));
    scene.end(&[]);
}

/// What one finds, others need not look for.
#[test]
fn one_log_is_looked_into_once_for_all_who_wait() {
    let scene = Scene::new();
    let (first, mut served) = acknowledged_before(&scene);
    let (second, other_served) = scene.pair();
    let (mut first, mut second) = (first, second);
    first.send(&produce_one(1, batch(7, 0, 1)));
    let asked = asked_log(&mut served, 10);
    second.send(&produce_one(2, batch(7, 1, 1)));
    // It is there, and waits: a request that comes after it would not be passed on before it.
    scene.wait_for("both requests", || scene.metric("requests_total{api=\"Produce\"}") >= 4);
    served.send(&fetched(asked, 0, 12, &[stored(&batch(7, 0, 1), 10), stored(&batch(7, 1, 1), 11)]));
    first.expect(&produced_one(1, 0, 10));
    second.expect(&produced_one(2, 0, 11));
    other_served.silent();
    assert_eq!(own(&scene, "confirm", "found"), 1);
    scene.end(&[]);
}

/// T7: the log has lost its end, and what comes again lands where it stood before. That the broker takes one says nothing of
/// those behind it.
#[test]
fn retry_behind_one_that_the_log_has_lost_is_held_against_the_log_as_well() {
    let scene = Scene::new();
    let (mut client, mut served) = acknowledged_before(&scene);
    for (base, offset) in [(0, 10), (1, 11)] {
        let retry = produce_one(1, batch(7, base, 1));
        client.send(&retry);
        let asked = asked_log(&mut served, offset);
        served.send(&fetched(asked, 0, offset, &[]));
        served.expect(&retry);
        served.send(&produced_one(1, 0, offset));
        client.expect(&produced_one(1, 0, offset));
    }
    // Of what it has acknowledged now nothing is asked.
    for (base, offset) in [(0, 10), (1, 11)] {
        client.send(&produce_one(2, batch(7, base, 1)));
        client.expect(&produced_one(2, 0, offset));
    }
    assert_eq!(own(&scene, "confirm", "not_found"), 2);
    served.silent();
    scene.end(&[]);
}

/// A proof that the log did not bear out is no better behind the broker's refusal.
#[test]
fn refusal_of_what_the_log_has_lost_goes_through() {
    let scene = Scene::new();
    let (mut client, mut served) = acknowledged_before(&scene);
    let retry = produce_one(1, batch(7, 0, 1));
    client.send(&retry);
    let asked = asked_log(&mut served, 10);
    served.send(&fetched(asked, 1, -1, &[]));
    served.expect(&retry);
    served.send(&produced_one(1, 45, -1));
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, -1));
    let asked = asked_earlier_offset(&mut served);
    served.send(&listed(asked, 0, -1));
    client.expect(&produced_one(1, 45, -1));
    scene.end(&[]);
}

/// The broker has not said that it knows the producer: its other proofs are held against the log as before.
#[test]
fn batch_found_behind_a_refusal_confirms_no_other() {
    let scene = Scene::new();
    let (mut client, mut served) = acknowledged_before(&scene);
    let retry = produce_one(1, batch(7, 0, 1));
    client.send(&retry);
    let asked = asked_log(&mut served, 10);
    served.send(&fetched(asked, 6, -1, &[]));
    served.expect(&retry);
    served.send(&produced_one(1, 45, -1));
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, 10));
    let asked = asked_log(&mut served, 10);
    served.send(&fetched(asked, 0, 11, &[stored(&batch(7, 0, 1), 10)]));
    client.expect(&produced_one(1, 0, 10));
    client.send(&produce_one(2, batch(7, 1, 1)));
    let asked = asked_log(&mut served, 11);
    served.send(&fetched(asked, 0, 12, &[stored(&batch(7, 1, 1), 11)]));
    client.expect(&produced_one(2, 0, 11));
    scene.end(&[]);
}

/// T38: of a request that is too large to be held nothing is looked up before it goes.
#[test]
fn refusal_of_a_batch_too_large_to_be_held_is_held_against_the_log() {
    let scene = Scene::with("[limits]\nhold_bytes_max = \"4KiB\"");
    let (mut client, mut served) = scene.pair();
    let large = batch_of(7, 0, 1, &[bytes::Bytes::from(vec![b'x'; 50_000])]);
    let sent = produce_one(1, large.clone());
    client.send(&sent);
    served.expect(&sent);
    served.send(&produced_one(1, 45, -1));
    let asked = asked_offset(&mut served);
    served.send(&listed(asked, 0, 10));
    let asked = asked_log(&mut served, 10);
    served.send(&fetched(asked, 0, 11, &[stored(&large, 10)]));
    client.expect(&produced_one(1, 0, 10));
    assert_eq!(own(&scene, "resolve", "found"), 1);
    scene.end(&[]);
}

/// T36: what an answer and its looks would take is more than a connection may keep.
#[test]
fn refusals_without_room_for_their_looks_go_through() {
    let scene = Scene::with("[limits]\nhold_bytes_max = \"1KiB\"");
    let (mut client, mut served) = scene.pair();
    let large = bytes::Bytes::from(vec![b'x'; 200]);
    let parts: Vec<_> = (0..8).map(|at| ("t", at, Some(batch_of(7, 0, 1, std::slice::from_ref(&large))))).collect();
    let refusals: Vec<_> = (0..8).map(|at| ("t", at, 45, -1)).collect();
    exchange(&mut client, &mut served, &produce(V, 1, -1, &parts), &produced(V, 1, &refusals));
    // What asks next is no look.
    let port = scene.proxy.address.port();
    exchange(&mut client, &mut served, &metadata(2), &metadata_answer(2, "127.0.0.1", port, "c"));
    scene.end(&[]);
}
