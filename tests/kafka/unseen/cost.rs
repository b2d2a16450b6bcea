//! What it costs to look: round trips to the broker, each of which the retry waits for.

use std::time::{Duration, Instant};

use crate::losing;
use crate::raw::{self, Raw};
use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Rig, Side, Stage};
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const RECORDS: usize = 1 + 3 * (losing::BATCHES + 1);

#[test]
fn a_look_is_one_round_trip_where_the_place_is_known_and_two_where_it_is_not() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&[]);
    let mut crowd = losing::begin(&mut rig, &[Family::Java(parts.version)], "cost");
    // Where the log begins to be of interest is known from what was acknowledged; nobody has to be asked.
    for side in [Side::Front, Side::Back] {
        let before = asked(&rig).len();
        losing::round(&mut rig, &mut crowd, side, |rig, crowd| rig.restart_losing_answers(crowd));
        // For all that come again: what the first one's look has shown is known.
        assert_eq!(asked(&rig)[before..], [FETCH], "{side:?}");
        crowd.send(1);
        crowd.wait_settled();
        assert_eq!(asked(&rig).len(), before + 1, "nothing is asked in calm");
    }
    // Another one has to ask where the time begins from which on it has seen nothing.
    let before = asked(&rig).len();
    losing::round(&mut rig, &mut crowd, Side::Front, |rig, crowd| {
        rig.stage.front.refuse();
        let mut seqgate = rig.another_seqgate();
        rig.change_seqgate(&mut seqgate);
        seqgate.process().kill();
        rig.restart_losing_answers(crowd);
    });
    assert_eq!(asked(&rig)[before..], [LIST_OFFSETS, FETCH]);
    crowd.send(1);
    crowd.wait_settled();
    for (family, outcome) in losing::end(&mut rig, crowd) {
        outcome.assert_exactly_once(family.name(), RECORDS);
    }
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}

/// All that seqgate has asked the broker, by api.
fn asked(rig: &Rig<'_>) -> Vec<i16> {
    rig.relay(Side::Back).recording().asked_by("seqgate")
}

/// A client can tell by nothing but the time. Asserts nothing of it: what it is, it prints.
#[test]
fn what_a_look_finds_is_answered_later_than_by_the_broker_and_not_otherwise() {
    const LOOKS: usize = 100;
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let topic = "cost-time";
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&["--admin", "127.0.0.1:0"]);
    rig.stage.tools.create_topic(rig.stage.broker.direct(), topic, 1);
    let seqgate = rig.seqgate.as_ref().unwrap();
    let (mut direct, mut through) = (Raw::connect(rig.stage.broker.direct()), Raw::connect(seqgate.address()));
    let (mut by_broker, mut by_look) = (Vec::new(), Vec::new());
    for producer in (72_000..).take(LOOKS) {
        // Nobody has seen anything of it here, and the broker remembers the last five.
        let batches: Vec<_> = (0..7).map(|base| raw::batch(producer, 0, base, 1)).collect();
        let told: Vec<_> = batches.iter().map(|batch| direct.produce(topic, batch)).collect();
        by_broker.push(timed(|| assert_eq!(direct.produce(topic, &batches[6]), told[6])));
        by_look.push(timed(|| assert_eq!(through.produce(topic, &batches[1]), told[1])));
    }
    assert_eq!(seqgate.counter("seqgate_own_requests_total", "kind=\"warm_up\",outcome=\"found\""), LOOKS as u64);
    let (by_broker, by_look) = (median(by_broker), median(by_look));
    println!("of a retry, median of {LOOKS}: {by_broker:?} by the broker, {by_look:?} by a look into its log");
    rig.stop_seqgate(&[]);
}

fn timed(action: impl FnOnce()) -> Duration {
    let since = Instant::now();
    action();
    since.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
