//! Metadata v0-13: one node, which leads every partition.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;
use seqgate_protocol::sequencing::TopicId;

use super::super::cluster::{Cluster, Topic, Uncreated};
use super::{LEADER_EPOCH, NODE_ID, Reply, Request, Shared, reply, topic_name};

pub(super) fn answer(shared: &Shared, request: &Request) -> Option<Reply> {
    let asked: MetadataRequest = request.decode()?;
    let create = asked.allow_auto_topic_creation && shared.config.auto_create_topics;
    let topics = shared.with(|cluster| match asked.topics {
        // In v0 an empty list stood for all topics; there was no null.
        Some(topics) if request.version > 0 || !topics.is_empty() => {
            topics.iter().map(|topic| one(cluster, shared, topic, create)).collect()
        }
        Some(_) | None => cluster.topics().map(|(name, topic)| described(name, topic)).collect::<Vec<_>>(),
    });
    let node = shared.node_address();
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(node.ip().to_string()))
        .with_port(i32::from(node.port()));
    let answer = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(shared.config.cluster_id.clone())))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics);
    Some(reply(request, &answer))
}

fn one(cluster: &mut Cluster, shared: &Shared, asked: &MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    let Some(name) = &asked.name else {
        return by_id(cluster, TopicId(asked.topic_id.into_bytes()));
    };
    let found = match cluster.named(name) {
        None if create => cluster.create(name, &shared.config).map_err(|uncreated| match uncreated {
            Uncreated::InvalidName => ResponseError::InvalidTopicException,
            Uncreated::Full => ResponseError::PolicyViolation,
        }),
        None => Err(ResponseError::UnknownTopicOrPartition),
        Some(_) => cluster.named(name).ok_or(ResponseError::UnknownTopicOrPartition),
    };
    match found {
        Ok(topic) => described(name, topic),
        Err(error) => MetadataResponseTopic::default().with_name(Some(name.clone())).with_error_code(error.code()),
    }
}

fn by_id(cluster: &mut Cluster, id: TopicId) -> MetadataResponseTopic {
    let found = cluster.topics().find(|(_, topic)| topic.id == id).map(|(name, topic)| described(name, topic));
    found.unwrap_or_else(|| {
        MetadataResponseTopic::default()
            .with_name(None)
            .with_topic_id(id.to_string().parse().expect("a topic id prints as a UUID"))
            .with_error_code(ResponseError::UnknownTopicId.code())
    })
}

fn described(name: &str, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![BrokerId(NODE_ID)])
            .with_isr_nodes(vec![BrokerId(NODE_ID)])
    };
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(name)))
        .with_topic_id(topic.id.to_string().parse().expect("a topic id prints as a UUID"))
        .with_partitions((0..).zip(&topic.partitions).map(|(index, _)| partition(index)).collect())
}
