//! Produce requests and responses, against themselves in pieces, a plain reading and an independent decoder.

use bytes::Bytes as Shared;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::messages::produce_request::{ProduceRequest as TheirRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{ProduceResponse as TheirResponse, TopicProduceResponse};
use kafka_protocol::protocol::Decodable;
use seqgate_protocol::sequencing::{TopicId, TopicRef};
use seqgate_protocol::wire::batch::BATCH_HEADER_BYTES;
use seqgate_protocol::wire::produce::{OwnedTopic, ProduceEvent, ProduceRequest, ProduceResponse, ProduceWalk, Step};

use super::make::{Maker, damage};
use super::plain::{self, Message, Odd, Said, Sent, Stop};
use super::{Bytes, by_head};

/// The versions that the independent decoder knows.
const THEIR_VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

/// What a walk may ask for at once: the longest name and some fields.
const STEP_BYTES_MAX: usize = 33 << 10;

/// A partition of a request: its topic, index, and the length and beginning of its records.
type RequestEntry = (OwnedTopic, i32, Option<u32>, Vec<u8>);

/// A partition of a response: topic, index, error, base offset, append time and log start.
type ResponseEntry = (OwnedTopic, i32, i16, i64, i64, i64);

/// A walk over a whole request, one that comes in pieces, a plain reading and an independent decoder see the same,
/// and refuse the same; and so does whoever sees only its front.
pub fn produce_request(data: &[u8]) {
    let mut input = Bytes(data);
    let kind = input.u8();
    let version = i16::from(kind % 16) - 1;
    let steps = [input.u8(), input.u8()].map(|step| usize::from(step) + 1);
    if kind & 0x80 == 0 || !(0..=13).contains(&version) {
        return check_request(version, input.0, steps);
    }
    let mut body = Maker { version, input: &mut input, out: Vec::new() }.request();
    damage(&mut body, &mut input);
    check_request(version, &body, steps);
}

fn check_request(version: i16, body: &[u8], steps: [usize; 2]) {
    let ours = ProduceRequest::parse(version, body);
    let streamed = streamed(version, body, steps);
    by_head::check(version, body, steps);
    if !(0..=13).contains(&version) {
        assert!(ours.is_err() && streamed.is_none(), "version {version}");
        return;
    }
    let (plain, odd) = plain::request(version, body);
    let theirs = decodes(version, &plain, odd).then(|| {
        let mut rest = Shared::copy_from_slice(body);
        TheirRequest::decode(&mut rest, version).map(|request| (request, rest.len()))
    });
    let Ok(request) = ours else {
        assert_eq!(streamed, None, "refused whole, walked in pieces: {ours:?}");
        assert!(!is_good(&plain, odd), "refused by the walk only: {ours:?}");
        let taken = theirs.is_some_and(|theirs| theirs.is_ok_and(|(_, left)| left == 0));
        assert!(!taken || odd.long, "taken by an independent decoder only: {ours:?}");
        return;
    };
    let (fields, message) = plain.as_ref().expect("a walk refuses what a plain reading refuses");
    assert!(message.left == 0 && !odd.long, "taken by the walk only");
    let entries: Vec<RequestEntry> = request
        .entries()
        .map(|e| (OwnedTopic::from(e.topic), e.partition, e.records.len, e.records.head.to_vec()))
        .collect();
    assert_eq!(entries.len(), request.partitions);
    assert_eq!(streamed.as_deref(), Some(&entries[..]));
    assert_eq!((request.acks, request.timeout_ms), (fields.acks, fields.timeout_ms));
    assert_eq!(request.transactional_id, fields.transactional_id);
    assert_eq!(message.entries().map(|(topic, sent)| entry_sent(topic.clone(), sent)).collect::<Vec<_>>(), entries);
    let Some(theirs) = theirs else { return };
    assert_eq!(theirs.is_ok(), !odd.text, "an independent decoder refuses text that is not UTF-8: {theirs:?}");
    let Ok((theirs, left)) = theirs else { return };
    assert_eq!(left, 0);
    assert_eq!((theirs.acks, theirs.timeout_ms), (request.acks, request.timeout_ms));
    assert_eq!(theirs.transactional_id.as_ref().map(|id| id.as_bytes()), request.transactional_id);
    assert_eq!(theirs.topic_data.iter().flat_map(|topic| their_sent(version, topic)).collect::<Vec<_>>(), entries);
}

fn entry_sent(topic: OwnedTopic, sent: &Sent<'_>) -> RequestEntry {
    let records = sent.records.unwrap_or_default();
    let len = sent.records.map(|records| u32::try_from(records.len()).expect("it fits a frame"));
    (topic, sent.index, len, records[..records.len().min(BATCH_HEADER_BYTES)].to_vec())
}

fn their_sent(version: i16, topic: &TopicProduceData) -> Vec<RequestEntry> {
    let name = topic_of(version, &topic.name, topic.topic_id.as_bytes());
    let partitions = topic.partition_data.iter().map(|partition| {
        let sent = Sent { index: partition.index, records: partition.records.as_deref(), bytes: &[] };
        entry_sent(name.clone(), &sent)
    });
    partitions.collect()
}

/// Entries of a body that comes so many bytes at a time; `None` when it is refused or cut off.
fn streamed(version: i16, body: &[u8], steps: [usize; 2]) -> Option<Vec<RequestEntry>> {
    let mut steps = steps.into_iter().cycle();
    let mut walk = ProduceWalk::new(version, u32::try_from(body.len()).ok()?)?;
    let (mut at, mut there, mut entries, mut topic) = (0, 0, Vec::new(), OwnedTopic::Name(std::sync::Arc::default()));
    loop {
        match walk.step(body.get(at..there.max(at)).unwrap_or_default()).ok()? {
            Step::More(needed) => {
                assert!(needed > there.saturating_sub(at), "it has what it asks for");
                assert!(needed <= STEP_BYTES_MAX, "a walk asks for {needed} bytes at once");
                assert!(there < body.len(), "a walk waits for bytes behind the body's end");
                there = body.len().min(there.max(at) + steps.next()?);
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

/// A response is read as a plain reading and an independent decoder read it, and what one refuses all refuse.
pub fn produce_response(data: &[u8]) {
    let mut input = Bytes(data);
    let kind = input.u8();
    let version = i16::from(kind % 16) - 1;
    if kind & 0x80 == 0 || !(0..=13).contains(&version) {
        return check_response(version, input.0);
    }
    let mut frame = Maker { version, input: &mut input, out: Vec::new() }.response();
    damage(&mut frame, &mut input);
    check_response(version, &frame);
}

fn check_response(version: i16, frame: &[u8]) {
    let ours = ProduceResponse::parse(version, frame);
    if !(0..=13).contains(&version) {
        assert!(ours.is_err(), "version {version}");
        return;
    }
    let (plain, odd) = plain::response(version, frame);
    let theirs = decodes(version, &plain, odd).then(|| their_response(version, frame)).flatten();
    let Ok(response) = ours else {
        assert!(!is_good(&plain, odd), "refused by the walk only: {ours:?}");
        assert!(
            theirs.is_none_or(|(_, _, left)| left > 0) || odd.long,
            "taken by an independent decoder only: {ours:?}"
        );
        return;
    };
    let (correlation_id, message) = plain.as_ref().expect("a walk refuses what a plain reading refuses");
    assert!(message.left == 0 && !odd.long, "taken by the walk only");
    assert_eq!(response.correlation_id, *correlation_id);
    let entries: Vec<ResponseEntry> = response
        .entries()
        .map(|e| {
            let start = e.log_start_offset.unwrap_or(-1);
            (OwnedTopic::from(e.topic), e.partition, e.error, e.base_offset, e.log_append_time, start)
        })
        .collect();
    assert_eq!(message.entries().map(|(topic, said)| entry_said(topic.clone(), said)).collect::<Vec<_>>(), entries);
    let decodes = decodes(version, &plain, odd) && !odd.text;
    assert_eq!(theirs.is_some(), decodes, "an independent decoder refuses text that is not UTF-8");
    let Some((correlation_id, theirs, left)) = theirs else { return };
    assert_eq!((correlation_id, left), (response.correlation_id, 0));
    assert_eq!(theirs.responses.iter().flat_map(|topic| their_said(version, topic)).collect::<Vec<_>>(), entries);
}

pub fn their_response(version: i16, frame: &[u8]) -> Option<(i32, TheirResponse, usize)> {
    let mut rest = Shared::copy_from_slice(frame);
    let header = ResponseHeader::decode(&mut rest, i16::from(version >= 9)).ok()?;
    let response = TheirResponse::decode(&mut rest, version).ok()?;
    Some((header.correlation_id, response, rest.len()))
}

fn entry_said(topic: OwnedTopic, said: &Said<'_>) -> ResponseEntry {
    let start = said.log_start_offset.unwrap_or(-1);
    (topic, said.index, said.error, said.base_offset, said.log_append_time, start)
}

fn their_said(version: i16, topic: &TopicProduceResponse) -> Vec<ResponseEntry> {
    let name = topic_of(version, &topic.name, topic.topic_id.as_bytes());
    let partitions = topic
        .partition_responses
        .iter()
        .map(|p| (name.clone(), p.index, p.error_code, p.base_offset, p.log_append_time_ms, p.log_start_offset));
    partitions.collect()
}

fn topic_of(version: i16, name: &str, id: &[u8; 16]) -> OwnedTopic {
    OwnedTopic::from(if version >= 13 { TopicRef::Id(TopicId(*id)) } else { TopicRef::Name(name.as_bytes()) })
}

/// Whether an independent decoder may be given it: it makes room for as many entries as it is told, and reads varints
/// and the values of known tags in ways of its own.
fn decodes<T>(version: i16, plain: &Result<T, Stop>, odd: Odd) -> bool {
    THEIR_VERSIONS.contains(&version) && !odd.tag && !matches!(plain, Err(Stop::Count | Stop::Varint))
}

/// Whether a plain reading takes all of it, and no broker would refuse a text in it.
fn is_good<F, E>(plain: &Result<(F, Message<'_, E>), Stop>, odd: Odd) -> bool {
    plain.as_ref().is_ok_and(|(_, message)| message.left == 0) && !odd.long
}
