//! What the state of many producers takes, and what gives way when it comes to its limit.

use crate::memory::{BESIDE, MIB, stuff};
use crate::scene::{ASKS_NOTHING, Peer, Scene, exchange};
use crate::wire::*;

/// Batches of one request, each for a partition of its own.
const BATCHES: i32 = 500;

/// Has batch `base` of as many producers as `ids` has acknowledged, each on a partition of its own.
fn acknowledge_each(client: &mut Peer, served: &mut Peer, topic: &str, ids: std::ops::Range<i64>, base: i32) {
    let (request, answer) = of_each(topic, ids, base);
    exchange(client, served, &request, &answer);
}

/// That request and its answer.
fn of_each(topic: &str, ids: std::ops::Range<i64>, base: i32) -> (Vec<u8>, Vec<u8>) {
    let parts: Vec<Part<'_>> = (0..).zip(ids.clone()).map(|(at, id)| (topic, at, Some(batch(id, base, 1)))).collect();
    let entries: Vec<Entry<'_>> = (0..).zip(ids).map(|(at, id)| (topic, at, 0, id * 100 + i64::from(base))).collect();
    (produce(V, 1, -1, &parts), produced(V, 1, &entries))
}

/// Has a batch of a hundred thousand producers acknowledged.
fn acknowledge_many(client: &mut Peer, served: &mut Peer) {
    for n in 0..200 {
        let first = n * i64::from(BATCHES);
        acknowledge_each(client, served, "t", first..first + i64::from(BATCHES), 0);
    }
}

#[test]
fn a_hundred_thousand_producers_stay_within_the_smallest_memory() {
    let mut scene = Scene::with("[limits]\nmemory_max = \"16MiB\"");
    let before = scene.resident_bytes();
    let (mut client, mut served) = scene.pair();
    acknowledge_many(&mut client, &mut served);
    let (state, grown) = (scene.metric("tracker_bytes"), scene.resident_bytes().saturating_sub(before));
    assert!(grown <= 16 * MIB + BESIDE, "{grown} bytes");
    assert!(state <= 9 * MIB as u64, "three quarters of what is not kept for spare blocks: {state}");
    assert!(scene.metric("evictions_total{reason=\"limit\"}") > 50_000);
    // What was acknowledged last is remembered, and others are served.
    let last = produce(V, 2, -1, &[("t", 499, Some(batch(99_999, 0, 1)))]);
    client.send(&last);
    client.expect(&produced(V, 2, &[("t", 499, 0, 9_999_900)]));
    scene.use_the_one_beside();
    scene.end(&[]);
}

/// Neither has the memory to itself: what clients do not read comes on top of what is remembered.
#[test]
fn what_is_remembered_and_what_waits_for_clients_stay_within_the_memory_together() {
    let mut scene = Scene::with("[limits]\nmemory_max = \"16MiB\"");
    let (mut client, mut served) = scene.pair();
    acknowledge_many(&mut client, &mut served);
    let (retry, _answer) = of_each("t", 99_500..100_000, 0);
    let clients: Vec<_> = (0..40).map(|_| scene.pair()).collect();
    for (client, _served) in &clients {
        let taken = stuff(client, &retry, 256 * MIB);
        assert!(taken < 64 * MIB, "{taken} bytes were taken from the client");
    }
    let (state, buffers) = (scene.metric("tracker_bytes"), scene.metric("buffer_bytes"));
    assert!(state > 4 * MIB as u64 && buffers > MIB as u64, "{state} bytes of state, {buffers} of buffers");
    assert!(state + buffers <= 16 * MIB as u64, "{state} bytes of state, {buffers} of buffers");
    scene.use_the_one_beside();
    drop(clients);
    scene.wait_for_metric("buffer_bytes", 0);
    scene.end(&[]);
}

#[test]
fn no_more_producers_are_remembered_than_producers_max() {
    let scene = Scene::with(&format!("{ASKS_NOTHING}\nsequencing.producers_max = 500"));
    let (mut client, mut served) = scene.pair();
    for ids in [0..500, 500..1_000] {
        acknowledge_each(&mut client, &mut served, "t", ids, 0);
        assert_eq!(scene.metric("tracked_producers"), 500);
    }
    assert_eq!(scene.metric("evictions_total{reason=\"limit\"}"), 500);
    // The last are answered for; of the first, nothing is known.
    client.send(&produce(V, 2, -1, &[("t", 499, Some(batch(999, 0, 1)))]));
    client.expect(&produced(V, 2, &[("t", 499, 0, 99_900)]));
    let first = produce(V, 3, -1, &[("t", 499, Some(batch(499, 0, 1)))]);
    exchange(&mut client, &mut served, &first, &produced(V, 3, &[("t", 499, 0, 49_900)]));
    scene.end(&[]);
}
