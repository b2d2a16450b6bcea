//! Logs that have lost what was acknowledged: a broker that comes back with an empty disk, and one that comes back without
//! what it had not written yet. What producers send again has to go there once more, whatever seqgate has seen acknowledged.

use crate::losing::{self, BATCHES, records};
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Crowd, Rig, Side, Stage};
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

/// Families with several batches in flight, whose requests name topics in different ways.
fn families() -> Vec<Family> {
    let families = [Family::Java(Version::V4_3_1), Family::FranzGo, Family::Librdkafka];
    families.into_iter().filter(|family| require::family(*family).is_some()).collect()
}

/// One record in calm, then per side batches whose answers are lost there as the log is, and one record in calm.
fn play(
    rig: &mut Rig<'_>,
    sides: &[Side],
    topic: &str,
    mut lose: impl FnMut(&mut Rig<'_>, &Crowd),
) -> Vec<(Family, Outcome)> {
    let mut crowd = losing::begin(rig, &families(), topic);
    for side in sides {
        losing::round(rig, &mut crowd, *side, &mut lose);
    }
    crowd.send(1);
    crowd.wait_settled();
    let outcomes = losing::end(rig, crowd);
    outcomes.iter().for_each(|(family, outcome)| println!("{} {topic}: {}", family.name(), outcome.summary()));
    outcomes
}

/// A power cut: of each log only what was acknowledged in calm is on the disk.
fn lose_ends(rig: &mut Rig<'_>, crowd: &Crowd) {
    rig.lose_answers(|rig| {
        // A killed one would have to wait until its controller misses it.
        rig.stage.broker.stop_clean();
        rig.cut_all();
        for producer in &crowd.0 {
            // Each of its records is a batch.
            let in_calm = producer.sent() - BATCHES;
            rig.stage.broker.lose_log_from(producer.topic(), 0, i64::try_from(in_calm).unwrap());
        }
        rig.stage.broker.start_again();
        crowd.0.iter().for_each(|producer| rig.wait_led(producer.topic(), 0));
    });
}

#[test]
fn what_a_log_has_lost_at_its_end_is_stored_again() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    // The harm: who does not ask the log believes what was acknowledged before.
    let mut rig = stage.through_seqgate_configured("[sequencing]\nlook_up = false");
    for (family, outcome) in play(&mut rig, &[Side::Front], "gone-end-unasked", lose_ends) {
        assert_eq!(outcome.lost.len(), BATCHES, "{}: {}", family.name(), outcome.summary());
    }
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
    for (family, outcome) in play(&mut stage.direct(), &[Side::Front], "gone-end-direct", lose_ends) {
        outcome.assert_exactly_once(family.name(), records(1) + 1);
    }
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in play(&mut rig, &[Side::Front, Side::Back], "gone-end", lose_ends) {
        outcome.assert_exactly_once(family.name(), records(2) + 1);
    }
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}

/// A container without a volume: the topic is made again by whoever needs it.
fn wipe(rig: &mut Rig<'_>, crowd: &Crowd) {
    rig.lose_answers(|rig| {
        rig.stage.broker.stop_clean();
        rig.cut_all();
        rig.stage.broker.wipe();
        rig.stage.broker.start_again();
        for producer in &crowd.0 {
            rig.create_topic(producer.topic(), 1);
            rig.wait_led(producer.topic(), 0);
        }
    });
}

/// What was sent again after the last wipe, or later, stands once, where the producer was told; what was acknowledged before
/// is gone, and the producer cannot know. franz-go asks for the topic that it knew, which is no more, and says of each record
/// since that it gives it up.
#[track_caller]
fn assert_begun_anew(family: Family, outcome: &Outcome, wipes: usize) {
    let (before, since) = (records(wipes - 1), BATCHES + 1);
    let gives_up = family == Family::FranzGo;
    let acked = if gives_up { 1 } else { before + since };
    let is_good = outcome.acked.len() == acked
        && outcome.failed.len() == before + since - acked
        && outcome.lost.len() == acked.min(before)
        && outcome.log.len() == (if gives_up { 0 } else { since })
        && [&outcome.doubled, &outcome.misplaced, &outcome.told_twice].iter().all(|ids| ids.is_empty());
    assert!(is_good, "{}: {}", family.name(), outcome.summary());
}

#[test]
fn what_is_sent_again_to_a_wiped_broker_is_stored_there() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::start(parts, &[]);
    for (family, outcome) in play(&mut stage.direct(), &[Side::Front], "gone-wiped-direct", wipe) {
        assert_begun_anew(family, &outcome, 1);
    }
    // No harm to show, other than where a log has lost its end: these clients ask for their topic before they send again, and
    // that it has another id by now is seen without a look.
    let mut rig = stage.through_seqgate_configured("[sequencing]\nlook_up = false");
    for (family, outcome) in play(&mut rig, &[Side::Front], "gone-wiped-unasked", wipe) {
        assert_begun_anew(family, &outcome, 1);
    }
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in play(&mut rig, &[Side::Front, Side::Back], "gone-wiped", wipe) {
        assert_begun_anew(family, &outcome, 2);
    }
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}
