//! A broker that restarts in good order while producers wait for several answers of one partition.
//!
//! Its snapshot keeps one batch per producer, so it no longer knows the others when they are sent again: it refuses the
//! first, and the producer takes a new epoch and sends all of them as if they were new, or gives up for good.

use crate::losing::{self, BATCHES, records};
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Rig, Side, Stage};

/// The second finds what the first has left behind.
const ROUNDS: usize = 2;

/// Each round: batches of one partition are appended, their answers lost on that side, the broker restarted.
pub(crate) fn r1(
    rig: &mut Rig<'_>,
    side: Side,
    families: &[Family],
    topic: &str,
    rounds: usize,
) -> Vec<(Family, Outcome)> {
    let mut crowd = losing::begin(rig, families, topic);
    for _ in 0..rounds {
        losing::round(rig, &mut crowd, side, |rig, crowd| rig.restart_losing_answers(crowd));
    }
    losing::end(rig, crowd)
}

/// Families that have several batches in flight, and so some that the snapshot does not keep.
pub(crate) fn is_hurt(family: Family) -> bool {
    family.in_flight() > 1
}

/// The producer is told that all is well, and records stand twice; librdkafka is dead instead.
#[track_caller]
pub(crate) fn assert_harm(family: Family, outcome: &Outcome) {
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

/// Those that are hurt are, in one round without seqgate.
#[track_caller]
pub(crate) fn assert_doubles_direct(stage: &mut Stage, families: &[Family], topic: &str) {
    let hurt: Vec<_> = families.iter().copied().filter(|family| is_hurt(*family)).collect();
    for (family, outcome) in r1(&mut stage.direct(), Side::Front, &hurt, topic, 1) {
        println!("{} direct: {}", family.name(), outcome.summary());
        assert_harm(family, &outcome);
    }
}

fn doubles_direct_and_not_through_seqgate(version: Version, families: &[Family]) {
    let Some(parts) = require::kafka(version) else { return };
    let mut stage = Stage::shared(parts);
    assert_doubles_direct(&mut stage, families, "r1-direct");
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in r1(&mut rig, Side::Front, families, "r1-through-seqgate", ROUNDS) {
        outcome.assert_exactly_once(family.name(), records(ROUNDS));
    }
    // A connection let in just before the relay refused may find it so.
    rig.stop_seqgate(&["broker unreachable"]);
}

#[test]
fn direct_r1_doubles() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    assert_doubles_direct(&mut stage, &[Family::Java(Version::V4_3_1)], "r1-direct-alone");
}

#[test]
fn r1_direct_doubles_and_through_seqgate_does_not() {
    doubles_direct_and_not_through_seqgate(Version::V4_3_1, &require::families());
}

#[test]
fn r1_direct_doubles_and_through_seqgate_does_not_on_kafka_3_9() {
    doubles_direct_and_not_through_seqgate(Version::V3_9_1, &[Family::Java(Version::V3_9_1)]);
}
