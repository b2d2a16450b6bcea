//! A producer of our own that sends whatever it is told to, one request at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use seqgate::sandbox::batch::{self, BatchContent};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};

/// Its client id.
pub(crate) const CLIENT: &str = "raw";
/// A version that all releases speak.
const VERSION: i16 = 9;
const PRODUCE: i16 = 0;

/// A batch of so many small records, of now.
pub(crate) fn batch(producer: i64, epoch: i16, base: i32, count: usize) -> Bytes {
    batch_ahead(producer, epoch, base, count, 0)
}

/// A batch of a producer whose clock is ahead.
pub(crate) fn batch_ahead(producer: i64, epoch: i16, base: i32, count: usize, ahead_ms: i64) -> Bytes {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    batch::encode(BatchContent {
        producer_id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        base_sequence: Sequence::new(base).unwrap(),
        timestamp_ms: now + ahead_ms,
        values: &vec![Bytes::from_static(b"value"); count],
    })
}

/// A connection.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends a batch to partition 0 of a topic; returns its error code and base offset.
    pub(crate) fn produce(&mut self, topic: &str, batch: &Bytes) -> (i16, i64) {
        let part = PartitionProduceData::default().with_index(0).with_records(Some(batch.clone()));
        let topic = TopicName(StrBytes::from_string(topic.to_owned()));
        let topic = TopicProduceData::default().with_name(topic).with_partition_data(vec![part]);
        let body = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&[PRODUCE.to_be_bytes(), VERSION.to_be_bytes()].concat());
        frame.extend_from_slice(&9_i32.to_be_bytes());
        frame.extend_from_slice(&u16::try_from(CLIENT.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(CLIENT.as_bytes());
        // No tags.
        frame.extend_from_slice(&[0]);
        body.encode(&mut frame, VERSION).unwrap();
        let length = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.0.write_all(&frame).unwrap();
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer).unwrap();
        // Behind the correlation id and an empty section of tags.
        let answer = ProduceResponse::decode(&mut Bytes::from(answer).slice(5..), VERSION).unwrap();
        let said = &answer.responses[0].partition_responses[0];
        (said.error_code, said.base_offset)
    }
}
