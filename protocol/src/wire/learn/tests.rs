use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use kafka_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use kafka_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use kafka_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use kafka_protocol::messages::{ResponseHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn tag() -> std::collections::BTreeMap<i32, Bytes> {
    [(3, Bytes::from_static(b"later")), (900, Bytes::new())].into()
}

/// A response as an independent encoder writes it, without its length.
fn encode(api: ApiKey, version: i16, response: &impl Encodable) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let flexible = response_header_is_flexible(api, version);
    ResponseHeader::default().with_correlation_id(7).encode(&mut bytes, i16::from(flexible)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

/// What is learnt from a response that comes in `pieces`, and how that ends.
fn learn<'a>(api: ApiKey, version: i16, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, bool, bool) {
    let mut learner = Learner::new(api, version).unwrap();
    let mut facts = Vec::new();
    for piece in pieces {
        learner.feed(piece, &mut |fact| facts.push(show(fact)));
        assert!(!(learner.failed() && learner.finished()));
        assert!(learner.reader.text().len() <= reader::TEXT_BYTES_MAX);
    }
    (facts, learner.finished(), learner.failed())
}

fn show(fact: Fact<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let topic = |error, name: Option<&[u8]>, id: Option<TopicId>| {
        format!("error {error}, name {:?}, id {:?}", name.map(text), id.map(|id| id.to_string()))
    };
    match fact {
        Fact::ClusterId(id) => format!("cluster {}", text(id)),
        Fact::Broker { node_id, host, port } => format!("broker {node_id} {}:{port}", text(host)),
        Fact::Topic { error, name, id } => format!("topic {}", topic(error, name, id)),
        Fact::DeletedTopic { error, name, id } => format!("deleted {}", topic(error, name, id)),
        Fact::Producer { error, producer_id, epoch } => {
            format!("producer {} {} error {error}", producer_id.get(), epoch.get())
        }
        Fact::SaslHandshake { error } => format!("handshake error {error}"),
        Fact::SaslAuthenticate { error, session_lifetime_ms } => {
            format!("sasl error {error} for {session_lifetime_ms}")
        }
    }
}

/// Checks what is learnt from a response whole, byte by byte, cut in two anywhere, cut off, and with a byte too many.
fn check(api: ApiKey, version: i16, bytes: &[u8], expected: &[String]) {
    let (facts, finished, failed) = learn(api, version, [bytes]);
    assert_eq!(facts, expected, "{} v{version}", api.name());
    assert!(finished && !failed, "{} v{version}", api.name());
    let whole = (facts, finished, failed);
    assert_eq!(learn(api, version, bytes.chunks(1)), whole, "{} v{version} byte by byte", api.name());
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(learn(api, version, [head, tail]), whole, "{} v{version} cut at {cut}", api.name());
        let (facts, finished, failed) = learn(api, version, [head]);
        assert!(!finished && !failed, "{} v{version} ends after {cut} bytes", api.name());
        assert_eq!(facts, expected[..facts.len()]);
    }
    let (facts, finished, failed) = learn(api, version, [bytes, &[0]]);
    assert_eq!((&facts[..], finished, failed), (expected, false, true));
}

fn metadata(version: i16) -> MetadataResponse {
    let broker = |id: i32, host: &str, rack: Option<&str>| {
        let broker =
            MetadataResponseBroker::default().with_node_id(id.into()).with_host(text(host)).with_port(9092 + id);
        if version >= 1 { broker.with_rack(rack.map(text)) } else { broker }
    };
    let partition = |index: i32| {
        let partition = MetadataResponsePartition::default()
            .with_error_code(9)
            .with_partition_index(index)
            .with_leader_id(1.into())
            .with_replica_nodes(vec![1.into(), 2.into(), 3.into()])
            .with_isr_nodes(vec![]);
        if version >= 5 { partition.with_offline_replicas(vec![3.into()]) } else { partition }
    };
    let topic = |error: i16, name: Option<&str>, id: u8, partitions: Vec<i32>| {
        let topic = MetadataResponseTopic::default()
            .with_error_code(error)
            .with_name(name.map(|name| TopicName(text(name))))
            .with_partitions(partitions.into_iter().map(partition).collect());
        if version >= 10 { topic.with_topic_id(vec![id; 16].try_into().unwrap()) } else { topic }
    };
    let mut topics = vec![topic(0, Some("orders"), 0xab, vec![0, 1, 2]), topic(3, Some(""), 0, vec![])];
    if version >= 12 {
        topics.push(topic(100, None, 0xcd, vec![0]));
    }
    let mut response = MetadataResponse::default()
        .with_brokers(vec![broker(1, "one.example", Some("a")), broker(-2, "", None)])
        .with_topics(topics);
    if version >= 2 {
        response = response.with_cluster_id(Some(text("the-cluster")));
    }
    if version >= 9 {
        response = response.with_unknown_tagged_fields(tag());
        response.brokers[0].unknown_tagged_fields = tag();
        response.topics[0].unknown_tagged_fields = tag();
        response.topics[0].partitions[1].unknown_tagged_fields = tag();
    }
    response
}

