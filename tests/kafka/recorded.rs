//! The script that the simulation's model of a broker answers, put to real brokers: they answer it the same way.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use seqgate::sandbox::batch::{self, BatchContent};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};

use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::Stage;

const SCRIPT: &str = include_str!("recorded.txt");
/// A version that both releases speak.
const VERSION: i16 = 9;
/// The leader of a topic that was just made does not serve it yet (6), nor does it after a restart.
const NOT_LEADER: i16 = 6;

#[test]
fn brokers_answer_as_recorded() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    play(&mut Stage::shared(parts), "recorded");
}

#[test]
fn brokers_answer_as_recorded_on_kafka_3_9() {
    let Some(parts) = require::kafka(Version::V3_9_1) else { return };
    play(&mut Stage::shared(parts), "recorded");
}

fn play(stage: &mut Stage, name: &str) {
    let mut topic = String::new();
    let mut count = 0;
    for (at, line) in SCRIPT.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        match line {
            "partition" => {
                topic = format!("{name}-{at}");
                let Stage { broker, tools, .. } = &mut *stage;
                tools.create_topic(broker.direct(), &topic, 1);
            }
            "restart" => {
                stage.broker.stop_clean();
                stage.broker.start_again();
            }
            "kill" => {
                stage.broker.kill();
                stage.broker.start_again();
            }
            _ => {
                let (asked, answered) = line.split_once(" -> ").expect("a batch and its answer");
                assert_eq!(ask(stage, &topic, asked), answered, "line {}: {asked}", at + 1);
                count += 1;
            }
        }
    }
    assert!(count >= 50, "{count} answers");
}

/// Asks until the broker leads; no other answer is asked for twice.
fn ask(stage: &Stage, topic: &str, asked: &str) -> String {
    let batch = batch_of(asked);
    let mut answer = (NOT_LEADER, -1);
    crate::support::eventually(
        "a leader",
        || {
            answer = produce(stage, topic, &batch);
            answer.0 != NOT_LEADER && answer.0 != 3
        },
        || format!("{topic} is not led"),
    );
    match answer {
        (0, offset) => format!("0@{offset}"),
        (code, _) => code.to_string(),
    }
}

fn batch_of(text: &str) -> Bytes {
    let value = |name: &str| {
        let word = text.split(' ').find_map(|word| word.strip_prefix(name)).expect("every batch says it");
        word.strip_prefix('=').expect("a value")
    };
    let (first, last) = value("seq").split_once("..").expect("first and last");
    let (first, last): (i32, i32) = (first.parse().unwrap(), last.parse().unwrap());
    let count = usize::try_from((last.wrapping_sub(first) & i32::MAX) + 1).unwrap();
    batch::encode(BatchContent {
        producer_id: ProducerId::new(value("pid").parse().unwrap()),
        epoch: ProducerEpoch::new(value("epoch").parse().unwrap()),
        base_sequence: Sequence::new(first).unwrap(),
        timestamp_ms: i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap(),
        values: &vec![Bytes::from_static(b"value"); count],
    })
}

/// Error code and base offset of one batch.
fn produce(stage: &Stage, topic: &str, batch: &Bytes) -> (i16, i64) {
    let part = PartitionProduceData::default().with_index(0).with_records(Some(batch.clone()));
    let topic = TopicName(StrBytes::from_string(topic.to_owned()));
    let topic = TopicProduceData::default().with_name(topic).with_partition_data(vec![part]);
    let body = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let mut frame = BytesMut::from(&[&[0, 0][..], &VERSION.to_be_bytes(), &[0, 0, 0, 9, 0, 1, b'c', 0]].concat()[..]);
    body.encode(&mut frame, VERSION).unwrap();
    let mut broker = TcpStream::connect(stage.broker.direct()).unwrap();
    broker.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
    broker.write_all(&frame).unwrap();
    let mut length = [0; 4];
    broker.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).unwrap();
    // Behind the correlation id and an empty section of tags.
    let answer = ProduceResponse::decode(&mut Bytes::from(answer).slice(5..), VERSION).unwrap();
    let said = &answer.responses[0].partition_responses[0];
    (said.error_code, said.base_offset)
}
