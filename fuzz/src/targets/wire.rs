//! Frames, headers and batches.

use bytes::Bytes as Shared;
use kafka_protocol::messages::{ApiKey as TheirKey, RequestHeader};
use kafka_protocol::protocol::Decodable;
use seqgate_protocol::wire::batch::{BATCH_HEADER_BYTES, BatchView, Records};
use seqgate_protocol::wire::cursor::ParseError;
use seqgate_protocol::wire::frame::{FrameError, Piece, Splitter};
use seqgate_protocol::wire::head::{ApiKey, RequestHead, first_flexible_version, response_header_is_flexible};

use super::Bytes;

/// The ends of all frames of a stream, and how it ends: inside a frame, or in a way that ends the connection.
type Split = (Vec<usize>, Result<bool, FrameError>);

/// A stream is split the same way whether it comes at once or in pieces, which is how a plain reading splits it, and
/// no byte is lost or made up.
pub fn splitter(data: &[u8]) {
    let mut input = Bytes(data);
    let max = u32::from(input.u8()) * 16;
    let steps = [input.u8(), input.u8(), input.u8()].map(|step| usize::from(step % 32) + 1);
    let stream = input.0;
    let at_once = [stream.len().max(1); 3];
    let requests = split_plainly(stream, 8, max);
    assert_eq!(split::<8>(stream, at_once, max), requests, "requests at once");
    assert_eq!(split::<8>(stream, steps, max), requests, "requests in pieces of {steps:?}");
    let responses = split_plainly(stream, 4, max);
    assert_eq!(split::<4>(stream, at_once, max), responses, "responses at once");
    assert_eq!(split::<4>(stream, steps, max), responses, "responses in pieces of {steps:?}");
}

fn split<const HEAD: usize>(stream: &[u8], steps: [usize; 3], max: u32) -> Split {
    let mut steps = steps.into_iter().cycle();
    let mut splitter = Splitter::<HEAD>::new(max);
    let (mut done, mut there, mut ends) = (0, 0, Vec::new());
    // Bytes of the present frame that are still to come out.
    let mut left = 0;
    loop {
        let buffer = &stream[done..there];
        let piece = match splitter.next(buffer) {
            Ok(piece) => piece,
            Err(error) => return (ends, Err(error)),
        };
        match piece {
            Piece::More(wanted) => {
                assert!(wanted > buffer.len(), "it has what it asks for");
                assert!(wanted <= 4 + max.max(HEAD as u32) as usize, "it asks for {wanted} bytes");
                if there == stream.len() {
                    // What is held back of a frame that is passed differs with the pieces; where frames end, not.
                    return (ends, Ok(splitter.mid_frame() || !buffer.is_empty()));
                }
                there = stream.len().min(there + steps.next().unwrap_or(1));
            }
            Piece::Begin { size, head } => {
                assert!(size <= max && size as usize >= HEAD && left == 0);
                assert_eq!(buffer[4..4 + HEAD], head);
                left = size as usize + 4;
                if head[HEAD - 1].is_multiple_of(2) { splitter.pass() } else { splitter.gather() }
            }
            Piece::Run(count) | Piece::Frame(count) => {
                assert!(count > 0 && count <= buffer.len() && count <= left);
                assert!(matches!(piece, Piece::Run(_)) || count == left, "a part of a frame in place of all of it");
                done += count;
                left -= count;
                assert_eq!(splitter.mid_frame(), left > 0);
                if left == 0 {
                    ends.push(done);
                }
            }
        }
    }
}

/// Four bytes of length, and as many more: there is no more to it.
fn split_plainly(stream: &[u8], head: usize, max: u32) -> Split {
    let (mut at, mut ends) = (0, Vec::new());
    while let Some((length, rest)) = stream[at..].split_first_chunk::<4>() {
        let signed = i32::from_be_bytes(*length);
        let Ok(size) = u32::try_from(signed) else { return (ends, Err(FrameError::Negative { size: signed })) };
        if (size as usize) < head {
            return (ends, Err(FrameError::TooShort { size, min: head }));
        }
        if size > max {
            return (ends, Err(FrameError::TooLarge { size, limit: max }));
        }
        if rest.len() < size as usize {
            return (ends, Ok(true));
        }
        at += 4 + size as usize;
        ends.push(at);
    }
    (ends, Ok(at < stream.len()))
}

