//! As many connections as the default limit allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::scene::{Peer, Scene};
use crate::support::{REQUEST, RESPONSE};

/// `limits.connections_max`, by default.
const CONNECTIONS: usize = 9_000;

/// The test is both the clients and the broker, and other tests run beside it.
const DESCRIPTORS: u64 = 2 * CONNECTIONS as u64 + 500;

/// Resident memory for each, both sides together, in KiB.
const KIB_MAX: usize = 16;

#[test]
fn nine_thousand_connections_are_held() {
    if !raise_descriptors() {
        assert!(std::env::var_os("SEQGATE_REQUIRE").is_none(), "{DESCRIPTORS} descriptors are not allowed here");
        println!("SKIPPED: nine_thousand_connections_are_held: {DESCRIPTORS} descriptors are not allowed here");
        return;
    }
    let mut scene = Scene::with("");
    let before = resident_kib(scene.proxy.process());
    // One of them all is the scene's own.
    let mut held: Vec<(Peer, Peer)> = (1..CONNECTIONS).map(|_| scene.pair()).collect();
    scene.wait_for_metric("connections_open", CONNECTIONS as u64);
    let grown = resident_kib(scene.proxy.process()).saturating_sub(before);
    assert!(grown < CONNECTIONS * KIB_MAX, "{grown} KiB for {CONNECTIONS} connections");
    // The next one is turned away, and all the others are served.
    assert!(Peer(scene.proxy.connect()).end().is_err());
    for (client, served) in &mut held {
        client.send(&REQUEST);
        served.expect(&REQUEST);
        served.send(&RESPONSE);
        client.expect(&RESPONSE);
    }
    // What carried those is given back, or lent to the next.
    let grown = resident_kib(scene.proxy.process()).saturating_sub(before);
    assert!(grown < CONNECTIONS * KIB_MAX, "{grown} KiB for {CONNECTIONS} connections that were used");
    drop(held);
    scene.wait_for_metric("connections_open", 1);
    scene.use_the_one_beside();
    scene.end(&["limits.connections_max"]);
}

/// Whether this process may have the descriptors that both ends take.
fn raise_descriptors() -> bool {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|maximum| maximum < DESCRIPTORS) {
        return false;
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok()
}

fn resident_kib(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
