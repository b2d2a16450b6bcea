//! Every request in every version as kafka-protocol encodes it, whole, cut short and inflated.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProduceRequest, TopicName, TransactionalId, fetch_request, list_offsets_request, metadata_request,
    produce_request,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::*;

const NAME: TopicName = TopicName(StrBytes::from_static_str("t"));

fn frame(operation: Operation, version: i16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(0); // the length is not looked at again
    frame.put_i16(operation.key());
    frame.put_i16(version);
    frame.put_i32(9);
    frame.put_i16(1);
    frame.put_u8(b'c');
    if operation.is_flexible(version) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame.freeze()
}

fn encoded(message: &impl Encodable, version: i16) -> BytesMut {
    let mut body = BytesMut::new();
    message.encode(&mut body, version).expect("encodes");
    body
}

fn sample(operation: Operation, version: i16) -> BytesMut {
    match operation {
        Operation::Produce => {
            let partition =
                produce_request::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"x")));
            let topic = produce_request::TopicProduceData::default().with_partition_data(vec![partition]);
            let topic = if version < 13 { topic.with_name(NAME) } else { topic };
            encoded(&ProduceRequest::default().with_topic_data(vec![topic]), version)
        }
        Operation::Fetch => {
            let topic = fetch_request::FetchTopic::default().with_partitions(vec![Default::default(); 2]);
            let topic = if version < 13 { topic.with_topic(NAME) } else { topic };
            encoded(&FetchRequest::default().with_topics(vec![topic]), version)
        }
        Operation::ListOffsets => {
            let topic = list_offsets_request::ListOffsetsTopic::default().with_name(NAME);
            let topic = topic.with_partitions(vec![Default::default(); 2]);
            encoded(&ListOffsetsRequest::default().with_topics(vec![topic]), version)
        }
        Operation::Metadata => {
            let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(NAME));
            encoded(&MetadataRequest::default().with_topics(Some(vec![topic])), version)
        }
        Operation::FindCoordinator => {
            let key = StrBytes::from_static_str("g");
            let request = FindCoordinatorRequest::default();
            let request = if version < 4 { request.with_key(key) } else { request.with_coordinator_keys(vec![key]) };
            encoded(&request, version)
        }
        Operation::ApiVersions => encoded(&ApiVersionsRequest::default(), version),
        Operation::InitProducerId => {
            let id = TransactionalId(StrBytes::from_static_str("x"));
            encoded(&InitProducerIdRequest::default().with_transactional_id(Some(id)), version)
        }
    }
}

fn every_sample() -> impl Iterator<Item = (Operation, i16, BytesMut)> {
    let versions =
        Operation::ALL.into_iter().flat_map(|operation| operation.versions().map(move |version| (operation, version)));
    versions.map(|(operation, version)| (operation, version, sample(operation, version)))
}

#[test]
fn every_version_is_walked_exactly_to_its_end() {
    for (operation, version, body) in every_sample() {
        let flexible = operation.is_flexible(version);
        let mut walk = Walk::new(&body, version, flexible);
        assert_eq!(walk.structure(operation.fields()), Ok(()), "{operation:?} v{version}");
        assert!(walk.rest().is_empty(), "{operation:?} v{version} leaves {} bytes", walk.rest().len());
    }
}

#[test]
fn a_request_that_ends_early_is_refused() {
    for (operation, version, body) in every_sample() {
        for end in 0..body.len() {
            let read = read(&frame(operation, version, &body[..end]));
            assert!(matches!(read, Read::Refused), "{operation:?} v{version} cut at {end} of {}", body.len());
        }
    }
}

#[test]
fn a_claim_of_two_billion_entries_is_refused() {
    let plain = [&[0xff; 2][..], &[0; 6], &[0x7f, 0xff, 0xff, 0xff]].concat();
    let compact = [&[0][..], &[0; 6], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    for (version, body) in [(3, plain), (9, compact)] {
        assert!(matches!(read(&frame(Operation::Produce, version, &body)), Read::Refused), "v{version}");
    }
}

#[test]
fn unknown_requests_and_versions_are_refused() {
    let head = |key: i16, version: i16| {
        let mut frame = BytesMut::from(&[0; 4][..]);
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(5);
        frame.put_i16(-1);
        frame.freeze()
    };
    for (key, version) in [(77, 0), (-1, 0), (0, 2), (0, 99), (3, -1), (3, 200)] {
        assert!(matches!(read(&head(key, version)), Read::Refused), "key {key} v{version}");
    }
    for version in [5, 99, -1, i16::MAX] {
        assert!(matches!(read(&head(18, version)), Read::UnknownApiVersions { correlation: 5 }), "v{version}");
    }
    for length in 0..8 {
        assert!(matches!(read(&Bytes::from(vec![0; 4 + length])), Read::Refused), "{length} bytes");
    }
}
