//! Frames that end at any byte, and counts that no frame can hold, in requests and in answers.

use bytes::BytesMut;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, DeleteTopicsResponse, DescribeClusterResponse, InitProducerIdResponse, MetadataResponse, ProducerId,
    TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::scene::{Peer, Scene, acknowledge, exchange};
use crate::wire::*;

/// Counts and lengths up to the largest there are, where a version has four bytes for them.
const NUMBERS: [u32; 4] = [u32::MAX, 1 << 31, i32::MAX as u32, 1 << 24];

/// The same where it has a varint: up to 2^64, and without an end.
const VARINTS: [&[u8]; 6] = [
    &[0xff; 5],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x81, 0x80, 0x80, 0x08],
    &[0xff; 10],
    &[0x80; 12],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
];

/// The first topic in an array, up to the count of its partitions.
fn topic(version: i16) -> Vec<u8> {
    match version {
        ..=8 => vec![0, 0, 0, 1, 0, 1, b't'],
        9..=12 => vec![2, 2, b't'],
        _ => [&[2, b't'][..], &[0; 15]].concat(),
    }
}

/// Each front with each count behind it that is too large.
fn with_counts(version: i16, fronts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let numbers = NUMBERS.map(|number| number.to_be_bytes().to_vec());
    let counts = if version >= 9 { VARINTS.map(<[u8]>::to_vec).to_vec() } else { numbers.to_vec() };
    fronts.iter().flat_map(|front| counts.iter().map(|count| [&front[..], count].concat())).collect()
}

/// The bodies of produce requests that do not parse.
fn odd_requests() -> Vec<(i16, Vec<u8>)> {
    let mut bodies = Vec::new();
    for version in 3..=13 {
        let parts = [("t", 0, Some(batch(7, 0, 2))), ("u", 3, Some(batch(7, 0, 1)))];
        let whole = produce(version, 1, -1, &parts);
        let body = &whole[4 + 14 + usize::from(version >= 9)..];
        bodies.extend((0..body.len()).map(|end| (version, body[..end].to_vec())));
        bodies.push((version, [body, b"more"].concat()));
        // No transactional id, acks, timeout; then a topic, and a partition of it.
        let topics = [if version >= 9 { &[0][..] } else { &[0xff, 0xff] }, &[0xff, 0xff, 0, 0, 0, 1]].concat();
        let partitions = [topics.clone(), topic(version)].concat();
        let one = if version >= 9 { &[2][..] } else { &[0, 0, 0, 1] };
        let records = [&partitions[..], one, &[0; 4]].concat();
        let mut fronts = vec![topics, partitions];
        // The length of the transactional id.
        fronts.extend((version >= 9).then(Vec::new));
        // The first of the numbers says that there are no records, which a request may say.
        let lengths = with_counts(version, &[records]).into_iter().skip(usize::from(version < 9));
        bodies.extend(with_counts(version, &fronts).into_iter().chain(lengths).map(|body| (version, body)));
    }
    bodies
}

/// Headers of produce requests, of which some end early, and others count more tags than there can be.
fn odd_headers(version: i16) -> Vec<Vec<u8>> {
    let whole = &request(PRODUCE, version, 9, version >= 9, &[])[4..];
    let cut = (8..whole.len()).map(|end| whole[..end].to_vec());
    let tagged = VARINTS.iter().filter(|_| version >= 9).map(|count| [&whole[..whole.len() - 1], count].concat());
    cut.chain(tagged).collect()
}

#[test]
fn a_produce_request_that_does_not_parse_is_the_brokers_to_judge() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let odd = odd_requests();
    for (version, body) in &odd {
        exchange(
            &mut client,
            &mut served,
            &request(PRODUCE, *version, 9, *version >= 9, body),
            &response(9, b"judged"),
        );
    }
    let mut headers: Vec<_> = (3..=13).flat_map(odd_headers).collect();
    // One that lies about its client id.
    headers.push([&[0, 0, 0, 3, 0, 0, 0, 9, 0x7f, 0xff][..], b"short"].concat());
    for header in &headers {
        exchange(&mut client, &mut served, &frame(header), &response(9, b"judged"));
    }
    assert_eq!(scene.metric("passthrough_total{reason=\"undecodable\"}"), (odd.len() + headers.len()) as u64);
    scene.end(&[]);
}

