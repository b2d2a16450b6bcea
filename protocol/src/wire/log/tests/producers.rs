//! What brokers understand, and which producers they know: held against the official layouts.

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeProducersRequest, DescribeProducersResponse, RequestHeader,
};
use kafka_protocol::protocol::Decodable;

use super::*;
use crate::sequencing::{ProducerEpoch, ProducerId};
use crate::wire::cursor::ParseError;
use crate::wire::head::ApiKey;

const WANTED: ProducerId = ProducerId::new(7);

fn state(id: i64, epoch: i32, last_sequence: i32) -> ProducerState {
    ProducerState::default()
        .with_producer_id(id.into())
        .with_producer_epoch(epoch)
        .with_last_sequence(last_sequence)
        .with_last_timestamp(1_234)
        .with_current_txn_start_offset(-1)
}

fn partition(producers: Vec<ProducerState>) -> PartitionResponse {
    PartitionResponse::default().with_partition_index(PARTITION).with_active_producers(producers)
}

fn frame(partition: PartitionResponse) -> Vec<u8> {
    let name = TopicName(StrBytes::from_static_str("orders"));
    let topic = TopicResponse::default().with_name(name).with_partitions(vec![partition]);
    let response = DescribeProducersResponse::default().with_throttle_time_ms(9).with_topics(vec![topic]);
    let mut bytes = BytesMut::new();
    ResponseHeader::default().with_correlation_id(CORRELATION_ID).encode(&mut bytes, 1).unwrap();
    response.encode(&mut bytes, DESCRIBE_PRODUCERS_VERSION).unwrap();
    bytes.to_vec()
}

fn read(frame: &[u8], piece: usize) -> Result<Option<KnownProducer>, i16> {
    let mut reader = ProducersReader::new(CORRELATION_ID, b"orders", PARTITION, WANTED);
    frame.chunks(piece).for_each(|piece| reader.feed(piece));
    reader.outcome()
}

#[test]
fn the_producer_is_found_however_the_answer_comes() {
    let frame = frame(partition(vec![state(6, 0, 1), state(7, 3, 41), state(8, 0, 2)]));
    let known = KnownProducer { epoch: ProducerEpoch::new(3), last_sequence: 41, last_timestamp: 1_234 };
    for piece in 1..=frame.len() {
        assert_eq!(read(&frame, piece), Ok(Some(known)), "in pieces of {piece}");
    }
}

#[test]
fn describe_producers_epoch_is_int32() {
    assert_eq!(read(&frame(partition(vec![state(7, 65_536, 41)])), 1_000), Ok(None), "no producer has such an epoch");
}

#[test]
fn an_error_and_a_producer_that_is_not_known_are_told_apart() {
    assert_eq!(read(&frame(partition(Vec::new())), 1_000), Ok(None));
    let message = Some(StrBytes::from_static_str("no"));
    let refused = partition(Vec::new()).with_error_code(29).with_error_message(message);
    assert_eq!(read(&frame(refused), 1_000), Err(29));
}

#[test]
fn what_is_not_the_answer_says_nothing() {
    let whole = frame(partition(vec![state(7, 0, 41)]));
    for end in 0..whole.len() {
        assert_eq!(read(&whole[..end], 1_000), Err(0), "cut off at {end}");
    }
    assert_eq!(read(&[&whole[..], &[0]].concat(), 1_000), Err(0), "left over");
    assert_eq!(read(&frame(partition(Vec::new()).with_partition_index(4)), 1_000), Err(0));
    let other = ProducersReader::new(CORRELATION_ID + 1, b"orders", PARTITION, WANTED);
    let named = ProducersReader::new(CORRELATION_ID, b"other", PARTITION, WANTED);
    for mut reader in [other, named] {
        reader.feed(&whole);
        assert_eq!(reader.outcome(), Err(0));
    }
}

