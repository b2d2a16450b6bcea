//! A broker that restarts in good order while a producer waits for several answers of one partition.
//!
//! Its snapshot keeps one batch per producer, so it no longer knows the others when they are sent again: it refuses the
//! first, and the producer takes a new epoch and sends all of them as if they were new.

use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Rig, Side, Stage};

/// As many as the Java producer has in flight by default.
const BATCHES: usize = 5;
const ROUNDS: usize = 2;
/// One before the first round, which asks for the producer id.
const RECORDS: usize = 1 + ROUNDS * BATCHES;

/// Each round: five batches of one partition are appended, their answers lost on one side, the broker restarted.
fn r1(rig: &mut Rig<'_>, topic: &str, lost_on: Side) -> Outcome {
    rig.create_topic(topic, 1);
    let mut producer = rig.producer(topic, &[]);
    producer.send(1, None);
    producer.wait_settled();
    for _ in 0..ROUNDS {
        rig.relay(lost_on).hold_answers();
        rig.send_apart(&mut producer, BATCHES);
        rig.relay(lost_on).wait_held(BATCHES);
        rig.restart_losing_answers();
        producer.wait_settled();
    }
    producer.close();
    rig.judge(&producer, topic)
}

/// The producer is told that all is well, and records stand twice.
#[track_caller]
fn assert_doubled(outcome: &Outcome) {
    let all_acked = outcome.acked.len() == RECORDS && outcome.failed.is_empty() && outcome.lost.is_empty();
    assert!(all_acked && !outcome.doubled.is_empty(), "{}", outcome.summary());
    println!("direct: {}", outcome.summary());
}

fn doubles_direct_and_not_through_seqgate(version: Version) {
    let Some(parts) = require::kafka(version) else { return };
    let mut stage = Stage::shared(parts);
    assert_doubled(&r1(&mut stage.direct(), "r1-direct", Side::Front));

    let mut rig = stage.through_seqgate(&[]);
    r1(&mut rig, "r1-through-seqgate", Side::Front).assert_exactly_once(RECORDS);
    // A connection let in just before the relay refused may find it so.
    rig.stop_seqgate(&["broker unreachable"]);
}

#[test]
fn direct_r1_doubles() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    assert_doubled(&r1(&mut stage.direct(), "r1-direct-alone", Side::Front));
}

#[test]
fn r1_direct_doubles_and_through_seqgate_does_not() {
    doubles_direct_and_not_through_seqgate(Version::V4_3_1);
}

#[test]
fn r1_direct_doubles_and_through_seqgate_does_not_on_kafka_3_9() {
    doubles_direct_and_not_through_seqgate(Version::V3_9_1);
}
