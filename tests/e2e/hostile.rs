//! Input that nobody honest sends: a forwarded frame or a closed connection, one clear line, and no harm to others.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::scene::{Peer, Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

/// What stood before is answered, then both sides are closed in order.
fn is_refused(scene: &Scene, bytes: &[u8]) {
    let (mut client, mut served) = scene.pair();
    client.send(&[&REQUEST[..], bytes].concat());
    served.expect(&REQUEST);
    served.send(&RESPONSE);
    client.expect(&RESPONSE);
    assert_eq!(client.end(), Ok(()), "{}", bytes.escape_ascii());
    assert_eq!(served.end(), Ok(()), "{}", bytes.escape_ascii());
}

#[test]
fn a_length_that_no_frame_can_have_closes_the_connection() {
    for (length, told, outcome) in [
        (-1, "what the client sent is not Kafka's protocol: frame length -1 is negative", "protocol"),
        (i32::MIN, "frame length -2147483648 is negative", "protocol"),
        (0, "frame of 0 bytes is shorter than its header of 8", "protocol"),
        (7, "frame of 7 bytes is shorter than its header of 8", "protocol"),
        (
            104_857_601,
            "the client sent more than limits.frame_bytes_max allows: frame of 104857601 bytes exceeds the limit of 104857600",
            "limit",
        ),
        (i32::MAX, "frame of 2147483647 bytes exceeds the limit of 104857600", "limit"),
    ] {
        let scene = Scene::new();
        is_refused(&scene, &length.to_be_bytes());
        scene.wait_for_metric(&format!("connections_closed_total{{outcome=\"{outcome}\"}}"), 1);
        scene.end(&[told]);
    }
}