#[test]
fn a_large_produce_request_that_does_not_parse_goes_through_as_well() {
    let scene = Scene::with("[limits]\nhold_bytes_max = \"4KiB\"");
    let (mut client, mut served) = scene.pair();
    for (version, body) in odd_requests() {
        let body = [body, vec![0xff; 5_000]].concat();
        exchange(&mut client, &mut served, &request(PRODUCE, version, 9, version >= 9, &body), &response(9, b"judged"));
    }
    scene.end(&[]);
}

/// A whole answer cut at every byte, and answers with counts that are too large.
fn odd_answers(version: i16, whole: &[u8], fronts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut answers: Vec<_> = (8..whole.len()).map(|end| frame(&whole[4..end])).collect();
    answers.extend(with_counts(version, fronts).iter().map(|body| response(1, body)));
    answers
}

#[test]
fn a_produce_answer_that_is_cut_or_counts_too_much_proves_nothing_and_goes_through() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let mut odd = 0;
    for (version, proofs) in (3..=13).zip(1..) {
        let partition = version.into();
        let sent = produce(version, 1, -1, &[("t", partition, Some(batch(7, 0, 1)))]);
        let whole = produced(version, 1, &[("t", partition, 0, 10)]);
        let tags = vec![0; usize::from(version >= 9)];
        let fronts = [Vec::new(), tags.clone(), [tags, topic(version)].concat()];
        // Without tags, the first two are the same.
        for answer in odd_answers(version, &whole, &fronts[usize::from(version < 9)..]) {
            exchange(&mut client, &mut served, &sent, &answer);
            odd += 1;
        }
        scene.wait_for_proofs(proofs - 1);
        exchange(&mut client, &mut served, &sent, &whole);
        scene.wait_for_proofs(proofs);
    }
    assert_eq!(scene.metric("passthrough_total{reason=\"undecodable\"}"), odd);
    scene.end(&[]);
}

/// A Metadata answer with a broker, a cluster, a topic and its partition.
fn metadata_of(version: i16, port: u16, cluster: &'static str) -> Vec<u8> {
    let host = StrBytes::from_static_str("127.0.0.1");
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_static_str("t"))))
        .with_topic_id(if version >= 10 {
            "74000000000000000000000000000000".parse().unwrap()
        } else {
            Default::default()
        })
        .with_partitions(vec![MetadataResponsePartition::default()]);
    let answer = MetadataResponse::default()
        .with_brokers(vec![MetadataResponseBroker::default().with_host(host).with_port(port.into())])
        .with_cluster_id((version >= 2).then_some(StrBytes::from_static_str(cluster)))
        .with_topics(vec![topic]);
    encoded(ApiKey::Metadata, version, &answer)
}

/// The answer to request 1.
fn encoded(api: ApiKey, version: i16, answer: &impl Encodable) -> Vec<u8> {
    let mut body = BytesMut::new();
    answer.encode(&mut body, version).unwrap();
    let tags = vec![0; api.response_header_version(version).try_into().unwrap()];
    response(1, &[tags, body.to_vec()].concat())
}

/// A DescribeCluster answer with a broker and the cluster.
fn described(version: i16, port: u16) -> Vec<u8> {
    let host = StrBytes::from_static_str("127.0.0.1");
    let broker = DescribeClusterBroker::default().with_host(host).with_port(port.into());
    let cluster = StrBytes::from_static_str("c");
    let answer = DescribeClusterResponse::default().with_cluster_id(cluster).with_brokers(vec![broker]);
    encoded(ApiKey::DescribeCluster, version, &answer)
}

/// A DeleteTopics answer with another topic than the one that is produced to.
fn deleted(version: i16) -> Vec<u8> {
    let name = TopicName(StrBytes::from_static_str("another"));
    let gone = DeletableTopicResult::default().with_name(Some(name));
    encoded(ApiKey::DeleteTopics, version, &DeleteTopicsResponse::default().with_responses(vec![gone]))
}

