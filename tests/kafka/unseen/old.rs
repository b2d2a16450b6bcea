//! A connection whose bytes come again when the broker has long forgotten most of what they say.

use std::io::Write;
use std::net::TcpStream;

use crate::support::eventually;
use crate::support::jvm::Version;
use crate::support::relay::Stream;
use crate::support::require;
use crate::support::rig::{Rig, Stage};

/// A batch each.
const RECORDS: usize = 40;
/// What a broker remembers of a producer and partition.
const REMEMBERED: usize = 5;
const OUT_OF_ORDER: i16 = 45;
const TOPIC: &str = "unseen-old";

/// Error code and base offset of each batch.
type Answers = Vec<(i16, i64)>;

/// Sends all that a client has sent on a connection once more.
fn replay(rig: &Rig<'_>, stream: &Stream) -> Answers {
    let front = &rig.stage.front;
    let before = answers(rig).len();
    let mut client = TcpStream::connect(front.address()).unwrap();
    client.write_all(&stream.to_broker).unwrap();
    let come = || answers(rig).len() - before;
    eventually("answers to old batches", || come() == RECORDS, || format!("{} of {RECORDS}", come()));
    answers(rig).split_off(before)
}

fn answers(rig: &Rig<'_>) -> Answers {
    let answers = rig.stage.front.recording().answers();
    answers.iter().map(|answer| (answer.error_code, answer.base_offset)).collect()
}

#[test]
fn old_batches_are_told_where_they_stand() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.direct();
    rig.create_topic(TOPIC, 1);
    let mut producer = rig.producer(TOPIC, &[]);
    for _ in 0..RECORDS {
        producer.send(1, None);
        producer.wait_settled();
    }
    producer.close();
    let first = answers(&rig);
    let streams = rig.stage.front.recording().streams;
    let stream = streams.iter().find(|stream| !stream.batches().is_empty()).expect("it has produced");

    let direct = replay(&rig, stream);
    println!("direct: {direct:?}");
    let refused = direct.iter().filter(|(error, _)| *error == OUT_OF_ORDER).count();
    assert_eq!(refused, RECORDS - REMEMBERED);

    let mut rig = stage.through_seqgate(&[]);
    let through = replay(&rig, stream);
    println!("through seqgate: {through:?}");
    assert_eq!(through, first);
    rig.judge(&producer).assert_exactly_once("producer", RECORDS);
    rig.stop_seqgate(&[]);
}
