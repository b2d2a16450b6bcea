//! Leaving entries out of a request and putting them back into its answer.

use std::collections::HashSet;

use seqgate_protocol::wire::head::RequestHead;
use seqgate_protocol::wire::produce::{AnswerEntry, OwnedTopic, ProduceRequest, ProduceResponse, answer, merge, strip};

use super::Bytes;

/// What is stripped and what is left make up the request, and merging their answers makes up the answer. Merging
/// into any bytes at all gives something that parses, or nothing.
pub fn edit(data: &[u8]) {
    let mut input = Bytes(data);
    let (version, mask) = (i16::from(input.u8() % 14), input.u8());
    let keep = |at: usize| mask >> (at % 8) & 1 == 1;
    if let Some(answered) = strip_one(version, input.0, keep) {
        merge_back(version, &answered, keep);
    }
    let kept = [AnswerEntry {
        topic: if version >= 13 {
            OwnedTopic::Id(seqgate_protocol::sequencing::TopicId([7; 16]))
        } else {
            OwnedTopic::Name(b"t".as_slice().into())
        },
        partition: i32::from(mask % 4),
        error: 0,
        base_offset: 1,
        log_append_time: -1,
        log_start_offset: 0,
    }];
    if let Ok(merged) = merge(version, input.0, &kept) {
        ProduceResponse::parse(version, &merged[4..]).expect("a merged answer parses");
    }
}

/// Makes a frame around `body`, strips it, and returns the entries that an answer must have.
fn strip_one(version: i16, body: &[u8], keep: impl Fn(usize) -> bool) -> Option<Vec<AnswerEntry>> {
    let request = ProduceRequest::parse(version, body).ok()?;
    let mut frame = vec![0; 6];
    frame.extend(version.to_be_bytes());
    frame.extend([0, 0, 0, 9, 0xff, 0xff]);
    if version >= 9 {
        frame.push(0);
    }
    frame.extend(body);
    let size = u32::try_from(frame.len() - 4).ok()?;
    frame[..4].copy_from_slice(&size.to_be_bytes());

    let stripped = strip(&frame, &keep).expect("a request that parses can be stripped");
    assert_eq!(stripped[..4], u32::try_from(stripped.len() - 4).ok()?.to_be_bytes());
    let head = RequestHead::parse(&stripped[4..]).expect("the header is as it was");
    let left = ProduceRequest::parse(version, head.body).expect("what is left parses");
    let wanted: Vec<_> = request.entries().enumerate().filter(|(at, _)| keep(*at)).map(|(_, entry)| entry).collect();
    assert_eq!(left.entries().collect::<Vec<_>>(), wanted);
    assert_eq!((left.acks, left.timeout_ms), (request.acks, request.timeout_ms));

    let answered = (0_i16..).zip(request.entries()).map(|(n, entry)| AnswerEntry {
        topic: OwnedTopic::from(entry.topic),
        partition: entry.partition,
        error: n,
        base_offset: i64::from(n) * 10,
        log_append_time: if version >= 2 { 5 } else { -1 },
        log_start_offset: 0,
    });
    Some(answered.collect())
}

fn merge_back(version: i16, answered: &[AnswerEntry], keep: impl Fn(usize) -> bool) {
    let distinct: HashSet<_> = answered.iter().map(|entry| (&entry.topic, entry.partition)).collect();
    if distinct.len() < answered.len() {
        return;
    }
    let part = |sent: bool| -> Vec<AnswerEntry> {
        let entries = answered.iter().enumerate().filter(|(at, _)| keep(*at) == sent);
        entries.map(|(_, entry)| entry.clone()).collect()
    };
    let broker = answer(version, 9, &part(true));
    let merged = merge(version, &broker, &part(false)).expect("an answer of ours can be added to");
    let response = ProduceResponse::parse(version, &merged[4..]).expect("a merged answer parses");
    assert_eq!(response.correlation_id, 9);
    let all: HashSet<_> =
        response.entries().map(|e| (OwnedTopic::from(e.topic), e.partition, e.error, e.base_offset)).collect();
    let wanted: HashSet<_> = answered.iter().map(|e| (e.topic.clone(), e.partition, e.error, e.base_offset)).collect();
    assert_eq!(all, wanted);
}
