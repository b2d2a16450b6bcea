//! A broker that forgets producers while they wait for answers: it takes the batches that come again as new.

use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::net::Ending;
use crate::support::require;
use crate::support::rig::{Rig, Stage};

/// As many as any of the producers has in flight.
const BATCHES: usize = 5;
const JAVA: Family = Family::Java(Version::V4_3_1);
/// Far below the 30 s after which a producer gives up on an answer.
pub(crate) const FORGETFUL: [(&str, &str); 2] =
    [("producer.id.expiration.ms", "1500"), ("producer.id.expiration.check.interval.ms", "200")];

/// How many records each producer sends: one before the first round, which asks for the producer id.
pub(crate) fn records(rounds: usize) -> usize {
    1 + rounds * BATCHES
}

/// Each round: batches are appended, their answers held until the broker has forgotten who sent them, and lost.
pub(crate) fn r2(rig: &mut Rig<'_>, families: &[Family], topic: &str, rounds: usize) -> Vec<(Family, Outcome)> {
    let mut crowd = rig.crowd(families, topic, 1, &[]);
    crowd.send(1);
    crowd.wait_settled();
    for _ in 0..rounds {
        rig.stage.front.hold_answers();
        for producer in &mut crowd.0 {
            let in_flight = producer.family().in_flight();
            rig.send_apart(producer, in_flight);
            rig.stage.front.wait_held_of(producer.client(), in_flight);
            producer.send(BATCHES - in_flight, None);
        }
        for producer in &crowd.0 {
            rig.wait_forgotten(producer.topic(), 0);
        }
        rig.stage.front.cut_all(Ending::Reset);
        rig.resume();
        crowd.wait_settled();
    }
    crowd.close();
    rig.judge_all(&crowd)
}

#[test]
fn expiry_direct_doubles_and_through_seqgate_does_not() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::start(parts, &FORGETFUL);
    for (family, direct) in r2(&mut stage.direct(), &families, "r2-direct", 1) {
        println!("{} direct: {}", family.name(), direct.summary());
        let told_well = direct.failed.is_empty() && direct.lost.is_empty();
        let doubled = direct.doubled.len();
        // All of them of the Java producer, as the README has it.
        let harmed = if family == JAVA { doubled == BATCHES } else { doubled > 0 };
        assert!(told_well && harmed, "{}: {}", family.name(), direct.summary());
    }
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in r2(&mut rig, &families, "r2-through-seqgate", 1) {
        outcome.assert_exactly_once(family.name(), records(1));
    }
    rig.stop_seqgate(&[]);
}
