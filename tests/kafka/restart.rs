//! A broker that restarts in good order while a producer waits for several answers of one partition.
//!
//! Its snapshot keeps one batch per producer, so it no longer knows the others when they are sent again.

use crate::support::jvm::Version;
use crate::support::judge::Outcome;
use crate::support::require;
use crate::support::rig::{Rig, Side, Stage};

/// As many as the Java producer has in flight by default.
const BATCHES: usize = 5;

/// Each round: five batches of one partition are appended, their answers lost on one side, the broker restarted.
fn r1(rig: &mut Rig<'_>, topic: &str, rounds: usize, lost_on: Side) -> Outcome {
    rig.create_topic(topic, 1);
    // Every record is a batch.
    let mut producer = rig.producer(topic, &[("batch.size", "1"), ("linger.ms", "0")]);
    producer.send(1, Some(0));
    producer.wait_settled();
    for _ in 0..rounds {
        rig.relay(lost_on).hold_answers();
        producer.send(BATCHES, Some(0));
        rig.relay(lost_on).wait_held(BATCHES);
        rig.restart_losing_answers();
        producer.wait_settled();
    }
    producer.close();
    rig.judge(&producer, topic)
}

#[test]
fn direct_r1_doubles() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let outcome = r1(&mut stage.direct(), "r1-direct-alone", 1, Side::Front);
    assert!(!outcome.doubled.is_empty(), "{}", outcome.summary());
    assert!(outcome.lost.is_empty(), "{}", outcome.summary());
}