/// An InitProducerId answer.
fn handed(version: i16, id: i64) -> Vec<u8> {
    let answer = InitProducerIdResponse::default().with_producer_id(ProducerId(id));
    encoded(ApiKey::InitProducerId, version, &answer)
}

#[test]
fn an_answer_that_is_learnt_from_goes_through_wherever_it_is_cut_in_every_version() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let port = scene.proxy.address.port();
    // T9: a first id would end what is known of a name.
    exchange(&mut client, &mut served, &request(METADATA, 12, 1, true, &[0; 4]), &metadata_of(12, port, "c"));
    acknowledge(&mut client, &mut served, 7, 0, 10);
    // Nothing that is learnt of these takes anything away.
    let answers: [(_, _, &dyn Fn(i16) -> Vec<u8>); 4] = [
        (ApiKey::Metadata, 0..=13, &|version| metadata_of(version, port, "c")),
        (ApiKey::DescribeCluster, 0..=2, &|version| described(version, port)),
        (ApiKey::InitProducerId, 0..=6, &|version| handed(version, 8)),
        (ApiKey::DeleteTopics, 1..=6, &deleted),
    ];
    for (api, versions, answer) in answers {
        for version in versions {
            let flexible = api.request_header_version(version) == 2;
            let (asked, whole) = (request(api as i16, version, 1, flexible, &[0; 5]), answer(version));
            for end in 8..=whole.len() {
                exchange(&mut client, &mut served, &asked, &frame(&whole[4..end]));
            }
            retry_is_answered(&mut client, &served);
        }
    }
    scene.end(&[]);
}

/// The batch is answered here, from the proof that it had.
fn retry_is_answered(client: &mut Peer, served: &Peer) {
    client.send(&produce_one(91, batch(7, 0, 1)));
    client.expect(&produced_one(91, 0, 10));
    served.silent();
}

#[test]
fn a_metadata_answer_that_is_cut_or_counts_too_much_goes_through_and_ends_nothing() {
    for version in [9, 12] {
        let scene = Scene::new();
        let (mut client, mut served) = scene.pair();
        let port = scene.proxy.address.port();
        let (asked, whole) = (request(METADATA, version, 1, true, &[0; 4]), metadata_of(version, port, "c"));
        exchange(&mut client, &mut served, &asked, &whole);
        acknowledge(&mut client, &mut served, 7, 0, 10);
        // Tags and throttle time, then brokers; none of them, the cluster and its controller, then topics.
        let brokers = vec![0; 5];
        let topics = [&brokers[..], &[1, 2, b'c', 0, 0, 0, 1]].concat();
        for answer in odd_answers(version, &whole, &[brokers, topics]) {
            exchange(&mut client, &mut served, &asked, &answer);
            retry_is_answered(&mut client, &served);
        }
        // What can be read is learnt as before.
        exchange(&mut client, &mut served, &asked, &metadata_of(version, port, "another"));
        exchange(&mut client, &mut served, &produce_one(92, batch(7, 0, 1)), &produced_one(92, 0, 10));
        scene.end(&[]);
    }
}

#[test]
fn a_producer_id_that_is_cut_or_tagged_too_much_goes_through_and_ends_nothing_of_others() {
    const VERSION: i16 = 4;
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let asked = request(INIT_PRODUCER_ID, VERSION, 1, true, &[0, 0, 0, 0, 1]);
    let handed = |id| handed(VERSION, id);
    // All but the tags behind the epoch.
    let tags = handed(8)[8..handed(8).len() - 1].to_vec();
    for answer in odd_answers(9, &handed(8), &[tags]) {
        exchange(&mut client, &mut served, &asked, &answer);
        retry_is_answered(&mut client, &served);
    }
    exchange(&mut client, &mut served, &asked, &handed(7));
    exchange(&mut client, &mut served, &produce_one(92, batch(7, 0, 1)), &produced_one(92, 0, 10));
    scene.end(&[]);
}