#[test]
fn what_is_not_kafka_is_named() {
    let random: Vec<u8> = (0..200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    for (bytes, told) in [
        (
            &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..],
            "a TLS handshake where Kafka's protocol was expected: seqgate has no TLS yet, so set security.protocol=PLAINTEXT",
        ),
        (b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n", "the client sent an HTTP request where Kafka"),
        (b"POST /topics HTTP/1.1\r\n\r\n", "the client sent an HTTP request where Kafka"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", "a PROXY protocol v1 header where Kafka"),
        (b"\r\n\r\n\0\r\nQUIT\n", "a PROXY protocol v2 header where Kafka"),
        (b"SSH-2.0-OpenSSH\r\n", "an SSH banner where Kafka"),
        (&random, "is negative"),
    ] {
        let scene = Scene::new();
        let (mut client, mut served) = scene.pair();
        client.send(bytes);
        assert_eq!(client.end(), Ok(()), "{told}");
        assert_eq!(served.end(), Ok(()), "{told}");
        let line = scene.proxy.wait_for_log("connection given up");
        assert!(line.contains("listener=\"test\"") && line.contains("client.addr=127.0.0.1:"), "{line}");
        scene.end(&[told]);
    }
}

#[test]
fn random_bytes_are_passed_on_as_they_came_or_refused() {
    let scene = Scene::new();
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = vec![0; random.random_range(12..2_000)];
        random.fill_bytes(&mut bytes);
        // Most random lengths are of no frame: half of them are given one, of which a little is missing.
        let is_frame = seed % 2 == 0;
        let length = if is_frame { bytes.len() as u32 } else { u32::from_be_bytes([bytes[0] | 0x10, 0, 0, 0]) };
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        let (mut client, mut served) = scene.pair();
        client.send(&bytes);
        client.half_close();
        let arrived = served.rest().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(arrived == if is_frame { &bytes[..] } else { &[] }, "seed {seed}: {} bytes arrived", arrived.len());
        drop(served);
        assert_eq!(client.end(), Ok(()), "seed {seed}");
    }
    let closed = ["limit", "protocol"].map(|outcome| format!("connections_closed_total{{outcome=\"{outcome}\"}}"));
    scene.wait_for("their ends", || closed.iter().map(|series| scene.metric(series)).sum::<u64>() == 100);
    scene.end_after_many(&["connection given up"]);
}

#[test]
fn clients_that_keep_sending_what_is_not_kafka_fill_no_log() {
    let scene = Scene::new();
    for _ in 0..50 {
        let (mut client, _served) = scene.pair();
        client.send(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.end(), Ok(()));
    }
    scene.wait_for_metric("connections_closed_total{outcome=\"protocol\"}", 50);
    let told = scene.proxy.log().iter().filter(|line| line.contains("connection given up")).count();
    assert!((1..10).contains(&told), "{told} lines");
    scene.end_after_many(&["HTTP request"]);
}

/// Changes a batch and leaves its checksum as it was: nobody here looks at it.
fn changed(at: usize, bytes: &[u8]) -> bytes::Bytes {
    let mut batch = batch(7, 0, 1).to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch.into()
}

#[test]
fn batches_that_lie_are_never_answered_here() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let good = batch(7, 0, 1);
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let odd = [
        ("shorter than it says", changed(8, &[0, 0, 1, 0])),
        ("a negative length", changed(8, &[0xff; 4])),
        ("longer than it says", changed(8, &[0, 0, 0, 49])),
        ("magic 1", changed(16, &[1])),
        ("magic 255", changed(16, &[255])),
        ("a control batch", changed(21, &[0, 0x20])),
        ("part of a transaction", changed(21, &[0, 0x10])),
        ("a negative sequence", changed(53, &[0xff; 4])),
        ("a negative delta", changed(23, &[0xff; 4])),
        ("a negative producer", changed(43, &[0xff; 8])),
        ("a negative epoch", changed(51, &[0xff; 2])),
        ("a negative count", changed(57, &[0xff; 4])),
        ("a changed checksum", changed(17, &[1, 2, 3, 4])),
        ("two batches", [&good[..], &good].concat().into()),
        ("bytes behind it", [&good[..], b"12345"].concat().into()),
        ("a cut header", good.slice(..60)),
        ("nothing", bytes::Bytes::new()),
    ];
    for (what, records) in odd {
        let sent = produce_one(2, records);
        client.send(&sent);
        let arrived = served.frame();
        assert!(arrived == sent, "{what}");
        served.send(&produced_one(2, 87, -1));
        client.expect(&produced_one(2, 87, -1));
    }
    // The same partition twice: which one the broker takes is not known.
    let twice = produce(V, 3, -1, &[("t", 0, Some(good.clone())), ("t", 0, Some(good.clone()))]);
    exchange(&mut client, &mut served, &twice, &produced_one(3, 0, 10));
    let apart = produce(V, 4, -1, &[("t", 0, Some(good.clone())), ("u", 0, Some(good.clone())), ("t", 0, Some(good))]);
    exchange(&mut client, &mut served, &apart, &produced(V, 4, &[("t", 0, 0, 10), ("u", 0, 0, 5)]));
    assert_eq!(scene.metric("batches_total{verdict=\"duplicate\",action=\"answered\"}"), 0);
    scene.end(&[]);
}

#[test]
fn a_topic_that_stands_twice_is_stripped_in_both_places() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let part = |topic, partition, base| (topic, partition, Some(batch(7, base, 1)));
    let old = [part("t", 0, 0), part("u", 0, 0), part("t", 1, 0)];
    let acknowledged = produced(V, 1, &[("t", 0, 0, 10), ("t", 1, 0, 11), ("u", 0, 0, 12)]);
    exchange(&mut client, &mut served, &produce(V, 1, -1, &old), &acknowledged);
    // Its duplicates come back in one entry, as a broker writes them.
    client.send(&produce(V, 2, -1, &[part("t", 0, 0), part("u", 0, 1), part("t", 1, 0)]));
    served.expect(&produce(V, 2, -1, &[part("u", 0, 1)]));
    served.send(&produced(V, 2, &[("u", 0, 0, 13)]));
    client.expect(&produced(V, 2, &[("u", 0, 0, 13), ("t", 0, 0, 10), ("t", 1, 0, 11)]));
    // What is new of it goes to the broker, whichever place it has.
    client.send(&produce(V, 3, -1, &[part("t", 0, 0), part("u", 0, 2), part("t", 1, 1)]));
    served.expect(&produce(V, 3, -1, &[part("u", 0, 2), part("t", 1, 1)]));
    served.send(&produced(V, 3, &[("u", 0, 0, 14), ("t", 1, 0, 15)]));
    client.expect(&produced(V, 3, &[("u", 0, 0, 14), ("t", 1, 0, 15), ("t", 0, 0, 10)]));
    scene.end(&[]);
}

