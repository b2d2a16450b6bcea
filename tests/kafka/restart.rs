//! A broker that restarts in good order while producers wait for several answers of one partition.
//!
//! Its snapshot keeps one batch per producer, so it no longer knows the others when they are sent again: it refuses the
//! first, and the producer takes a new epoch and sends all of them as if they were new, or gives up for good.

use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Rig, Stage};

/// As many as any of the producers has in flight.
const BATCHES: usize = 5;
/// The second finds what the first has left behind.
const ROUNDS: usize = 2;

/// How many records each producer sends: one before the first round, which asks for the producer id.
pub(crate) fn records(rounds: usize) -> usize {
    1 + rounds * BATCHES
}

/// Each round: batches of one partition are appended, their answers lost on the clients' side, the broker restarted.
pub(crate) fn r1(rig: &mut Rig<'_>, families: &[Family], topic: &str, rounds: usize) -> Vec<(Family, Outcome)> {
    let mut crowd = rig.crowd(families, topic, 1, &[]);
    crowd.send(1);
    crowd.wait_settled();
    for _ in 0..rounds {
        rig.stage.front.hold_answers();
        for producer in &mut crowd.0 {
            if !producer.failed().is_empty() {
                // It has given up, and no request of it would come.
                producer.send(BATCHES, None);
                continue;
            }
            let in_flight = producer.family().in_flight();
            rig.send_apart(producer, in_flight);
            rig.stage.front.wait_held_of(producer.client(), in_flight);
            producer.send(BATCHES - in_flight, None);
        }
        rig.restart_losing_answers();
        crowd.wait_settled();
        // A broker that does not lead yet refuses a batch, and while that answer is held the client sends no other.
        crowd.0.iter().for_each(|producer| rig.wait_led(producer.topic(), 0));
    }
    crowd.close();
    rig.judge_all(&crowd)
}

/// Families that have several batches in flight, and so some that the snapshot does not keep.
pub(crate) fn is_hurt(family: Family) -> bool {
    family.in_flight() > 1
}

/// The producer is told that all is well, and records stand twice; librdkafka is dead instead.
#[track_caller]
fn assert_harm(family: Family, outcome: &Outcome) {
    println!("{} direct: {}", family.name(), outcome.summary());
    let all_acked = outcome.acked.len() == records(1) && outcome.failed.is_empty() && outcome.lost.is_empty();
    let harm = match family {
        Family::Librdkafka => !outcome.failed.is_empty(),
        // As the README has it.
        Family::Java(_) => all_acked && outcome.doubled.len() == BATCHES,
        Family::FranzGo | Family::Sarama | Family::Aiokafka | Family::KafkaPython => {
            all_acked && !outcome.doubled.is_empty()
        }
    };
    assert!(harm, "{}: {}", family.name(), outcome.summary());
}

fn doubles_direct_and_not_through_seqgate(version: Version, families: &[Family]) {
    let Some(parts) = require::kafka(version) else { return };
    let mut stage = Stage::shared(parts);
    let hurt: Vec<_> = families.iter().copied().filter(|family| is_hurt(*family)).collect();
    for (family, outcome) in r1(&mut stage.direct(), &hurt, "r1-direct", 1) {
        assert_harm(family, &outcome);
    }
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in r1(&mut rig, families, "r1-through-seqgate", ROUNDS) {
        outcome.assert_exactly_once(family.name(), records(ROUNDS));
    }
    // A connection let in just before the relay refused may find it so.
    rig.stop_seqgate(&["broker unreachable"]);
}

#[test]
fn direct_r1_doubles() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let java = Family::Java(Version::V4_3_1);
    let outcomes = r1(&mut stage.direct(), &[java], "r1-direct-alone", 1);
    assert_harm(java, &outcomes[0].1);
}

#[test]
fn r1_direct_doubles_and_through_seqgate_does_not() {
    doubles_direct_and_not_through_seqgate(Version::V4_3_1, &require::families());
}

#[test]
fn r1_direct_doubles_and_through_seqgate_does_not_on_kafka_3_9() {
    doubles_direct_and_not_through_seqgate(Version::V3_9_1, &[Family::Java(Version::V3_9_1)]);
}
