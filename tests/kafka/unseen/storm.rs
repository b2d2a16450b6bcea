//! A thousand batches that come again at once, when nobody is left who has seen them acknowledged.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use seqgate::sandbox::batch::{self, BatchContent};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};
use seqgate_protocol::wire::produce::ProduceResponse;

use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Rig, Side, Stage};
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

/// More in each than anything that is kept for a partition alone.
const PARTITIONS: usize = 2;
/// Each has a connection of its own, and as many batches in flight as producers have.
const PRODUCERS: usize = 200;
const IN_FLIGHT: usize = 5;
const RETRIES: usize = PRODUCERS * IN_FLIGHT;
/// Of a broker that has restarted: the last batch of each producer.
const REMEMBERED: usize = PRODUCERS;
/// A version that names topics.
const PRODUCE: i16 = 9;
const OUT_OF_ORDER: i16 = 45;
const NOT_LEADER: i16 = 6;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
/// Asks who is there, in version 1: whom the broker answers that has not to authenticate.
const WHO_IS_THERE: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0];

/// Error code and base offset of each batch.
type Answers = Vec<(i16, i64)>;

/// A producer that keeps what it has sent.
struct Producer {
    /// Its first batch, which is acknowledged in calm.
    first: Vec<u8>,
    /// The batches behind it, one behind the other.
    rest: Vec<u8>,
}

impl Producer {
    fn new(topic: &str, number: usize, now_ms: i64) -> Self {
        let partition = i32::try_from(number % PARTITIONS).unwrap();
        let frame = |sequence: i32| {
            let records = batch::encode(BatchContent {
                // Nobody was given such a number.
                producer_id: ProducerId::new(1_000_000 + i64::try_from(number).unwrap()),
                epoch: ProducerEpoch::new(0),
                base_sequence: Sequence::new(sequence).unwrap(),
                timestamp_ms: now_ms + i64::from(sequence),
                values: &[Bytes::from_static(b"value")],
            });
            let part = PartitionProduceData::default().with_index(partition).with_records(Some(records));
            let topic = TopicName(StrBytes::from_string(topic.to_owned()));
            let topic = TopicProduceData::default().with_name(topic).with_partition_data(vec![part]);
            let body = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
            let head = [&[0, 0][..], &PRODUCE.to_be_bytes(), &sequence.to_be_bytes(), &[0, 1, b'c', 0]].concat();
            let mut frame = BytesMut::from(&head[..]);
            body.encode(&mut frame, PRODUCE).unwrap();
            [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
        };
        let rest = (1..=i32::try_from(IN_FLIGHT).unwrap()).flat_map(frame).collect();
        Self { first: frame(0), rest }
    }
}

/// Each of them connects and is served.
fn connect(at: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut connections: Vec<_> = (0..count).map(|_| TcpStream::connect(at).unwrap()).collect();
    for connection in &mut connections {
        connection.write_all(&WHO_IS_THERE).unwrap();
    }
    connections.iter_mut().for_each(|connection| drop(answer(connection)));
    connections
}

/// An answer behind its length.
fn answer(connection: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    connection.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut answer).unwrap();
    answer
}

/// Sends all that these have in flight, each on its connection, before any answer is read.
fn send_all(connections: &mut [TcpStream], producers: &[Producer]) -> Answers {
    for (connection, producer) in connections.iter_mut().zip(producers) {
        connection.write_all(&producer.rest).unwrap();
    }
    connections
        .iter_mut()
        .flat_map(|connection| [(); IN_FLIGHT].map(|()| answer(connection)))
        .map(|it| said(&it))
        .collect()
}

fn said(answer: &[u8]) -> (i16, i64) {
    let answer = ProduceResponse::parse(PRODUCE, answer).unwrap();
    let entry = answer.entries().next().unwrap();
    (entry.error, entry.base_offset)
}

