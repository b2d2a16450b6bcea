//! Signals, and how the proxy ends.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::log::asked_offset;
use crate::scene::{ASKS_NOTHING, Scene};
use crate::support::{Proxy, REQUEST, accept, broker, request, respond, seqgate};
use crate::wire::{batch, produce_one, produced_one};

#[test]
fn a_signal_closes_idle_connections_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (broker, upstream) = broker();
        let proxy = Proxy::start(upstream, &[]);
        let mut client = proxy.connect();
        let mut served = accept(&broker);
        request(&mut client, &mut served);
        respond(&mut served, &mut client);
        proxy.signal(signal);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        let (status, rest) = proxy.wait();
        assert_eq!((status.code(), rest), (Some(0), Vec::new()));
    }
}

#[test]
fn a_drain_waits_for_the_answer_to_what_is_in_flight() {
    let (broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &[]);
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
    proxy.signal(Signal::TERM);
    proxy.wait_for_log("draining");
    respond(&mut served, &mut client);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(proxy.wait().0.code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (broker, upstream) = broker();
        let mut proxy = Proxy::start(upstream, &[]);
        proxy.will_warn(&["stopped at once by a second signal"]);
        let mut client = proxy.connect();
        let mut served = accept(&broker);
        request(&mut client, &mut served);
        proxy.signal(Signal::TERM);
        proxy.wait_for_log("draining");
        proxy.signal(signal);
        assert_eq!(proxy.wait().0.code(), Some(status));
    }
}

#[test]
fn a_deadline_that_passes_ends_with_1() {
    let (broker, upstream) = broker();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seqgate.toml");
    let listener = format!("[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
    std::fs::write(&file, format!("[limits]\ndrain = \"100ms\"\n{listener}")).unwrap();
    let mut proxy = Proxy::spawn(seqgate().args(["run", "-c"]).arg(&file));
    proxy.will_warn(&["the drain deadline passed"]);
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
    proxy.signal(Signal::TERM);
    proxy.wait_for_log("the drain deadline passed");
    assert_eq!(proxy.wait().0.code(), Some(1));
}

#[test]
fn a_hangup_is_told_and_survived() {
    let (broker, upstream) = broker();
    let mut proxy = Proxy::start(upstream, &[]);
    proxy.will_warn(&["not in this version"]);
    proxy.signal(Signal::HUP);
    proxy.wait_for_log("not in this version");
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
}

#[test]
fn idle_connections_close_at_once_while_others_are_answered() {
    let scene = Scene::with(ASKS_NOTHING);
    let (mut idle, mut asked) = scene.pair();
    // Half a request has been executed by nobody: its client sends it again elsewhere.
    let (mut half, _served) = scene.pair();
    half.send(&produce_one(1, batch(7, 0, 1))[..40]);
    scene.wait_for_metric("requests_total{api=\"Produce\"}", 1);
    let (mut client, mut served) = scene.pair();
    let requests: Vec<_> = (1..4).map(|base| produce_one(base, batch(7, base, 1))).collect();
    client.send(&requests.concat());
    served.expect(&requests.concat());
    scene.proxy.signal(Signal::TERM);
    assert_eq!(idle.end(), Ok(()));
    assert_eq!(asked.end(), Ok(()));
    assert_eq!(half.end(), Ok(()));
    // Nobody comes in any more.
    scene.wait_for("a listener that is gone", || TcpStream::connect(scene.proxy.address).is_err());
    for base in 1..4 {
        served.send(&produced_one(base, 0, base.into()));
        client.expect(&produced_one(base, 0, base.into()));
    }
    assert_eq!(client.end(), Ok(()));
    assert_eq!(served.end(), Ok(()));
    assert_eq!(scene.ended(), Some(0));
}

#[test]
fn a_drain_does_not_wait_for_answers_that_nobody_would_use() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    client.send(&produce_one(1, batch(7, 0, 1)));
    served.expect(&produce_one(1, batch(7, 0, 1)));
    client.reset();
    scene.proxy.signal(Signal::TERM);
    assert_eq!(scene.ended(), Some(0));
}

#[test]
fn a_drain_does_not_wait_for_an_answer_to_what_the_proxy_has_asked_itself() {
    let mut scene = Scene::new();
    scene.serve_without_sasl();
    let (mut client, mut served) = scene.pair();
    client.send(&produce_one(1, batch(7, 0, 1)));
    served.expect(&produce_one(1, batch(7, 0, 1)));
    served.send(&produced_one(1, 45, -1));
    asked_offset(&mut served);
    scene.proxy.signal(Signal::TERM);
    // The look is given up, and its answer is nobody's.
    client.expect(&produced_one(1, 45, -1));
    assert_eq!(client.end(), Ok(()));
    assert_eq!(served.end(), Ok(()));
    assert_eq!(scene.ended(), Some(0));
}

#[test]
fn a_deadline_resets_whoever_is_left_and_counts_them() {
    let mut scene = Scene::with("[limits]\ndrain = \"500ms\"");
    scene.proxy.will_warn(&["the drain deadline passed with connections open"]);
    let mut left: Vec<_> = (0..3).map(|_| scene.pair()).collect();
    for (client, served) in &mut left {
        client.send(&REQUEST);
        served.expect(&REQUEST);
    }
    scene.proxy.signal(Signal::TERM);
    for (client, served) in &mut left {
        assert_eq!(client.end(), Err(ErrorKind::ConnectionReset));
        assert_eq!(served.end(), Err(ErrorKind::ConnectionReset));
    }
    assert!(scene.proxy.wait_for_log("the drain deadline passed with connections open").contains("connections=3"));
    assert_eq!(scene.ended(), Some(1));
}
