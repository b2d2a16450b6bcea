//! A broker that forgets a producer while the producer waits for answers: it takes the batches that come again as new.

use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::net::Ending;
use crate::support::require;
use crate::support::rig::{Rig, Stage};

const BATCHES: usize = 5;
/// One before, which asks for the producer id.
const RECORDS: usize = 1 + BATCHES;
/// Far below the 30 s after which a producer gives up on an answer.
const FORGETFUL: [(&str, &str); 2] =
    [("producer.id.expiration.ms", "1500"), ("producer.id.expiration.check.interval.ms", "200")];

/// Five batches are appended, their answers held until the broker has forgotten who sent them, and lost.
fn r2(rig: &mut Rig<'_>, topic: &str) -> Outcome {
    rig.create_topic(topic, 1);
    let mut producer = rig.producer(topic, &[]);
    producer.send(1, None);
    producer.wait_settled();
    rig.stage.front.hold_answers();
    rig.send_apart(&mut producer, BATCHES);
    rig.stage.front.wait_held(BATCHES);
    rig.wait_forgotten(topic, 0);
    rig.stage.front.cut_all(Ending::Reset);
    rig.resume();
    producer.wait_settled();
    producer.close();
    rig.judge(&producer, topic)
}

#[test]
fn expiry_direct_doubles_and_through_seqgate_does_not() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::start(parts, &FORGETFUL);
    let direct = r2(&mut stage.direct(), "r2-direct");
    println!("direct: {}", direct.summary());
    assert!(direct.failed.is_empty() && direct.lost.is_empty() && !direct.doubled.is_empty(), "{}", direct.summary());

    let mut rig = stage.through_seqgate(&[]);
    r2(&mut rig, "r2-through-seqgate").assert_exactly_once(RECORDS);
    rig.stop_seqgate(&[]);
}
