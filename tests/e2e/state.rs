//! What the state of many producers takes, and what gives way when it comes to its limit.

use crate::memory::{BESIDE, MIB};
use crate::scene::{Peer, Scene, exchange};
use crate::wire::*;

/// Batches of one request, each for a partition of its own.
const BATCHES: i32 = 500;

/// Has batch `base` of as many producers as `ids` has acknowledged, each on a partition of its own.
fn acknowledge_each(client: &mut Peer, served: &mut Peer, topic: &str, ids: std::ops::Range<i64>, base: i32) {
    let parts: Vec<Part<'_>> = (0..).zip(ids.clone()).map(|(at, id)| (topic, at, Some(batch(id, base, 1)))).collect();
    let entries: Vec<Entry<'_>> = (0..).zip(ids).map(|(at, id)| (topic, at, 0, id * 100 + i64::from(base))).collect();
    exchange(client, served, &produce(V, 1, -1, &parts), &produced(V, 1, &entries));
}

#[test]
fn a_hundred_thousand_producers_stay_within_the_smallest_memory() {
    let mut scene = Scene::with("[limits]\nmemory_max = \"16MiB\"");
    let before = scene.resident_bytes();
    let (mut client, mut served) = scene.pair();
    for n in 0..200 {
        let first = n * i64::from(BATCHES);
        acknowledge_each(&mut client, &mut served, "t", first..first + i64::from(BATCHES), 0);
    }
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
