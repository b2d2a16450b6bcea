//! Has a real broker make a topic, and waits until its leader takes batches.
//!
//! A broker that is asked for a topic it has to make first names its leader before that leader is ready. Of the batches
//! sent at once to such a leader it refuses the first ones and takes those behind them, since it takes an unknown producer
//! at any sequence (KAFKA-15591).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::client::Connection;
use crate::config::HostPort;
use crate::net::resolve::resolve;

/// The first version that asks for a topic to be made; every broker since 0.11 knows it.
const METADATA: i16 = 4;

/// The first version that Kafka 4 still knows.
const LIST_OFFSETS: i16 = 1;

/// Where the next record goes.
const LATEST: i64 = -1;

/// How long a broker is left alone between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// Where a topic's batches go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Led {
    /// The leader.
    pub broker: SocketAddr,
    /// A partition that it leads.
    pub partition: i32,
}

/// Why a topic cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// A broker says no.
    #[error("topic {topic}: {request} refused with error {} ({error}){}", error.code(), advice(request, error))]
    Refused {
        /// The topic.
        topic: String,
        /// The request that was refused.
        request: &'static str,
        /// What was answered.
        error: ResponseError,
    },
    /// A broker does not answer.
    #[error("topic {topic}: no answer in {} ms", patience.as_millis())]
    Silent {
        /// The topic.
        topic: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A connection failed, or brought what is no answer.
    #[error(transparent)]
    Connection(#[from] io::Error),
}

impl TopicError {
    /// Whether it may be another answer in a moment.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused { error, .. } => error.is_retriable(),
            Self::Silent { .. } | Self::Connection(_) => false,
        }
    }
}

/// What the user can do about an error that stays.
fn advice(request: &str, error: &ResponseError) -> &'static str {
    match (request, error) {
        ("Metadata", ResponseError::UnknownTopicOrPartition) => {
            "; does this broker make topics by itself? Set auto.create.topics.enable = true"
        }
        ("ListOffsets", ResponseError::NotLeaderOrFollower) => {
            "; another broker leads it: name a listener that advertises its own address"
        }
        _ => "",
    }
}

/// Asks `bootstrap` for `topic` until a leader answers for one of its partitions, for as long as `patience`. The leader
/// is looked for where Metadata says, or at `bootstrap` alone where addresses are not to be followed.
///
/// A leader that answers ListOffsets without an error has its replica, and nothing is left in the log.
pub async fn make(bootstrap: SocketAddr, topic: &str, follow: bool, patience: Duration) -> Result<Led, TopicError> {
    let deadline = Instant::now() + patience;
    let mut last = TopicError::Silent { topic: topic.to_owned(), patience };
    let asking = async {
        loop {
            match ask(bootstrap, topic, follow, patience).await {
                Err(error) if error.may_pass() => last = error,
                asked => return asked,
            }
            sleep(PAUSE).await;
        }
    };
    let asked = timeout_at(deadline, asking).await;
    asked.unwrap_or(Err(last))
}

async fn ask(bootstrap: SocketAddr, topic: &str, follow: bool, patience: Duration) -> Result<Led, TopicError> {
    let refused = |request, error| TopicError::Refused { topic: topic.to_owned(), request, error };
    let mut connection = Connection::open(bootstrap, "seqgate-demo").await?;
    let metadata = metadata(&mut connection, topic).await?;
    let described = metadata.topics.first().ok_or_else(unreadable)?;
    if let Some(error) = described.error_code.err() {
        return Err(refused("Metadata", error));
    }
    let mut broker = bootstrap;
    if follow {
        let leader =
            leader(&metadata, described).ok_or_else(|| refused("Metadata", ResponseError::LeaderNotAvailable))?;
        broker = *resolve(&leader, patience).await?.first().ok_or_else(unreadable)?;
        connection = Connection::open(broker, "seqgate-demo").await?;
    }
    let partition = first_led(&mut connection, topic, described).await?;
    partition.map(|partition| Led { broker, partition }).map_err(|error| refused("ListOffsets", error))
}

async fn metadata(connection: &mut Connection, topic: &str) -> io::Result<MetadataResponse> {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    connection.call(METADATA, &request).await
}

/// The address of the leader of the first partition.
fn leader(metadata: &MetadataResponse, topic: &MetadataResponseTopic) -> Option<HostPort> {
    let leader = topic.partitions.first()?.leader_id;
    let broker = metadata.brokers.iter().find(|broker| broker.node_id == leader)?;
    Some(HostPort::new(broker.host.to_string(), u16::try_from(broker.port).ok()?))
}

/// The first partition that this broker answers for; the error of the last one where it answers for none.
async fn first_led(
    connection: &mut Connection,
    topic: &str,
    described: &MetadataResponseTopic,
) -> io::Result<Result<i32, ResponseError>> {
    let one = |index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(LATEST);
    let partitions = described.partitions.iter().map(|partition| one(partition.partition_index)).collect();
    let asked = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(partitions);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    let answer = connection.call(LIST_OFFSETS, &request).await?;
    let mut last = ResponseError::LeaderNotAvailable;
    for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        match partition.error_code.err() {
            None => return Ok(Ok(partition.partition_index)),
            Some(error) => last = error,
        }
    }
    Ok(Err(last))
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer names no topic or no address")
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
