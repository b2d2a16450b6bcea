//! Fetch v4-16: by name up to v12, by topic id from v13 on. Sessions are refused politely: id 0 in every answer.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use seqgate_protocol::sequencing::TopicId;
use tokio::time::{Instant, timeout_at};

use super::super::cluster::Cluster;
use super::{Reply, Request, Shared, reply, resolve};

/// From this version on topics go by their ids.
const IDS_SINCE: i16 = 13;

/// The most that one answer holds, whatever the client would take: `fetch.max.bytes`.
const ANSWER_BYTES_MAX: usize = 55 * 1024 * 1024;

pub(super) async fn answer(shared: &Shared, request: &Request) -> Option<Reply> {
    let asked: FetchRequest = request.decode()?;
    if asked.session_id != 0 {
        let code = ResponseError::FetchSessionIdNotFound.code();
        return Some(reply(request, &FetchResponse::default().with_error_code(code)));
    }
    let topics = gathered(shared, &asked, request.version).await;
    Some(reply(request, &FetchResponse::default().with_responses(topics)))
}

/// Reads again after each append until there is enough, or an error, or the time is up.
async fn gathered(shared: &Shared, asked: &FetchRequest, version: i16) -> Vec<FetchableTopicResponse> {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(asked.max_wait_ms).unwrap_or(0));
    let enough = usize::try_from(asked.min_bytes).unwrap_or(0);
    let mut appends = shared.appends.subscribe();
    loop {
        appends.mark_unchanged();
        let mut round = Round { left: limit(asked.max_bytes).min(ANSWER_BYTES_MAX), read: 0, failed: false };
        let topics = shared.with(|cluster| {
            let one = |topic| round.topic(cluster, topic, version >= IDS_SINCE);
            asked.topics.iter().map(one).collect()
        });
        let done = round.read >= enough || round.failed || asked.topics.is_empty();
        if done || timeout_at(deadline, appends.changed()).await.is_err() {
            return topics;
        }
    }
}

fn limit(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

/// One pass over the partitions asked for.
struct Round {
    left: usize,
    read: usize,
    failed: bool,
}

impl Round {
    fn topic(&mut self, cluster: &mut Cluster, asked: &FetchTopic, by_id: bool) -> FetchableTopicResponse {
        let name = resolve(cluster, by_id, &asked.topic, TopicId(asked.topic_id.into_bytes()));
        let partitions = asked.partitions.iter().map(|partition| match &name {
            Some(name) => self.partition(cluster, name, partition),
            None => self.refused(partition.partition, ResponseError::UnknownTopicId),
        });
        FetchableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_topic(asked.topic.clone())
            .with_topic_id(asked.topic_id)
    }

    fn partition(&mut self, cluster: &mut Cluster, topic: &str, asked: &FetchPartition) -> PartitionData {
        let Some(partition) = cluster.partition(topic, asked.partition) else {
            return self.refused(asked.partition, ResponseError::UnknownTopicOrPartition);
        };
        let log = &partition.log;
        let ends = |answer: PartitionData| {
            answer.with_high_watermark(log.end()).with_last_stable_offset(log.end()).with_log_start_offset(log.start())
        };
        if !(log.start()..=log.end()).contains(&asked.fetch_offset) {
            return ends(self.refused(asked.partition, ResponseError::OffsetOutOfRange));
        }
        let most = limit(asked.partition_max_bytes).min(self.left);
        let records = log.read(asked.fetch_offset, most, self.read == 0);
        self.read += records.len();
        self.left = self.left.saturating_sub(records.len());
        ends(entry(asked.partition)).with_records(Some(records))
    }

    fn refused(&mut self, index: i32, error: ResponseError) -> PartitionData {
        self.failed = true;
        entry(index).with_error_code(error.code()).with_high_watermark(-1)
    }
}

fn entry(index: i32) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(bytes::Bytes::new()))
}
