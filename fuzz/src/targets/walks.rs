//! Produce requests and responses, against themselves in pieces and against an independent decoder.

use bytes::Bytes as Shared;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::messages::produce_request::ProduceRequest as TheirRequest;
use kafka_protocol::messages::produce_response::ProduceResponse as TheirResponse;
use kafka_protocol::protocol::Decodable;
use seqgate_protocol::sequencing::{TopicId, TopicRef};
use seqgate_protocol::wire::batch::BATCH_HEADER_BYTES;
use seqgate_protocol::wire::produce::{OwnedTopic, ProduceEvent, ProduceRequest, ProduceResponse, ProduceWalk, Step};

use super::Bytes;

/// The oldest version that the independent decoder knows.
const THEIR_VERSION_MIN: i16 = 3;

/// A partition of a request: its topic, index, and the beginning of its records.
type Entry = (OwnedTopic, i32, Option<u32>, Vec<u8>);

/// A walk over a whole request, one that comes in pieces, and an independent decoder see the same.
pub fn produce_request(data: &[u8]) {
    let mut input = Bytes(data);
    let (version, step) = (i16::from(input.u8() % 16) - 1, usize::from(input.u8()) + 1);
    let body = input.0;
    let whole = ProduceRequest::parse(version, body);
    let streamed = streamed(version, body, step);
    let Ok(request) = whole else {
        assert_eq!(streamed, None, "refused whole, walked in pieces");
        return;
    };
    let entries: Vec<Entry> = request
        .entries()
        .map(|e| (OwnedTopic::from(e.topic), e.partition, e.records.len, e.records.head.to_vec()))
        .collect();
    assert_eq!(entries.len(), request.partitions);
    assert_eq!(streamed.as_deref(), Some(&entries[..]));
    // Only what was walked to its end: their decoder makes room for as many entries as it is told.
    if version >= THEIR_VERSION_MIN
        && let Ok(theirs) = TheirRequest::decode(&mut Shared::copy_from_slice(body), version)
    {
        assert_eq!((theirs.acks, theirs.timeout_ms), (request.acks, request.timeout_ms));
        assert_eq!(theirs.transactional_id.as_ref().map(|id| id.as_bytes()), request.transactional_id);
        let of_topic = |topic: &kafka_protocol::messages::produce_request::TopicProduceData| {
            let name = topic_of(version, &topic.name, topic.topic_id.as_bytes());
            let partitions = topic.partition_data.iter().map(move |partition| {
                let records = partition.records.as_deref();
                let head = records.map_or(&[][..], |r| &r[..r.len().min(BATCH_HEADER_BYTES)]);
                let len = records.map(|records| u32::try_from(records.len()).expect("it fits a frame"));
                (name.clone(), partition.index, len, head.to_vec())
            });
            partitions.collect::<Vec<Entry>>()
        };
        assert_eq!(theirs.topic_data.iter().flat_map(of_topic).collect::<Vec<_>>(), entries);
    }
}

/// Entries of a body that comes `step` bytes at a time; `None` when it is refused or cut off.
fn streamed(version: i16, body: &[u8], step: usize) -> Option<Vec<Entry>> {
    let mut walk = ProduceWalk::new(version, u32::try_from(body.len()).ok()?)?;
    let (mut at, mut there, mut entries, mut topic) = (0, 0, Vec::new(), OwnedTopic::Name(std::sync::Arc::default()));
    loop {
        match walk.step(body.get(at..there.max(at)).unwrap_or_default()).ok()? {
            Step::More(needed) => {
                assert!(needed > there.saturating_sub(at), "it has what it asks for");
                if there >= body.len() {
                    return None;
                }
                there = body.len().min(there.max(at) + step);
            }
            Step::Event { consumed, skip, event } => {
                at += consumed + skip as usize;
                match event {
                    ProduceEvent::Topic(of) => topic = OwnedTopic::from(of),
                    ProduceEvent::Partition { index, records } => {
                        entries.push((topic.clone(), index, records.len, records.head.to_vec()));
                    }
                    ProduceEvent::End => return Some(entries),
                    ProduceEvent::Head { .. } | ProduceEvent::Tags(_) => {}
                }
            }
        }
    }
}

/// A response is read as an independent decoder reads it.
pub fn produce_response(data: &[u8]) {
    let mut input = Bytes(data);
    let version = i16::from(input.u8() % 16) - 1;
    let frame = input.0;
    let Ok(response) = ProduceResponse::parse(version, frame) else { return };
    let entries: Vec<_> = response
        .entries()
        .map(|e| {
            let start = e.log_start_offset.unwrap_or(-1);
            (OwnedTopic::from(e.topic), e.partition, e.error, e.base_offset, e.log_append_time, start)
        })
        .collect();
    if version < THEIR_VERSION_MIN {
        return;
    }
    let mut rest = Shared::copy_from_slice(frame);
    let Ok(header) = ResponseHeader::decode(&mut rest, i16::from(version >= 9)) else { return };
    assert_eq!(header.correlation_id, response.correlation_id);
    if let Ok(theirs) = TheirResponse::decode(&mut rest, version) {
        let of_topic = |topic: &kafka_protocol::messages::produce_response::TopicProduceResponse| {
            let name = topic_of(version, &topic.name, topic.topic_id.as_bytes());
            let partitions = topic.partition_responses.iter().map(move |p| {
                let start = p.log_start_offset;
                (name.clone(), p.index, p.error_code, p.base_offset, p.log_append_time_ms, start)
            });
            partitions.collect::<Vec<_>>()
        };
        assert_eq!(theirs.responses.iter().flat_map(of_topic).collect::<Vec<_>>(), entries);
    }
}

fn topic_of(version: i16, name: &str, id: &[u8; 16]) -> OwnedTopic {
    OwnedTopic::from(if version >= 13 { TopicRef::Id(TopicId(*id)) } else { TopicRef::Name(name.as_bytes()) })
}
