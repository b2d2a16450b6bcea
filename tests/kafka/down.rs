//! A broker that is down: franz-go takes a connection that is let in and closed in order for a broker of another kind, and
//! gives up all that it has, while it tries again after a reset.

use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::net::Ending;
use crate::support::require;
use crate::support::rig::{Rig, Stage};

const WAITING: usize = 3;
/// One before the broker is gone, those that wait, and one when it is back.
const RECORDS: usize = 1 + WAITING + 1;
/// How often the client tries in vain.
const ATTEMPTS: usize = 3;

/// What becomes of records that are sent while every connection is ended this way, and of one in calm.
fn refused(rig: &mut Rig<'_>, topic: &str, by: Ending) -> Outcome {
    let mut crowd = rig.crowd(&[Family::FranzGo], topic, 1, &[]);
    crowd.send(1);
    crowd.wait_settled();
    let refused = rig.stage.front.refused();
    rig.stage.front.refuse_by(by);
    rig.stage.front.cut_all(Ending::Reset);
    crowd.send(WAITING);
    rig.stage.front.wait_refused(refused + ATTEMPTS);
    rig.resume();
    crowd.wait_settled();
    crowd.send(1);
    crowd.wait_settled();
    rig.judge(&crowd.0[0])
}

/// The same while the broker is down behind seqgate.
fn down(rig: &mut Rig<'_>, topic: &str) -> Outcome {
    let mut crowd = rig.crowd(&[Family::FranzGo], topic, 1, &[]);
    crowd.send(1);
    crowd.wait_settled();
    let connections = rig.stage.front.connections();
    rig.stage.broker.stop_clean();
    crowd.send(WAITING);
    rig.stage.front.wait_connections(connections + ATTEMPTS);
    rig.stage.broker.start_again();
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
    let closed = refused(&mut stage.direct(), "r3-closed", Ending::Close);
    println!("closed in order: {}", closed.summary());
    assert!(!closed.failed.is_empty(), "{}", closed.summary());
    refused(&mut stage.direct(), "r3-reset", Ending::Reset).assert_exactly_once("reset", RECORDS);

    let mut rig = stage.through_seqgate_alone(&[]);
    down(&mut rig, "r3-seqgate").assert_exactly_once("through seqgate", RECORDS);
    rig.stop_seqgate(&["broker unreachable"]);
}
