//! Clients that may write and not read: the broker does not let seqgate look on their behalf, and all is as if it had not
//! asked.

use super::assert_kept;
use crate::losing;
use crate::restart;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Rig, Side, Stage};
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

/// Whoever comes to a listener is a user of its name, and all but clients may do everything.
const GUARDED: [(&str, &str); 3] = [
    ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
    ("principal.builder.class", "seqgate.ByListener"),
    ("super.users", "User:DIRECT;User:CONTROLLER"),
];
const CLIENTS: &str = "User:CLIENT";
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

#[test]
fn who_may_not_read_is_served_as_without_seqgate() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::start(parts, &GUARDED);
    allow(&mut stage, "WRITE");
    restart::assert_doubles_direct(&mut stage, &families, "rights-direct");
    let mut rig = stage.through_seqgate(&[]);
    for (family, outcome) in restart::r1(&mut rig, Side::Back, &families, "rights-write", 1) {
        println!("{} without READ: {}", family.name(), outcome.summary());
        if restart::is_hurt(family) {
            restart::assert_harm(family, &outcome);
        } else {
            outcome.assert_exactly_once(family.name(), losing::records(1));
        }
    }
    let fetched = errors_of_fetches(&rig);
    println!("fetched: {fetched:?}");
    assert!(!fetched.is_empty() && fetched.iter().all(|error| *error == TOPIC_AUTHORIZATION_FAILED), "{fetched:?}");
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);

    // It is the right to read that makes the difference.
    allow(&mut stage, "READ");
    let mut rig = stage.through_seqgate(&[]);
    assert_kept(&mut rig, &families, "rights-read", Side::Back, |rig, crowd| rig.restart_losing_answers(crowd));
    assert!(errors_of_fetches(&rig).contains(&0));
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}

fn allow(stage: &mut Stage, operation: &str) {
    stage.tools.allow(stage.broker.direct(), CLIENTS, operation);
}

/// What the broker has said to those who wanted to read.
fn errors_of_fetches(rig: &Rig<'_>) -> Vec<i16> {
    rig.relay(Side::Back).recording().fetched()
}