#[test]
fn bytes_that_come_one_at_a_time_are_the_same_bytes() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let slowly = |to: &mut Peer, bytes: &[u8]| bytes.iter().for_each(|byte| to.send(&[*byte]));
    let new = produce_one(2, batch(7, 1, 1));
    slowly(&mut client, &[new.clone(), produce_one(3, batch(7, 0, 1)), metadata(4)].concat());
    served.expect(&[new, metadata(4)].concat());
    let known = metadata_answer(4, "127.0.0.1", scene.proxy.address.port(), "c");
    slowly(&mut served, &[produced_one(2, 0, 11), known.clone()].concat());
    client.expect(&[produced_one(2, 0, 11), produced_one(3, 0, 10), known].concat());
    scene.end(&[]);
}

#[test]
fn a_client_that_says_nothing_costs_nothing() {
    let scene = Scene::new();
    let silent: Vec<_> = (0..50).map(|_| scene.pair()).collect();
    scene.wait_for_metric("connections_open", 51);
    assert_eq!(scene.metric("buffer_bytes"), 0);
    drop(silent);
    scene.end(&[]);
}

#[test]
fn hostile_names_stay_what_they_are_in_log_metrics_and_json() {
    const HOSTILE: &str = "a\"}\n# EOF\nWARN x\x1b[31m\r\0\u{202e}\\";
    let scene = Scene::with("[sequencing]\nauthoritative = true");
    let (mut client, mut served) = scene.pair();
    client.send(&request_of(HOSTILE, METADATA, 4, 1, false, &[0; 5]));
    served.frame();
    served.send(&metadata_answer(1, HOSTILE, 9, HOSTILE));
    client.frame();
    let part = |base| [(HOSTILE, 0, Some(batch(7, base, 1)))];
    let entry = |offset| [(HOSTILE, 0, 0, offset)];
    exchange(&mut client, &mut served, &produce(V, 2, -1, &part(0)), &produced(V, 2, &entry(10)));
    exchange(&mut client, &mut served, &produce(V, 3, -1, &part(5)), &produced(V, 3, &entry(15)));
    let rows = scene.json("/api/v1/producers");
    assert_eq!(rows[0]["topic"], HOSTILE);
    let shown = scene.json("/api/v1/connections").to_string();
    assert!(shown.contains("# EOF"), "{shown}");
    scene.json("/api/v1/status");
    // The metrics are read at the scene's end; a name of somebody's would be at home nowhere in them.
    assert!(!scene.metrics().contains("WARN x"));
    scene.proxy.wait_for_log("cannot tell whether");
    let log = scene.proxy.wait_for_log("sequence gap");
    assert!(log.contains("expected=1") && !log.contains('\x1b'), "{log}");
    assert!(scene.proxy.log().iter().all(|line| line.starts_with("20")), "{:#?}", scene.proxy.log());
    scene.end(&["sequence gap", "cannot tell whether"]);
}

/// T38: taken in piece by piece, so that others have their turn.
#[test]
fn a_request_of_very_many_partitions_is_tracked() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let parts: Vec<_> = (0..5_000).map(|partition| ("t", partition, Some(batch(7, 0, 1)))).collect();
    let entries: Vec<_> = (0..5_000).map(|partition| ("t", partition, 0, 10)).collect();
    for answered in [false, true] {
        let request = produce(V, 1, -1, &parts);
        let mut sender = client.0.try_clone().unwrap();
        let sent = request.clone();
        let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &sent).unwrap());
        served.expect(&request);
        sending.join().unwrap();
        served.send(&produced(V, 1, &entries));
        client.expect(&produced(V, 1, &entries));
        let verdict = if answered { "duplicate" } else { "in_order" };
        let series = format!("batches_total{{verdict=\"{verdict}\",action=\"forwarded\"}}");
        assert_eq!(scene.metric(&series), 5_000);
    }
    exchange(&mut client, &mut served, &REQUEST, &RESPONSE);
    scene.end(&[]);
}