#[test]
fn a_part_that_is_too_long_is_not_read_however_it_comes() {
    let with_message = |bytes: usize| {
        let message = StrBytes::from_string("x".repeat(bytes));
        frame(partition(vec![state(7, 3, 41)]).with_error_message(Some(message)))
    };
    // What is ahead of the producers has 27 bytes beside the message.
    for (bytes, is_read) in [(4_096 - 27, true), (4_097 - 27, false)] {
        let frame = with_message(bytes);
        for piece in [1, 1_000, frame.len()] {
            assert_eq!(read(&frame, piece).is_ok(), is_read, "{bytes} bytes in pieces of {piece}");
        }
    }
}

/// A hostile count costs no memory and no time.
#[test]
fn an_answer_that_never_comes_to_its_producers_is_given_up() {
    let mut reader = ProducersReader::new(CORRELATION_ID, b"orders", PARTITION, WANTED);
    let whole = frame(partition(Vec::new()));
    reader.feed(&whole[..whole.len() - 4]);
    // Four billion producers, the first of which has tags without end.
    reader.feed(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    reader.feed(&[0; 36]);
    (0..2_000).for_each(|_| reader.feed(&[0xff, 0xff, 0x03, 0, 0, 0, 0]));
    assert_eq!(reader.outcome(), Err(0));
}

#[test]
fn the_requests_are_what_brokers_read() {
    let request = describe_producers(CORRELATION_ID, b"orders", PARTITION);
    let mut bytes = Bytes::from(request).slice(4..);
    let header = RequestHeader::decode(&mut bytes, 2).unwrap();
    assert_eq!((header.request_api_key, header.correlation_id), (ApiKey::DESCRIBE_PRODUCERS.0, CORRELATION_ID));
    let body = DescribeProducersRequest::decode(&mut bytes, DESCRIBE_PRODUCERS_VERSION).unwrap();
    assert!(bytes.is_empty());
    assert_eq!((body.topics[0].name.as_str(), &body.topics[0].partition_indexes[..]), ("orders", &[PARTITION][..]));
    let mut bytes = Bytes::from(api_versions(CORRELATION_ID)).slice(4..);
    assert_eq!(RequestHeader::decode(&mut bytes, 1).unwrap().request_api_key, ApiKey::API_VERSIONS.0);
    ApiVersionsRequest::decode(&mut bytes, API_VERSIONS_VERSION).unwrap();
    assert!(bytes.is_empty());
}

#[test]
fn a_broker_understands_what_it_says_it_does() {
    let says = |keys: &[(i16, i16, i16)], error: i16| {
        let api =
            |&(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max);
        let keys = keys.iter().map(api).collect();
        let response = ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys);
        let mut bytes = BytesMut::new();
        ResponseHeader::default().with_correlation_id(CORRELATION_ID).encode(&mut bytes, 0).unwrap();
        response.encode(&mut bytes, API_VERSIONS_VERSION).unwrap();
        bytes.to_vec()
    };
    let ask = |answer: &[u8]| understands(CORRELATION_ID, (ApiKey::DESCRIBE_PRODUCERS, 0), answer);
    assert_eq!(ask(&says(&[(0, 0, 9), (61, 0, 0)], 0)), Ok(true));
    assert_eq!(ask(&says(&[(61, 1, 2)], 0)), Ok(false));
    assert_eq!(ask(&says(&[(0, 0, 9)], 0)), Ok(false));
    assert_eq!(ask(&says(&[(61, 0, 0)], 35)), Ok(false));
    let whole = says(&[(61, 0, 0)], 0);
    assert_eq!(understands(CORRELATION_ID + 1, (ApiKey::DESCRIBE_PRODUCERS, 0), &whole), Ok(false));
    assert!((0..whole.len()).all(|end| ask(&whole[..end]).is_err()));
    assert_eq!(ask(&[&whole[..], &[0]].concat()), Err(ParseError::LeftOver { left: 1 }));
    let mut more = whole;
    // The count, behind the correlation id and the error.
    more[6..10].copy_from_slice(&2_i32.to_be_bytes());
    assert_eq!(ask(&more), Err(ParseError::TooMany { count: 2, left: 6 }));
}
