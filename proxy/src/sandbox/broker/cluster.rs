//! The cluster of one node: topics by name and by id, their partitions, and the producer ids handed out.

use std::collections::BTreeMap;

use seqgate_protocol::sequencing::{ProducerId, TopicId};

use super::BrokerConfig;
use super::log::Log;
use super::partition::Partition;
use super::producers::Producers;

/// The longest name of a topic (`Topic.MAX_NAME_LENGTH`).
const NAME_BYTES_MAX: usize = 249;

/// A topic and its partitions.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: TopicId,
    pub(super) partitions: Vec<Partition>,
}

/// Why a topic was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncreated {
    /// The name is not one a topic can have.
    InvalidName,
    /// There are as many topics as the configuration allows.
    Full,
}

/// All that the broker keeps; it outlives a restart.
#[derive(Debug)]
pub(super) struct Cluster {
    topics: BTreeMap<String, Topic>,
    topics_made: u32,
    next_producer_id: i64,
}

impl Cluster {
    pub(super) fn new(config: &BrokerConfig) -> Self {
        Self { topics: BTreeMap::new(), topics_made: 0, next_producer_id: config.first_producer_id }
    }

    /// A producer id that was not handed out before.
    pub(super) fn fresh_producer_id(&mut self) -> ProducerId {
        let id = ProducerId::new(self.next_producer_id);
        self.next_producer_id += 1;
        id
    }

    /// The topic of this name, made if there is none.
    pub(super) fn create(&mut self, name: &str, config: &BrokerConfig) -> Result<&mut Topic, Uncreated> {
        if !self.topics.contains_key(name) {
            if !is_legal(name) {
                return Err(Uncreated::InvalidName);
            }
            if self.topics.len() >= config.topics_max {
                return Err(Uncreated::Full);
            }
            self.topics_made += 1;
            let topic = Topic { id: topic_id(&config.cluster_id, self.topics_made), partitions: partitions(config) };
            self.topics.insert(name.to_owned(), topic);
        }
        Ok(self.topics.get_mut(name).expect("made just now if it was missing"))
    }

    /// Deletes a topic with its records; one made later under its name has another id.
    pub(super) fn delete(&mut self, name: &str) -> bool {
        self.topics.remove(name).is_some()
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.topics.iter().map(|(name, topic)| (name.as_str(), topic))
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&mut Topic> {
        self.topics.get_mut(name)
    }

    /// The name of the topic with this id.
    pub(super) fn name_of(&self, id: TopicId) -> Option<&str> {
        self.topics().find(|(_, topic)| topic.id == id).map(|(name, _)| name)
    }

    pub(super) fn partition(&mut self, topic: &str, index: i32) -> Option<&mut Partition> {
        self.named(topic)?.partitions.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn each_partition(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.topics.values_mut().flat_map(|topic| &mut topic.partitions)
    }
}

fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != "." && name != ".." && name.bytes().all(legal)
}

fn partitions(config: &BrokerConfig) -> Vec<Partition> {
    let fresh = || Partition { log: Log::new(config.log_bytes_max), producers: Producers::new(config.producers_max) };
    (0..config.partitions).map(|_| fresh()).collect()
}

/// The same at each run, other in another cluster.
fn topic_id(cluster_id: &str, ordinal: u32) -> TopicId {
    let mut id = *b"....\0\0\x40\0\x80\0\0\0....";
    id[..4].copy_from_slice(&crc32c::crc32c(cluster_id.as_bytes()).to_be_bytes());
    id[12..].copy_from_slice(&ordinal.to_be_bytes());
    TopicId(id)
}