#[test]
fn metadata_names_cluster_brokers_and_topics() {
    for version in 0..=13 {
        let mut expected = vec!["broker 1 one.example:9093".to_owned(), "broker -2 :9090".to_owned()];
        if version >= 2 {
            expected.push("cluster the-cluster".to_owned());
        }
        let id = |byte: &str| {
            let id = format!("\"{}\"", ["xxxx", "xx", "xx", "xx", "xxxxxx"].join("-").replace('x', byte));
            if version >= 10 { format!("Some({id})") } else { "None".to_owned() }
        };
        expected.push(format!("topic error 0, name Some(\"orders\"), id {}", id("ab")));
        expected.push("topic error 3, name Some(\"\"), id None".to_owned());
        if version >= 12 {
            expected.push(format!("topic error 100, name None, id {}", id("cd")));
        }
        check(ApiKey::METADATA, version, &encode(ApiKey::METADATA, version, &metadata(version)), &expected);
    }
}

#[test]
fn a_null_cluster_id_is_not_a_fact() {
    let response = MetadataResponse::default().with_cluster_id(None);
    for version in 0..=13 {
        check(ApiKey::METADATA, version, &encode(ApiKey::METADATA, version, &response), &[]);
    }
}

#[test]
fn describe_cluster_names_cluster_and_brokers() {
    for version in 0..=2 {
        let broker = DescribeClusterBroker::default().with_broker_id(4.into()).with_host(text("h")).with_port(1);
        let broker = broker.with_rack(Some(text("rack"))).with_unknown_tagged_fields(tag());
        let response = DescribeClusterResponse::default()
            .with_cluster_id(text("the-cluster"))
            .with_brokers(vec![broker.clone(), broker])
            .with_unknown_tagged_fields(tag());
        let expected = ["cluster the-cluster", "broker 4 h:1", "broker 4 h:1"].map(str::to_owned);
        let api = ApiKey::DESCRIBE_CLUSTER;
        check(api, version, &encode(api, version, &response), &expected);
        let refused = DescribeClusterResponse::default().with_error_code(31).with_error_message(Some(text("no")));
        check(api, version, &encode(api, version, &refused), &[]);
    }
}

#[test]
fn init_producer_id_names_a_producer() {
    for version in 0..=6 {
        let mut response = InitProducerIdResponse::default()
            .with_error_code(0)
            .with_producer_id(0x0102_0304_0506_0708.into())
            .with_producer_epoch(0x7fff);
        if version >= 2 {
            response = response.with_unknown_tagged_fields(tag());
        }
        let api = ApiKey::INIT_PRODUCER_ID;
        let expected = ["producer 72623859790382856 32767 error 0".to_owned()];
        check(api, version, &encode(api, version, &response), &expected);
        let refused = InitProducerIdResponse::default().with_error_code(-1).with_producer_id((-1).into());
        let refused = refused.with_producer_epoch(-1);
        check(api, version, &encode(api, version, &refused), &["producer -1 -1 error -1".to_owned()]);
    }
}

#[test]
fn delete_topics_names_topics() {
    let api = ApiKey::DELETE_TOPICS;
    for version in 1..=6 {
        let mut gone = DeletableTopicResult::default().with_name(Some(TopicName(text("gone"))));
        let mut kept = DeletableTopicResult::default().with_name(Some(TopicName(text("kept")))).with_error_code(41);
        let mut id = "None".to_owned();
        if version >= 4 {
            gone = gone.with_unknown_tagged_fields(tag());
        }
        if version >= 5 {
            kept = kept.with_error_message(Some(text(&"why ".repeat(9000))));
        }
        if version >= 6 {
            kept = kept.with_name(None).with_topic_id(vec![0x11; 16].try_into().unwrap());
            id = "Some(\"11111111-1111-1111-1111-111111111111\")".to_owned();
        }
        let response = DeleteTopicsResponse::default().with_responses(vec![gone, kept]);
        let name = if version >= 6 { "None" } else { "Some(\"kept\")" };
        let expected = [
            "deleted error 0, name Some(\"gone\"), id None".to_owned(),
            format!("deleted error 41, name {name}, id {id}"),
        ];
        let bytes = encode(api, version, &response);
        assert_eq!(learn(api, version, [&bytes[..]]), (expected.to_vec(), true, false));
        assert_eq!(learn(api, version, bytes.chunks(1)), (expected.to_vec(), true, false));
    }
    let v0 = [0, 0, 0, 7, 0, 0, 0, 1, 0, 1, b't', 0, 3];
    check(api, 0, &v0, &["deleted error 3, name Some(\"t\"), id None".to_owned()]);
}

