//! A broker that is down: franz-go takes a connection that is let in and closed in order for a broker of another kind, and
//! gives up all that it has, while it tries again after a reset.

use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::net::Ending;
use crate::support::producer::Producer;
use crate::support::require;
use crate::support::rig::{Rig, Stage};

/// One of each partition: it gives up those of which it has tried to send none.
const WAITING: usize = 8;
/// One before the broker is gone, those that wait, and one when it is back.
const RECORDS: usize = 1 + WAITING + 1;
/// Long enough to have records that it has not tried to send.
const BACKOFF: (&str, &str) = ("retry.backoff.ms", "1000");

/// How often it tries in vain.
const ATTEMPTS: usize = 5;

/// What becomes of records that are sent between the beginning of an outage and its end, and of one in calm.
fn r3(
    rig: &mut Rig<'_>,
    topic: &str,
    begin: impl FnOnce(&mut Rig<'_>),
    end: impl FnOnce(&mut Rig<'_>, &Producer),
) -> Outcome {
    let mut crowd = rig.crowd(&[Family::FranzGo], topic, WAITING, &[BACKOFF]);
    crowd.send(1);
    crowd.wait_settled();
    begin(rig);
    let attempts = rig.stage.front.attempts();
    crowd.send(1);
    rig.stage.front.wait_attempts(attempts + 1);
    crowd.send(WAITING - 1);
    end(rig, &crowd.0[0]);
    crowd.wait_settled();
    crowd.send(1);
    crowd.wait_settled();
    rig.judge(&crowd.0[0])
}

#[test]
fn r3_franz_go_gives_up_after_a_close_and_recovers_through_seqgate() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let Some(_) = require::family(Family::FranzGo) else { return };
    let mut stage = Stage::shared(parts);
    let refuse_by = |ending| {
        move |rig: &mut Rig<'_>| {
            rig.stage.front.refuse_by(ending);
            rig.stage.front.cut_all(Ending::Reset);
        }
    };
    let closed = r3(&mut stage.direct(), "r3-closed", refuse_by(Ending::Close), |rig, producer| {
        producer.wait_failed();
        rig.resume();
    });
    println!("closed in order: {}", closed.summary());
    let reset = r3(&mut stage.direct(), "r3-reset", refuse_by(Ending::Reset), |rig, _| {
        rig.stage.front.wait_attempts(rig.stage.front.attempts() + ATTEMPTS);
        rig.resume();
    });
    reset.assert_exactly_once("reset", RECORDS);

    let mut rig = stage.through_seqgate_alone(&[]);
    let stop = |rig: &mut Rig<'_>| rig.stage.broker.stop_clean();
    let through = r3(&mut rig, "r3-through-seqgate", stop, |rig, _| {
        rig.stage.front.wait_attempts(rig.stage.front.attempts() + ATTEMPTS);
        rig.stage.broker.start_again();
    });
    through.assert_exactly_once("through seqgate", RECORDS);
    rig.stop_seqgate(&["broker unreachable"]);
}
