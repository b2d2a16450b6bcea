use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as Theirs, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

#[test]
fn header_versions_agree_with_an_independent_table() {
    for theirs in Theirs::iter() {
        let ours = ApiKey(theirs as i16);
        assert_eq!(ours.name(), format!("{theirs:?}"));
        let versions = theirs.valid_versions();
        for version in versions.min..=versions.max {
            let request = if request_header_is_flexible(ours, version) { 2 } else { 1 };
            let response = i16::from(response_header_is_flexible(ours, version));
            assert_eq!(request, theirs.request_header_version(version), "{theirs:?} request v{version}");
            assert_eq!(response, theirs.response_header_version(version), "{theirs:?} response v{version}");
        }
    }
}

#[test]
fn api_versions_response_header_v0_for_flexible() {
    for version in 0..=5 {
        assert!(!response_header_is_flexible(ApiKey::API_VERSIONS, version));
    }
    assert!(request_header_is_flexible(ApiKey::API_VERSIONS, 3));
    assert!(!request_header_is_flexible(ApiKey::API_VERSIONS, 2));
}

#[test]
fn names_are_a_bounded_set() {
    let names: Vec<_> = (i16::MIN..=i16::MAX).map(|key| ApiKey(key).name()).filter(|&name| name != "unknown").collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), 93);
    assert_eq!(distinct.len(), names.len());
    assert_eq!(ApiKey(-1).name(), "unknown");
    assert_eq!(ApiKey(93).name(), "unknown");
    assert_eq!(first_flexible_version(ApiKey(93)), None);
}

#[test]
fn null_client_id_and_header_tagged_fields() {
    let classic = [0, 0, 0, 8, 1, 2, 3, 4, 0xff, 0xff, 0xaa];
    let head = RequestHead::parse(&classic).unwrap();
    assert_eq!(head.prefix, RequestPrefix { api_key: ApiKey::PRODUCE, api_version: 8, correlation_id: 0x0102_0304 });
    assert_eq!((head.client_id, head.body_at, head.body), (None, 10, &[0xaa][..]));

    // Two tagged fields: number 0 of three bytes, number 300 of none.
    let flexible = [0, 0, 0, 9, 0, 0, 0, 7, 0xff, 0xff, 2, 0, 3, 1, 2, 3, 0xac, 2, 0, 0xbb];
    let head = RequestHead::parse(&flexible).unwrap();
    assert_eq!((head.client_id, head.body_at, head.body), (None, 19, &[0xbb][..]));

    // The length of a client id stays an int16 in flexible headers.
    let named = [0, 0, 0, 9, 0, 0, 0, 7, 0, 1, b'c', 0, 0xcc];
    let head = RequestHead::parse(&named).unwrap();
    assert_eq!((head.client_id, head.body_at, head.body), (Some(&b"c"[..]), 12, &[0xcc][..]));
}

#[test]
fn a_header_that_is_cut_off_says_how_many_bytes_it_needs() {
    let frame = [0, 0, 0, 9, 0, 0, 0, 7, 0, 1, b'c', 1, 0, 2, 9, 9];
    for cut in 0..frame.len() {
        match RequestHead::parse(&frame[..cut]) {
            Err(ParseError::Truncated { needed, have }) => {
                assert_eq!(have, cut);
                assert!(needed > cut && needed <= frame.len(), "{needed} of {cut}");
            }
            other => panic!("{cut} bytes: {other:?}"),
        }
    }
    assert!(RequestHead::parse(&frame).is_ok());
}

#[test]
fn headers_without_a_known_layout_are_refused_or_read_as_classic() {
    let shutdown = [0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(RequestHead::parse(&shutdown), Err(ParseError::Version { version: 0 }));
    let unknown = [0x7f, 0xff, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 1];
    assert_eq!(RequestHead::parse(&unknown).map(|head| head.body_at), Ok(10));
    let negative = [0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xfe, 0];
    assert_eq!(RequestHead::parse(&negative), Err(ParseError::NegativeLength { length: -2 }));
}

fn apis() -> impl Strategy<Value = (Theirs, i16)> {
    proptest::sample::select(Theirs::iter().collect::<Vec<_>>()).prop_flat_map(|theirs| {
        let versions = theirs.valid_versions();
        (Just(theirs), versions.min..=versions.max)
    })
}

proptest! {
    #[test]
    fn headers_of_an_independent_encoder_are_read(
        (theirs, version) in apis(), correlation_id: i32,
        client_id in proptest::option::of("[a-z0-9-]{0,40}"),
        tags in proptest::collection::btree_map(0_i32..500, proptest::collection::vec(any::<u8>(), 0..200), 0..3),
    ) {
        let api = theirs as i16;
        let header_version = theirs.request_header_version(version);
        let mut header = RequestHeader::default()
            .with_request_api_key(api)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(client_id.clone().map(StrBytes::from_string));
        if header_version == 2 {
            for (tag, value) in tags {
                header = header.with_unknown_tagged_field(tag, Bytes::from(value));
            }
        }
        let mut frame = BytesMut::new();
        header.encode(&mut frame, header_version).unwrap();
        let body_at = frame.len();
        frame.extend_from_slice(b"body");
        let head = RequestHead::parse(&frame).unwrap();
        prop_assert_eq!(head.prefix, RequestPrefix { api_key: ApiKey(api), api_version: version, correlation_id });
        prop_assert_eq!(head.client_id, client_id.as_deref().map(str::as_bytes));
        prop_assert_eq!(head.body_at, body_at);
        prop_assert_eq!(head.body, b"body");
    }

    #[test]
    fn no_bytes_make_a_header_panic(frame in proptest::collection::vec(any::<u8>(), 0..60), api in 0_u8..93) {
        let _ = RequestHead::parse(&frame);
        let mut known = vec![0, api];
        known.extend(frame);
        let _ = RequestHead::parse(&known);
    }
}