#[test]
fn sasl_responses_say_how_it_went() {
    let api = ApiKey::SASL_HANDSHAKE;
    for version in 0..=1 {
        let response = SaslHandshakeResponse::default().with_error_code(33);
        let response = response.with_mechanisms(vec![text("PLAIN"), text("SCRAM-SHA-256")]);
        check(api, version, &encode(api, version, &response), &["handshake error 33".to_owned()]);
    }
    let api = ApiKey::SASL_AUTHENTICATE;
    for version in 0..=2 {
        let lifetime = if version >= 1 { 3_600_000 } else { 0 };
        let response = SaslAuthenticateResponse::default()
            .with_error_code(58)
            .with_error_message(Some(text("no")))
            .with_auth_bytes(Bytes::from_static(b"token"))
            .with_session_lifetime_ms(lifetime);
        check(api, version, &encode(api, version, &response), &[format!("sasl error 58 for {lifetime}")]);
    }
}

#[test]
fn nothing_is_learnt_from_other_responses() {
    let newest = [
        (ApiKey::METADATA, 13),
        (ApiKey::DESCRIBE_CLUSTER, 2),
        (ApiKey::INIT_PRODUCER_ID, 6),
        (ApiKey::DELETE_TOPICS, 6),
        (ApiKey::SASL_HANDSHAKE, 1),
        (ApiKey::SASL_AUTHENTICATE, 2),
    ];
    for key in -1..100 {
        let api = ApiKey(key);
        let newest = newest.iter().find(|(known, _)| *known == api).map_or(-1, |(_, version)| *version);
        for version in -1..20 {
            assert_eq!(Learner::new(api, version).is_some(), (0..=newest).contains(&version), "{api:?} v{version}");
        }
    }
}

#[test]
fn lengths_without_a_meaning_end_the_learning() {
    let failed = |api, version, bytes: &[u8]| learn(api, version, [bytes]).2;
    // A host of -2 bytes, and -2 brokers.
    assert!(failed(ApiKey::METADATA, 0, &[0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xfe]));
    assert!(failed(ApiKey::METADATA, 0, &[0, 0, 0, 7, 0xff, 0xff, 0xff, 0xfe]));
    // A cluster id of 32768 bytes, and one of a varint of 2^64.
    let describe_cluster = |varint: &[u8]| {
        let head = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        failed(ApiKey::DESCRIBE_CLUSTER, 0, &[&head, varint].concat())
    };
    assert!(describe_cluster(&[0x81, 0x80, 0x02]));
    assert!(!describe_cluster(&[0x80, 0x80, 0x02]));
    assert!(describe_cluster(&[0x82, 0x80, 0x80, 0x80, 0x10]));
    assert!(describe_cluster(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]));
}

#[test]
fn a_claim_of_two_to_the_32_takes_no_room() {
    // As many brokers as can be claimed, each of them a name of the longest kind: one name is kept.
    let mut learner = Learner::new(ApiKey::METADATA, 0).unwrap();
    let mut brokers = 0;
    learner.feed(&[0, 0, 0, 7, 0x7f, 0xff, 0xff, 0xff], &mut |_| {});
    let broker = [&[0, 0, 0, 1, 0x7f, 0xff][..], &[b'x'; 0x7fff], &[0, 0, 0, 1]].concat();
    for _ in 0..100 {
        learner.feed(&broker, &mut |_| brokers += 1);
    }
    assert_eq!(brokers, 100);
    assert!(!learner.failed() && !learner.finished());
    assert_eq!(learner.reader.text().len(), 0x7fff);
}

proptest! {
    #[test]
    fn no_bytes_make_a_learner_panic(
        api in prop_oneof![Just(3), Just(60), Just(22), Just(20), Just(17), Just(36)],
        version in 0_i16..=13,
        bytes in proptest::collection::vec(prop_oneof![3 => 0_u8..3, 1 => any::<u8>()], 0..200),
    ) {
        let api = ApiKey(api);
        if Learner::new(api, version).is_some() {
            prop_assert_eq!(learn(api, version, [&bytes[..]]), learn(api, version, bytes.chunks(1)));
        }
    }

    #[test]
    fn damaged_metadata_does_not_panic(
        version in 0_i16..=13, damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut bytes = encode(ApiKey::METADATA, version, &metadata(version));
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = learn(ApiKey::METADATA, version, [&bytes[..]]);
        prop_assert_eq!(whole, learn(ApiKey::METADATA, version, bytes.chunks(7)));
    }
}