/// Stores all batches: the first of each, and then the rest. Where these stand.
fn fill(rig: &Rig<'_>, producers: &[Producer]) -> Answers {
    let at = rig.stage.front.address();
    let mut connections = connect(at, producers.len());
    for (connection, producer) in connections.iter_mut().zip(producers) {
        let mut first = || {
            connection.write_all(&producer.first).unwrap();
            said(&answer(connection)).0
        };
        // One after the other, and each as the first of its partition perhaps.
        crate::support::eventually("a leader", || first() != NOT_LEADER, || "nobody leads".into());
    }
    send_all(&mut connections, producers)
}

fn restart(rig: &mut Rig<'_>, topic: &str) {
    rig.lose_answers(|rig| {
        rig.stage.broker.stop_clean();
        rig.cut_all();
        rig.stage.broker.start_again();
        (0..PARTITIONS).for_each(|partition| rig.wait_led(topic, i32::try_from(partition).unwrap()));
    });
}

/// How often seqgate has asked the broker where a time begins, and for the log, and how many batches have come there.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    listed: usize,
    fetched: usize,
    batches: usize,
}

fn cost(rig: &Rig<'_>) -> Cost {
    let recording = rig.relay(Side::Back).recording();
    let asked = recording.asked_by("seqgate");
    let count = |api| asked.iter().filter(|it| **it == api).count();
    Cost { listed: count(LIST_OFFSETS), fetched: count(FETCH), batches: recording.batches().len() }
}

#[test]
fn a_thousand_retries_are_one_look_per_partition() {
    play("storm", &[]);
}

#[test]
fn a_thousand_retries_are_one_look_per_partition_where_the_broker_compresses() {
    play("storm-zstd", &[("compression.type", "zstd")]);
}

fn play(topic: &str, settings: &[(&str, &str)]) {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let producers: Vec<_> = (0..PRODUCERS).map(|number| Producer::new(topic, number, now_ms)).collect();
    let mut rig = stage.direct();
    let Stage { broker, tools, .. } = &mut *rig.stage;
    tools.create_topic_with(broker.direct(), topic, PARTITIONS, settings);
    let stored = fill(&rig, &producers);
    assert!(stored.iter().all(|(error, _)| *error == 0), "{stored:?}");

    restart(&mut rig, topic);
    let direct = send_all(&mut connect(rig.stage.front.address(), PRODUCERS), &producers);
    let refused = direct.iter().filter(|(error, _)| *error == OUT_OF_ORDER).count();
    println!("direct: {refused} of {RETRIES} refused");
    assert_eq!(refused, RETRIES - REMEMBERED);

    // To a seqgate that has seen nothing, all at once.
    let mut rig = stage.through_seqgate(&[]);
    restart(&mut rig, topic);
    let through = send_all(&mut connect(rig.stage.front.address(), PRODUCERS), &producers);
    println!("all at once: {:?}", cost(&rig));
    assert_eq!(through, stored);
    // One look tells of all batches of its partition. Who has waited for it too long looks as well: each once, for then all
    // that its connection sends is known. A look reads a log as small as this at once.
    let Cost { listed, fetched, batches } = cost(&rig);
    assert!(listed <= PRODUCERS && fetched <= PRODUCERS && batches == 0, "{:?}", cost(&rig));
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);

    // To another one, of each partition one producer before the others: these need not ask.
    let mut rig = stage.through_seqgate(&[]);
    let mut connections = connect(rig.stage.front.address(), PRODUCERS);
    let (early, late) = connections.split_at_mut(PARTITIONS);
    let mut through = send_all(early, &producers[..PARTITIONS]);
    through.extend(send_all(late, &producers[PARTITIONS..]));
    println!("one before the others: {:?}", cost(&rig));
    assert_eq!(through, stored);
    assert_eq!(cost(&rig), Cost { listed: PARTITIONS, fetched: PARTITIONS, batches: 0 });
    rig.stop_seqgate(&[]);
}
