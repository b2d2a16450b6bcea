//! Signals, and how the proxy ends.

use std::io::Read;

use rustix::process::Signal;

use crate::support::{Proxy, accept, broker, request, respond, seqgate};

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
        let proxy = Proxy::start(upstream, &[]);
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
    let proxy = Proxy::spawn(seqgate().args(["run", "-c"]).arg(&file));
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
    let proxy = Proxy::start(upstream, &[]);
    proxy.signal(Signal::HUP);
    proxy.wait_for_log("not in this version");
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
}
