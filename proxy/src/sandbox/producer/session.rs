//! A producer's connection: what it asks for first, and the batches on their way.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, InitProducerIdRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId};
use tokio::time::{Instant, timeout_at};

use super::ProducerConfig;
use super::outbox::Ticket;
use crate::sandbox::client::{Connection, decode};

/// The newest version asked for of each request; a broker that knows less gets what it knows.
const API_VERSIONS: i16 = 3;
const METADATA_MAX: i16 = 12;
const INIT_PRODUCER_ID_MAX: i16 = 4;
const PRODUCE_MAX: i16 = 13;

/// From this version on topics go by their ids.
const PRODUCE_IDS_SINCE: i16 = 13;

/// What a broker said of one batch.
pub(super) struct Answer {
    pub(super) ticket: Ticket,
    pub(super) code: i16,
    pub(super) offset: i64,
}

struct OnTheWay {
    correlation: i32,
    ticket: Ticket,
    deadline: Instant,
}

pub(super) struct Session {
    connection: Connection,
    versions: ApiVersionsResponse,
    produce_version: i16,
    /// The request without its records.
    request: ProduceRequest,
    on_the_way: VecDeque<OnTheWay>,
}

impl Session {
    /// Dials the bootstrap address, and only that: no address in an answer is ever followed.
    pub(super) async fn open(config: &ProducerConfig) -> io::Result<Self> {
        let mut connection = Connection::open(config.bootstrap, &config.client_id).await?;
        let name = StrBytes::from_static_str("seqgate-sandbox");
        let hello = ApiVersionsRequest::default()
            .with_client_software_name(name)
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let versions = connection.call(API_VERSIONS, &hello).await?;
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(i32::try_from(config.request_timeout.as_millis()).unwrap_or(i32::MAX));
        let on_the_way = VecDeque::with_capacity(config.in_flight_max);
        let mut session = Self { connection, versions, produce_version: 0, request, on_the_way };
        session.locate(config).await?;
        Ok(session)
    }

    /// Asks for the topic, which brokers make on demand, and notes how to name it.
    async fn locate(&mut self, config: &ProducerConfig) -> io::Result<()> {
        let name = TopicName(StrBytes::from_string(config.topic.clone()));
        let topic = MetadataRequestTopic::default().with_name(Some(name.clone()));
        let version = self.version::<MetadataRequest>(METADATA_MAX)?;
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
        let answer = self.connection.call(version, &request).await?;
        let topic = answer.topics.first().ok_or_else(|| refused("metadata without the topic", 0))?;
        if topic.error_code != 0 {
            return Err(refused("metadata", topic.error_code));
        }
        let most = if topic.topic_id.is_nil() { PRODUCE_IDS_SINCE - 1 } else { PRODUCE_MAX };
        self.produce_version = self.version::<ProduceRequest>(most.min(config.produce_version_max))?;
        let partition = PartitionProduceData::default().with_index(config.partition);
        let data = TopicProduceData::default().with_partition_data(vec![partition]);
        let by_id = self.produce_version >= PRODUCE_IDS_SINCE;
        let data = if by_id { data.with_topic_id(topic.topic_id) } else { data.with_name(name) };
        self.request.topic_data = vec![data];
        Ok(())
    }

    /// Asks for a producer id; nothing may be on its way.
    pub(super) async fn init_producer_id(&mut self) -> io::Result<(ProducerId, ProducerEpoch)> {
        let version = self.version::<InitProducerIdRequest>(INIT_PRODUCER_ID_MAX)?;
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(i32::MAX);
        let answer = self.connection.call(version, &request).await?;
        if answer.error_code != 0 {
            return Err(refused("producer id", answer.error_code));
        }
        Ok((ProducerId::new(answer.producer_id.0), ProducerEpoch::new(answer.producer_epoch)))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.on_the_way.is_empty()
    }

    /// Sends one batch, whose answer has to come before `deadline`.
    pub(super) async fn send(&mut self, ticket: Ticket, batch: Bytes, deadline: Instant) -> io::Result<()> {
        let mut request = self.request.clone();
        request.topic_data[0].partition_data[0].records = Some(batch);
        let correlation = self.connection.send(self.produce_version, &request).await?;
        self.on_the_way.push_back(OnTheWay { correlation, ticket, deadline });
        Ok(())
    }

    /// Waits for the answer to the oldest batch.
    pub(super) async fn receive(&mut self) -> io::Result<Answer> {
        let oldest = self.on_the_way.front().expect("a batch is on its way");
        let received = timeout_at(oldest.deadline, self.connection.receive());
        let (correlation, body) = received.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if correlation != oldest.correlation {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "answer out of order"));
        }
        let answer = decode::<ProduceRequest>(self.produce_version, body)?;
        let topic = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let partition = topic.ok_or_else(|| refused("produce without the partition", 0))?;
        let (code, offset) = (partition.error_code, partition.base_offset);
        let ticket = oldest.ticket;
        self.on_the_way.pop_front();
        Ok(Answer { ticket, code, offset })
    }

    /// The newest version that both sides know, `most` at most.
    fn version<R: Request>(&self, most: i16) -> io::Result<i16> {
        let known = self.versions.api_keys.iter().find(|api| api.api_key == R::KEY);
        let version = known.map(|api| api.max_version.min(most)).filter(|version| *version >= R::VERSIONS.min);
        version.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, format!("request {} is not known", R::KEY)))
    }
}

fn refused(what: &str, code: i16) -> io::Error {
    io::Error::other(format!("{what} refused with error {code}"))
}
