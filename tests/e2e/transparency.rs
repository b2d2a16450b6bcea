//! What is not answered here goes through byte for byte.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::produce_response::{LeaderIdAndEpoch, NodeEndpoint};
use kafka_protocol::protocol::StrBytes;

use crate::memory::BESIDE;
use crate::scene::{Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

#[test]
fn api_versions_unsupported_v0_body_fallback_passthrough() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    // One entry, ApiVersions 0 to 4, in the layout of version 0 whatever was asked for.
    let answer = response(1, &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    exchange(&mut client, &mut served, &request(API_VERSIONS, 99, 1, true, b"\x05java\x022\0"), &answer);
    exchange(&mut client, &mut served, &REQUEST, &RESPONSE);
    scene.end(&[]);
}

#[test]
fn every_version_of_api_versions_passes() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    for version in 0..=5 {
        let flexible = version >= 3;
        let asked: &[u8] = if flexible { b"\x05java\x022\0" } else { b"" };
        // Produce 0 to 13; the header of its answer has no tags in any version, and throttle time comes with the first.
        let mut body =
            if flexible { b"\0\0\x02\0\0\0\0\0\x0d\0".to_vec() } else { vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 13] };
        body.extend(vec![0; if version > 0 { 4 } else { 0 }]);
        body.extend(flexible.then_some(0));
        let correlation = version.into();
        let request = request(API_VERSIONS, version, correlation, flexible, asked);
        exchange(&mut client, &mut served, &request, &response(correlation, &body));
    }
    assert_eq!(scene.metric("responses_total{api=\"ApiVersions\"}"), 6 + 1, "the one beside has asked once");
    scene.end(&[]);
}

#[test]
fn produce_min_version_0_advertisement_untouched() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    // Produce 0 to 13, Fetch 4 to 17.
    let answer = response(1, b"\0\0\x03\0\0\0\0\0\x0d\0\0\x01\0\x04\0\x11\0\0\0\0\0\0");
    exchange(&mut client, &mut served, &request(API_VERSIONS, 3, 1, true, b"\x05java\x022\0"), &answer);
    scene.end(&[]);
}

#[test]
fn produce_version_above_supported_opaque_and_taints() {
    let scene = Scene::with("[sequencing]\nauthoritative = true");
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    exchange(
        &mut client,
        &mut served,
        &request(PRODUCE, 99, 1, true, b"whatever it is"),
        &response(1, b"\0its answer"),
    );
    assert_eq!(scene.metric("passthrough_total{reason=\"version\"}"), 1);
    // Tainted: what looks like a gap may be a batch that was not seen.
    exchange(&mut client, &mut served, &produce_one(2, batch(7, 5, 1)), &produced_one(2, 0, 15));
    assert_eq!(scene.metric("batches_total{verdict=\"suspect\",action=\"forwarded\"}"), 1);
    assert_eq!(scene.metric("gaps_total"), 0);
    // One that gets no answer takes no slot from the next.
    client.send(&[request(PRODUCE, 99, 3, true, b"acks are somewhere"), REQUEST.to_vec()].concat());
    served.frame();
    served.expect(&REQUEST);
    served.send(&RESPONSE);
    client.expect(&RESPONSE);
    scene.end(&[]);
}

#[test]
fn unknown_api_key_passthrough() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    for (correlation, api) in [(1, 999), (2, -1), (3, i16::MAX)] {
        exchange(&mut client, &mut served, &request(api, 3, correlation, true, b"?"), &response(correlation, b"!"));
    }
    assert_eq!(scene.metric("requests_total{api=\"unknown\"}"), 3);
    // A broker of today closes, and that goes through as well.
    client.send(&request(999, 3, 4, true, b"?"));
    served.frame();
    drop(served);
    assert_eq!(client.end(), Ok(()));
    scene.end(&[]);
}

#[test]
fn null_records_and_empty_topic_array() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    for version in [3, 8, 9] {
        exchange(&mut client, &mut served, &produce(version, 1, -1, &[]), &produced(version, 1, &[]));
        let empty = produce(version, 2, -1, &[("t", 0, Some(Bytes::new()))]);
        exchange(&mut client, &mut served, &empty, &produced(version, 2, &[("t", 0, 87, -1)]));
    }
    // A real broker never answers null records, nor anything behind them; only the client can end that.
    let null = produce(9, 3, -1, &[("t", 0, None)]);
    client.send(&[null.clone(), REQUEST.to_vec()].concat());
    served.expect(&[null, REQUEST.to_vec()].concat());
    client.silent();
    client.reset();
    drop(served);
    scene.wait_for_metric("connections_open", 1);
    scene.end(&[]);
}

#[test]
fn node_endpoints_tag_relayed_or_rewritten_per_deployment() {
    // A pipe: the brokers advertise the proxy's addresses themselves.
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    for version in [10, 12] {
        let moved = produced_with(version, 1, &[("t", 0, 6, -1)], |mut response| {
            let partition = &mut response.responses[0].partition_responses[0];
            partition.current_leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(5);
            let host = StrBytes::from_static_str("kafka-2.internal");
            response.with_node_endpoints(vec![
                NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(host).with_port(9092),
            ])
        });
        assert!(moved.windows(16).any(|bytes| bytes == b"kafka-2.internal"));
        let request = produce(version, 1, -1, &[("t", 0, Some(batch(7, 0, 1)))]);
        exchange(&mut client, &mut served, &request, &moved);
    }
    scene.end(&[]);
}

#[test]
#[allow(non_snake_case, reason = "the unit is written so")]
fn frame_100MiB_streams() {
    const LIMIT: usize = 100 << 20;
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    // As large as a broker takes; what stands around a value is the same from here on up.
    let around = produce_one(1, batch_of(7, 0, 0, &[Bytes::from(vec![0; 1 << 20])])).len() - 4 - (1 << 20);
    let sent = Arc::new(produce_one(1, batch_of(7, 0, 0, &[Bytes::from(vec![b'x'; LIMIT - around])])));
    assert_eq!(sent.len(), 4 + LIMIT);
    let (mut sender, bytes) = (client.0.try_clone().unwrap(), Arc::clone(&sent));
    let sending = std::thread::spawn(move || sender.write_all(&bytes).unwrap());
    let arrived = served.frame();
    assert!(arrived == *sent, "{} bytes arrived of {}", arrived.len(), sent.len());
    sending.join().unwrap();
    let grown = scene.grown_at_most();
    assert!(grown < BESIDE, "{grown} bytes for a frame that passes");
    served.send(&produced_one(1, 0, 0));
    client.expect(&produced_one(1, 0, 0));
    assert_eq!(scene.metric("passthrough_total{reason=\"too_large\"}"), 1);
    scene.wait_for_proofs(1);
    // One byte more is refused before any of it is read.
    let (mut client, mut served) = scene.pair();
    client.send(&u32::try_from(LIMIT + 1).unwrap().to_be_bytes());
    client.send(&[0; 8]);
    assert_eq!(client.end(), Ok(()));
    assert_eq!(served.end(), Ok(()));
    scene.end(&["frame of 104857601 bytes exceeds the limit of 104857600"]);
}
