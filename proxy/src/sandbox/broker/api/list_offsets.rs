//! ListOffsets v1-10: the log's ends, and the first batch that reaches a timestamp.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::super::log::Log;
use super::{LEADER_EPOCH, Reply, Request, Shared, reply};

/// From this version on an answer says in which leader's epoch.
const EPOCH_SINCE: i16 = 4;

/// Where the next record goes.
const LATEST: i64 = -1;

/// The first record, and the first on local disk: the same here.
const EARLIEST: [i64; 2] = [-2, -4];

/// The record with the newest timestamp.
const MAX_TIMESTAMP: i64 = -3;

pub(super) fn answer(shared: &Shared, request: &Request) -> Option<Reply> {
    let asked: ListOffsetsRequest = request.decode()?;
    let topics = asked.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| one(shared, &topic.name, partition, request.version));
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    let answer = ListOffsetsResponse::default().with_topics(topics.collect());
    Some(reply(request, &answer))
}

fn one(shared: &Shared, topic: &str, asked: &ListOffsetsPartition, version: i16) -> ListOffsetsPartitionResponse {
    let index = asked.partition_index;
    let found =
        shared.with(|cluster| cluster.partition(topic, index).map(|found| look_up(&found.log, asked.timestamp)));
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match found {
        Some((timestamp, offset)) => {
            let epoch = if offset < 0 || version < EPOCH_SINCE { -1 } else { LEADER_EPOCH };
            answer.with_timestamp(timestamp).with_offset(offset).with_leader_epoch(epoch)
        }
        None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()).with_offset(-1),
    }
}

/// A timestamp and an offset, both -1 where there is none.
fn look_up(log: &Log, wanted: i64) -> (i64, i64) {
    if wanted == LATEST {
        return (-1, log.end());
    }
    if EARLIEST.contains(&wanted) {
        return (-1, log.start());
    }
    let headers = || log.batches().map(|batch| batch.header);
    let found = if wanted == MAX_TIMESTAMP {
        // The first of equals, as brokers answer.
        headers().reduce(|newest, next| if next.max_timestamp_ms > newest.max_timestamp_ms { next } else { newest })
    } else {
        headers().find(|header| wanted >= 0 && header.max_timestamp_ms >= wanted)
    };
    found.map_or((-1, -1), |header| (header.max_timestamp_ms, header.base_offset))
}
