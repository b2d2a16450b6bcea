//! A broker that forgets producers while they wait for answers: it takes the batches that come again as new.

use crate::losing::{self, BATCHES, records};
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::net::Ending;
use crate::support::require;
use crate::support::rig::{Crowd, Rig, Side, Stage};

const JAVA: Family = Family::Java(Version::V4_3_1);
/// Far below the 30 s after which a producer gives up on an answer.
pub(crate) const FORGETFUL: [(&str, &str); 2] =
    [("producer.id.expiration.ms", "1500"), ("producer.id.expiration.check.interval.ms", "200")];

/// Each round: batches are appended, their answers held until the broker has forgotten who sent them, and lost.
pub(crate) fn r2(rig: &mut Rig<'_>, families: &[Family], topic: &str, rounds: usize) -> Vec<(Family, Outcome)> {
    let mut crowd = losing::begin(rig, families, topic);
    for _ in 0..rounds {
        losing::round(rig, &mut crowd, Side::Front, |rig, crowd| lose_when_forgotten(rig, crowd, Side::Front));
    }
    losing::end(rig, crowd)
}

/// Waits until the broker has forgotten all producers, and loses the answers that are held on that side.
pub(crate) fn lose_when_forgotten(rig: &mut Rig<'_>, crowd: &Crowd, side: Side) {
    for producer in &crowd.0 {
        rig.wait_forgotten(producer.topic(), 0);
    }
    rig.relay(side).cut_all(Ending::Reset);
    rig.resume();
}

/// Every family is told that all is well, and records stand twice.
#[track_caller]
pub(crate) fn assert_doubles_direct(stage: &mut Stage, families: &[Family], topic: &str) {
    for (family, direct) in r2(&mut stage.direct(), families, topic, 1) {
        println!("{} direct: {}", family.name(), direct.summary());
        let told_well = direct.failed.is_empty() && direct.lost.is_empty();
        let doubled = direct.doubled.len();
        // All of them of the Java producer, as the README has it.
        let harmed = if family == JAVA { doubled == BATCHES } else { doubled > 0 };
        assert!(told_well && harmed, "{}: {}", family.name(), direct.summary());
    }
}

#[test]
fn expiry_direct_doubles_and_through_seqgate_does_not() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::start(parts, &FORGETFUL);
    assert_doubles_direct(&mut stage, &families, "r2-direct");
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in r2(&mut rig, &families, "r2-through-seqgate", 1) {
        outcome.assert_exactly_once(family.name(), records(1));
    }
    rig.stop_seqgate(&[]);
}
