//! Produce v3-13: by name up to v12, by topic id from v13 on. acks 0 is never answered; its errors close the connection.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use seqgate_protocol::sequencing::TopicId;

use super::super::cluster::Cluster;
use super::super::partition::Outcome;
use super::{Reply, Request, Shared, reply, resolve};

/// From this version on topics go by their ids.
const IDS_SINCE: i16 = 13;

/// From this version on an answer says where the log starts.
const LOG_START_SINCE: i16 = 5;

pub(super) async fn answer(shared: &Shared, request: &Request) -> Option<Reply> {
    let asked: ProduceRequest = request.decode()?;
    if has_null_records(&asked) {
        // A real broker's request handler dies of it outside of its own error handling.
        return Some(Reply::Never);
    }
    let topics = append(shared, &asked, request.version);
    let failed = topics.iter().flat_map(|topic| &topic.partition_responses).any(|partition| partition.error_code != 0);
    shared.appends.send_modify(|appends| *appends += 1);
    if asked.acks == 0 {
        return Some(if failed { Reply::Close } else { Reply::Silence });
    }
    // An error means that the broker is gone, and this task with it.
    let _ = shared.held.subscribe().wait_for(|held| !held).await;
    Some(reply(request, &ProduceResponse::default().with_responses(topics)))
}

fn has_null_records(asked: &ProduceRequest) -> bool {
    asked.topic_data.iter().flat_map(|topic| &topic.partition_data).any(|partition| partition.records.is_none())
}

fn append(shared: &Shared, asked: &ProduceRequest, version: i16) -> Vec<TopicProduceResponse> {
    let known_acks = matches!(asked.acks, -1..=1);
    shared.with(|cluster| {
        let mut topics: Vec<TopicProduceResponse> = Vec::new();
        for topic in merged(&asked.topic_data) {
            let name = resolve(cluster, version >= IDS_SINCE, &topic.name, topic.id);
            let mut partitions = Vec::new();
            for (index, records) in topic.partitions {
                let mut answer = match &name {
                    None => refused(index, ResponseError::UnknownTopicId),
                    Some(_) if !known_acks => refused(index, ResponseError::InvalidRequiredAcks),
                    Some(name) => one(shared, cluster, name, index, records),
                };
                if version < LOG_START_SINCE {
                    answer.log_start_offset = -1;
                }
                partitions.push(answer);
            }
            let answer = TopicProduceResponse::default().with_partition_responses(partitions);
            topics.push(
                answer
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.id.to_string().parse().expect("a topic id prints as a UUID")),
            );
        }
        topics
    })
}

struct Merged<'a> {
    name: TopicName,
    id: TopicId,
    partitions: BTreeMap<i32, &'a [u8]>,
}

/// The broker gathers a request in a map: of a partition named twice the last entry wins, and a topic is answered once.
fn merged(topics: &[TopicProduceData]) -> Vec<Merged<'_>> {
    let mut merged = BTreeMap::new();
    for topic in topics {
        let id = TopicId(topic.topic_id.into_bytes());
        let fresh = || Merged { name: topic.name.clone(), id, partitions: BTreeMap::new() };
        let entry = merged.entry((topic.name.to_string(), id)).or_insert_with(fresh);
        for partition in &topic.partition_data {
            entry.partitions.insert(partition.index, partition.records.as_deref().unwrap_or_default());
        }
    }
    merged.into_values().collect()
}

fn one(shared: &Shared, cluster: &mut Cluster, topic: &str, index: i32, records: &[u8]) -> PartitionProduceResponse {
    let Some(partition) = cluster.partition(topic, index) else {
        return refused(index, ResponseError::UnknownTopicOrPartition);
    };
    let outcome = partition.append(records, shared.config.batch_bytes_max);
    shared.counters.count(&outcome);
    tracing::trace!(topic, index, ?outcome, "produced");
    let log_start = partition.log.start();
    let appended = |base_offset, append_time| {
        PartitionProduceResponse::default()
            .with_index(index)
            .with_base_offset(base_offset)
            .with_log_append_time_ms(append_time)
            .with_log_start_offset(log_start)
    };
    match outcome {
        Outcome::Appended { base_offset, .. } => appended(base_offset, -1),
        Outcome::Duplicate(original) => appended(original.base_offset, original.max_timestamp_ms),
        Outcome::RefusedByLog(error) => refused(index, error).with_log_start_offset(log_start),
        Outcome::Refused(error) => refused(index, error),
    }
}

fn refused(index: i32, error: ResponseError) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
}
