//! Brokers that answer what was not asked, or what nobody can read.

use std::io::ErrorKind;

use crate::scene::{ASKS_NOTHING, Peer, Scene, acknowledge, exchange};
use crate::support::{Proxy, REQUEST, RESPONSE, accept, broker};
use crate::wire::*;

#[test]
fn a_broker_that_answers_what_was_not_asked_is_given_up() {
    let ask = |client: &mut Peer, served: &mut Peer| {
        client.send(&REQUEST);
        served.expect(&REQUEST);
    };
    let twice = RESPONSE.repeat(2);
    let wrong = response(8, &[0; 6]);
    for (asked, answer, delivered, told) in [
        (true, &wrong[..], &[][..], "the broker answered 8 where 7 was due"),
        (true, &twice, &RESPONSE, "the broker sent what nobody asked for"),
        (false, &RESPONSE, &[], "the broker sent what nobody asked for"),
        (false, b"\0", &[], "the broker sent what nobody asked for"),
        (true, b"HTTP/1.1 400 Bad Request\r\n\r\n", &[], "the broker sent an HTTP response where Kafka"),
        (true, b"SSH-2.0-OpenSSH\r\n", &[], "the broker sent an SSH banner where Kafka"),
        (false, b"SSH-2.0-OpenSSH\r\n", &[], "the broker sent an SSH banner where Kafka"),
        (true, &[0x40, 0, 0, 0, 0, 0, 0, 7], &[], "the broker sent more than 8 times limits.frame_bytes_max: frame of"),
        (true, &[0xff; 8], &[], "what the broker sent is not Kafka's protocol: frame length -1 is negative"),
        (true, &[0; 8], &[], "is shorter than its header"),
    ] {
        let scene = Scene::new();
        let (mut client, mut served) = scene.pair();
        if asked {
            ask(&mut client, &mut served);
        }
        served.send(answer);
        client.expect(delivered);
        assert_eq!(client.end(), Err(ErrorKind::ConnectionReset), "{told}");
        scene.wait_for_metric("connections_closed_total{outcome=\"protocol\"}", 1);
        scene.end(&[told]);
    }
}

/// The alert is shorter than any answer.
#[test]
fn a_broker_that_speaks_tls_is_named_and_its_alert_goes_through() {
    const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 80];
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    client.send(&REQUEST);
    served.expect(&REQUEST);
    served.send(&ALERT);
    drop(served);
    assert_eq!(client.rest().unwrap(), ALERT);
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"protocol\"}", 1);
    scene.end(&["the broker sent a TLS alert where Kafka's protocol was expected: seqgate has no TLS yet"]);
}

#[test]
fn a_broker_that_closes_before_it_has_ever_answered_is_told_of() {
    let (broker, upstream) = broker();
    let mut proxy = Proxy::start(upstream, &[]);
    proxy.will_warn(&["the broker closes connections without an answer, and has answered none yet"]);
    for _ in 0..3 {
        let (mut client, mut served) = (Peer(proxy.connect()), Peer(accept(&broker)));
        client.send(&REQUEST);
        served.expect(&REQUEST);
        drop(served);
        assert_eq!(client.end(), Ok(()));
    }
    let line = proxy.wait_for_log("has answered none yet");
    assert!(line.contains(&format!("upstream={upstream}")) && line.contains("SASL_PLAINTEXT"), "{line}");
}

#[test]
fn a_broker_that_has_answered_may_close_without_an_answer() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    client.send(&REQUEST);
    served.expect(&REQUEST);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 1);
    scene.end(&[]);
}

#[test]
fn a_produce_answer_that_makes_no_sense_proves_nothing_and_goes_through() {
    let scene = Scene::with(ASKS_NOTHING);
    let (mut client, mut served) = scene.pair();
    let whole = produced_one(1, 0, 10);
    let cut = |end: usize| frame(&whole[4..end]);
    for (base, answer) in (0..).zip([
        cut(12),
        frame(&[&whole[4..], b"more"].concat()),
        // Without the entry, with others, or with it and others.
        produced(V, 1, &[]),
        produced(V, 1, &[("u", 0, 0, 10), ("t", 1, 0, 11)]),
    ]) {
        let sent = produce_one(1, batch(7, base, 1));
        exchange(&mut client, &mut served, &sent, &answer);
        exchange(&mut client, &mut served, &sent, &answer);
    }
    scene.wait_for_proofs(0);
    let extra = produced(V, 1, &[("t", 9, 0, 9), ("t", 0, 0, 10), ("u", 0, 0, 11)]);
    exchange(&mut client, &mut served, &produce_one(1, batch(8, 0, 1)), &extra);
    scene.wait_for_proofs(1);
    scene.end(&[]);
}

#[test]
fn a_stripped_request_whose_answer_makes_no_sense_resets_the_client() {
    let whole = produced(V, 2, &[("t", 1, 0, 11)]);
    for answer in [frame(&whole[4..whole.len() - 1]), response(2, &[0xff; 40]), produced(V, 2, &[("t", 0, 0, 10)])] {
        let scene = Scene::new();
        let (mut client, mut served) = scene.pair();
        acknowledge(&mut client, &mut served, 7, 0, 10);
        client.send(&produce(V, 2, -1, &[("t", 0, Some(batch(7, 0, 1))), ("t", 1, Some(batch(7, 0, 1)))]));
        served.expect(&produce(V, 2, -1, &[("t", 1, Some(batch(7, 0, 1)))]));
        served.send(&answer);
        assert_eq!(client.end(), Err(ErrorKind::ConnectionReset), "{}", answer.escape_ascii());
        scene.end(&["the broker's answer cannot be completed"]);
    }
}
