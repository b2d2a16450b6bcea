//! Acknowledgements that were never seen by the seqgate which is asked again: the batches stand in the broker's log, and there
//! it finds them, on behalf of clients that may read.

mod cost;
mod gone;
mod leaders;
mod old;
mod rights;
mod stored;
mod storm;
mod unclean;

use crate::losing;
use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Crowd, Rig, Side, Stage};
use crate::support::seqgate::{Seqgate, WARNINGS_OF_A_RIG, WARNINGS_OF_RESTARTS};
use crate::{expiry, restart};

/// The second finds what the first has left behind.
const ROUNDS: usize = 2;
/// Of each producer: those that are lost, and behind each round one in calm.
const RECORDS: usize = 1 + ROUNDS * (losing::BATCHES + 1);

/// Rounds in which answers are held on that side and lost in this way; no record must be given up, lost or doubled.
#[track_caller]
fn assert_kept(
    rig: &mut Rig<'_>,
    families: &[Family],
    topic: &str,
    side: Side,
    mut lose: impl FnMut(&mut Rig<'_>, &Crowd),
) {
    let mut crowd = losing::begin(rig, families, topic);
    for _ in 0..ROUNDS {
        losing::round(rig, &mut crowd, side, &mut lose);
        // What has come again may go to the broker one batch at a time, until one more is acknowledged.
        crowd.send(1);
        crowd.wait_settled();
    }
    let outcomes = losing::end(rig, crowd);
    for (family, outcome) in &outcomes {
        println!("{} through seqgate: {}", family.name(), outcome.summary());
    }
    for (family, outcome) in outcomes {
        outcome.assert_exactly_once(family.name(), RECORDS);
    }
}

fn restart_with_answers_lost_on(version: Version, families: &[Family]) {
    let Some(parts) = require::kafka(version) else { return };
    let mut stage = Stage::shared(parts);
    restart::assert_doubles_direct(&mut stage, families, "unseen-r1-direct");
    let mut rig = stage.through_seqgate(&[]);
    assert_kept(&mut rig, families, "unseen-r1", Side::Back, |rig, crowd| rig.restart_losing_answers(crowd));
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}

#[test]
fn restart_with_answers_lost_behind_seqgate() {
    restart_with_answers_lost_on(Version::V4_3_1, &require::families());
}

#[test]
fn restart_with_answers_lost_behind_seqgate_on_kafka_3_9() {
    restart_with_answers_lost_on(Version::V3_9_1, &[Family::Java(Version::V3_9_1)]);
}

#[test]
fn expiry_with_answers_lost_behind_seqgate() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::start(parts, &expiry::FORGETFUL);
    expiry::assert_doubles_direct(&mut stage, &families, "unseen-r2-direct");
    let mut rig = stage.through_seqgate(&[]);
    assert_kept(&mut rig, &families, "unseen-r2", Side::Back, |rig, crowd| {
        expiry::lose_when_forgotten(rig, crowd, Side::Back);
    });
    rig.stop_seqgate(&[]);
}

#[test]
fn restart_with_answers_seen_by_a_seqgate_that_is_killed() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::shared(parts);
    restart::assert_doubles_direct(&mut stage, &families, "unseen-killed-direct");
    let mut rig = stage.through_seqgate(&[]);
    assert_kept(&mut rig, &families, "unseen-killed", Side::Front, |rig, crowd| {
        rig.stage.front.refuse();
        let mut seqgate = rig.another_seqgate();
        rig.change_seqgate(&mut seqgate);
        seqgate.process().kill();
        rig.restart_losing_answers(crowd);
        assert_quiet(&seqgate);
    });
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}

/// Both of them see every other round: what one knows, the other does not.
fn restart_between_two_seqgates(side: Side, topic: &str) {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::shared(parts);
    restart::assert_doubles_direct(&mut stage, &families, &format!("{topic}-direct"));
    let mut rig = stage.through_seqgate(&[]);
    let mut other = rig.another_seqgate();
    assert_kept(&mut rig, &families, topic, side, |rig, crowd| {
        rig.stage.front.refuse();
        rig.change_seqgate(&mut other);
        rig.restart_losing_answers(crowd);
    });
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
    other.stop();
    assert_quiet(&other);
}

#[test]
fn restart_with_answers_seen_by_another_seqgate() {
    restart_between_two_seqgates(Side::Front, "unseen-other");
}

#[test]
fn restart_with_answers_lost_behind_another_seqgate() {
    restart_between_two_seqgates(Side::Back, "unseen-lost-other");
}

#[test]
fn expiry_with_answers_seen_by_another_seqgate() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::start(parts, &expiry::FORGETFUL);
    expiry::assert_doubles_direct(&mut stage, &families, "unseen-r2-other-direct");
    let mut rig = stage.through_seqgate(&[]);
    let mut other = rig.another_seqgate();
    assert_kept(&mut rig, &families, "unseen-r2-other", Side::Front, |rig, crowd| {
        rig.change_seqgate(&mut other);
        expiry::lose_when_forgotten(rig, crowd, Side::Front);
    });
    rig.stop_seqgate(&[]);
    other.stop();
    assert_quiet(&other);
}

#[track_caller]
fn assert_quiet(seqgate: &Seqgate) {
    seqgate.assert_quiet(&[&WARNINGS_OF_A_RIG[..], &WARNINGS_OF_RESTARTS].concat());
}
