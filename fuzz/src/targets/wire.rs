//! Frames, headers, batches and the answers that something is learnt from.

use bytes::Bytes as Shared;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::Decodable;
use seqgate_protocol::wire::batch::{BATCH_HEADER_BYTES, BatchView, Records};
use seqgate_protocol::wire::cursor::ParseError;
use seqgate_protocol::wire::frame::{FrameError, Piece, Splitter};
use seqgate_protocol::wire::head::{ApiKey, RequestHead, first_flexible_version};
use seqgate_protocol::wire::learn::{Fact, Learner};

use super::Bytes;

/// A stream is split the same way whether it comes at once or in pieces, and no byte is lost or made up.
pub fn splitter(data: &[u8]) {
    let mut input = Bytes(data);
    let (step, max) = (usize::from(input.u8() % 32) + 1, u32::from(input.u8()) * 16);
    let stream = input.0;
    let whole = split::<8>(stream, stream.len().max(1), max);
    assert_eq!(whole, split::<8>(stream, step, max), "requests in pieces of {step}");
    assert_eq!(
        split::<4>(stream, stream.len().max(1), max),
        split::<4>(stream, step, max),
        "responses in pieces of {step}"
    );
}

/// The ends of all frames, and how it ended.
fn split<const HEAD: usize>(stream: &[u8], step: usize, max: u32) -> (Vec<usize>, Result<bool, FrameError>) {
    let mut splitter = Splitter::<HEAD>::new(max);
    let (mut done, mut there, mut ends) = (0, 0, Vec::new());
    loop {
        let buffer = &stream[done..there];
        let piece = match splitter.next(buffer) {
            Ok(piece) => piece,
            Err(error) => return (ends, Err(error)),
        };
        match piece {
            Piece::More(wanted) => {
                assert!(wanted > buffer.len(), "it has what it asks for");
                if there == stream.len() {
                    // What is held back of a frame that is passed differs with the pieces; where frames end, not.
                    return (ends, Ok(splitter.mid_frame() || !buffer.is_empty()));
                }
                there = stream.len().min(there + step);
            }
            Piece::Begin { size, head } => {
                assert!(size <= max && size as usize >= HEAD);
                assert_eq!(buffer[4..4 + HEAD], head);
                if size % 2 == 0 { splitter.pass() } else { splitter.gather() }
            }
            Piece::Run(count) | Piece::Frame(count) => {
                assert!(count > 0 && count <= buffer.len());
                done += count;
                if !splitter.mid_frame() {
                    ends.push(done);
                }
            }
        }
    }
}

/// A header is read as an independent decoder reads it, and a beginning of it says what it lacks.
pub fn heads(data: &[u8]) {
    let Ok(head) = RequestHead::parse(data) else { return };
    assert_eq!(&data[head.body_at..], head.body);
    for cut in 0..head.body_at.min(64) {
        let needed = match RequestHead::parse(&data[..cut]) {
            Err(ParseError::Truncated { needed, .. }) => needed,
            other => panic!("a header cut after {cut} bytes: {other:?}"),
        };
        assert!(needed > cut && needed <= head.body_at, "{needed} bytes for a header of {}", head.body_at);
    }
    let flexible = first_flexible_version(head.prefix.api_key).is_some_and(|first| head.prefix.api_version >= first);
    let mut theirs = Shared::copy_from_slice(data);
    if let Ok(decoded) = RequestHeader::decode(&mut theirs, if flexible { 2 } else { 1 }) {
        assert_eq!(decoded.request_api_key, head.prefix.api_key.0);
        assert_eq!(decoded.correlation_id, head.prefix.correlation_id);
        assert_eq!(decoded.client_id.as_ref().map(|id| id.as_bytes()), head.client_id);
        assert_eq!(theirs, head.body);
    } else {
        // They refuse text that is not UTF-8, and tags out of order.
        let text = head.client_id.is_none_or(|id| std::str::from_utf8(id).is_ok());
        assert!(!text || flexible, "refused by an independent decoder: {head:?}");
    }
}

/// No field of a batch's header is out of reach, and a batch that is taken at its word is consistent.
pub fn batch(data: &[u8]) {
    let mut input = Bytes(data);
    let shift = u32::from(input.u8());
    let bytes = input.0;
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).wrapping_add(shift);
    let records = Records { len: Some(len), head: &bytes[..bytes.len().min(BATCH_HEADER_BYTES)] };
    let (viewed, taken) = (records.view(), records.batch());
    if let Ok(view) = taken {
        assert_eq!(viewed, Some(view));
        assert_eq!(u32::try_from(view.batch_length()).ok().and_then(|n| n.checked_add(12)), Some(len));
        assert!(!view.is_control() && view.base_offset() == 0);
        assert_eq!(view.range().is_some(), view.producer_id().is_idempotent());
        if let Some(range) = view.range() {
            assert_eq!(range.len(), view.records_count().cast_unsigned());
        }
    }
    if let Some(view) = viewed {
        assert_eq!(bytes[16], 2);
        assert_eq!(view.crc().to_be_bytes(), bytes[17..21]);
        assert_eq!(view.producer_id().get().to_be_bytes(), bytes[43..51]);
        assert_eq!(view.base_sequence().to_be_bytes(), bytes[53..57]);
        let _all_read = (view.attributes(), view.base_timestamp(), view.max_timestamp(), view.epoch());
    }
    assert_eq!(viewed, BatchView::new(records.head).ok());
}

/// Answers teach the same in one piece and in many.
pub fn learners(data: &[u8]) {
    const APIS: [ApiKey; 6] = [
        ApiKey::METADATA,
        ApiKey::DESCRIBE_CLUSTER,
        ApiKey::INIT_PRODUCER_ID,
        ApiKey::DELETE_TOPICS,
        ApiKey::SASL_HANDSHAKE,
        ApiKey::SASL_AUTHENTICATE,
    ];
    let mut input = Bytes(data);
    let api = APIS[usize::from(input.u8()) % APIS.len()];
    let (version, step) = (i16::from(input.u8() % 16), usize::from(input.u8() % 16) + 1);
    let learn = |step: usize| {
        let mut learner = Learner::new(api, version)?;
        let mut facts = Vec::new();
        for piece in input.0.chunks(step) {
            learner.feed(piece, &mut |fact: Fact<'_>| facts.push(format!("{fact:?}")));
        }
        assert!(!(learner.failed() && learner.finished()));
        Some((facts, learner.finished(), learner.failed()))
    };
    assert_eq!(learn(input.0.len().max(1)), learn(step));
}