/// A header is read as an independent decoder reads it, what one refuses both refuse, and a beginning of it says what
/// it lacks.
pub fn heads(data: &[u8]) {
    let ours = RequestHead::parse(data);
    let Some((key, version)) = data.first_chunk().map(|&[k0, k1, v0, v1]| ([k0, k1], [v0, v1])) else {
        assert!(ours.is_err());
        return;
    };
    let (key, version) = (ApiKey(i16::from_be_bytes(key)), i16::from_be_bytes(version));
    let flexible = first_flexible_version(key).is_some_and(|first| version >= first);
    check_tables(key, version, flexible);
    let mut rest = Shared::copy_from_slice(data);
    let theirs = RequestHeader::decode(&mut rest, if flexible { 2 } else { 1 });
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(theirs.request_api_key, ours.prefix.api_key.0);
            assert_eq!(theirs.request_api_version, ours.prefix.api_version);
            assert_eq!(theirs.correlation_id, ours.prefix.correlation_id);
            assert_eq!(theirs.client_id.as_ref().map(|id| id.as_bytes()), ours.client_id);
            assert_eq!(rest, ours.body);
            check_beginnings(data, ours.body_at);
        }
        (Ok(ours), Err(error)) => {
            let is_text = ours.client_id.is_none_or(|id| std::str::from_utf8(id).is_ok());
            assert!(!is_text, "refused by an independent decoder: {error}");
            check_beginnings(data, ours.body_at);
        }
        // They do not know the one header without a client id, and cut varints off at 32 bits.
        (Err(ParseError::Version { .. }), _) => assert_eq!((key, version), (ApiKey::CONTROLLED_SHUTDOWN, 0)),
        (Err(ParseError::Varint), _) => assert!(flexible),
        (Err(error), theirs) => assert!(theirs.is_err(), "refused by the walk only: {error}"),
    }
}

/// Which headers have tagged fields is a table of ours and one of theirs.
fn check_tables(key: ApiKey, version: i16, flexible: bool) {
    let Ok(theirs) = TheirKey::try_from(key.0) else { return };
    let versions = theirs.valid_versions();
    if (versions.min..=versions.max).contains(&version) && key != ApiKey::CONTROLLED_SHUTDOWN {
        assert_eq!(theirs.request_header_version(version), if flexible { 2 } else { 1 }, "{} v{version}", key.name());
        let response = i16::from(response_header_is_flexible(key, version));
        assert_eq!(theirs.response_header_version(version), response, "{} v{version}", key.name());
    }
}

fn check_beginnings(data: &[u8], body_at: usize) {
    for cut in 0..body_at.min(64) {
        let needed = match RequestHead::parse(&data[..cut]) {
            Err(ParseError::Truncated { needed, .. }) => needed,
            other => panic!("a header cut after {cut} bytes: {other:?}"),
        };
        assert!(needed > cut && needed <= body_at, "{needed} bytes for a header of {body_at}");
    }
}

/// No field of a batch's header is out of reach, and exactly the batches that a broker takes are taken at their word.
pub fn batch(data: &[u8]) {
    let mut input = Bytes(data);
    let shift = u32::from(input.u8());
    let bytes = input.0;
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).wrapping_add(shift);
    let head = &bytes[..bytes.len().min(BATCH_HEADER_BYTES)];
    let records = Records { len: Some(len), head };
    let (viewed, taken) = (records.view(), records.batch());
    assert_eq!(viewed, BatchView::new(head).ok());
    let Some(view) = viewed else {
        assert!(head.len() < BATCH_HEADER_BYTES || head[16] != 2, "a header of magic 2 is refused");
        assert!(taken.is_err());
        return;
    };
    let i16_at = |at: usize| i16::from_be_bytes([head[at], head[at + 1]]);
    let i32_at = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let i64_at = |at: usize| i64::from(i32_at(at)) << 32 | i64::from(i32_at(at + 4).cast_unsigned());
    assert_eq!(head[16], 2);
    assert_eq!((view.base_offset(), view.batch_length()), (i64_at(0), i32_at(8)));
    assert_eq!((view.crc(), view.attributes()), (i32_at(17).cast_unsigned(), i16_at(21)));
    assert_eq!((view.last_offset_delta(), view.records_count()), (i32_at(23), i32_at(57)));
    assert_eq!((view.base_timestamp(), view.max_timestamp()), (i64_at(27), i64_at(35)));
    assert_eq!(
        (view.producer_id().get(), view.epoch().get(), view.base_sequence()),
        (i64_at(43), i16_at(51), i32_at(53))
    );
    assert_eq!((view.is_transactional(), view.is_control()), (head[22] & 0x10 != 0, head[22] & 0x20 != 0));

    let fills = i64::from(i32_at(8)) + 12 == i64::from(len);
    let counts = i32_at(57) > 0 && i32_at(23) == i32_at(57) - 1 && i64_at(0) == 0;
    let sequences = i64_at(43) < 0 || (i32_at(53) >= 0 && i16_at(51) >= 0);
    assert_eq!(taken.is_ok(), fills && head[22] & 0x20 == 0 && counts && sequences, "{taken:?}");
    if taken.is_ok() {
        assert_eq!(view.range().is_some(), i64_at(43) >= 0);
    }
    if let Some(range) = view.range() {
        let first = i64::from(i32_at(53));
        let last = (first + i64::from(i32_at(23))) & i64::from(i32::MAX);
        assert_eq!((i64::from(range.first.get()), i64::from(range.last.get())), (first, last));
        assert_eq!(i64::from(range.len()), i64::from(i32_at(23)) + 1);
    }
}
