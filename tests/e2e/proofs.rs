//! What the proxy learns, what it answers from, and what ends that.

use seqgate::sandbox::broker::{Broker, BrokerConfig};

use crate::scene::{ASKS_NOTHING, Peer, Scene, acknowledge, exchange};
use crate::support::{Proxy, seqgate};
use crate::wire::*;

/// The retry goes to the broker, which answers it as what it is.
pub(crate) fn retry_is_forwarded(client: &mut Peer, served: &mut Peer, base: i32) {
    exchange(client, served, &produce_one(90, batch(7, base, 1)), &produced_one(90, 0, 90));
}

pub(crate) fn retry_is_answered(client: &mut Peer, served: &Peer, base: i32, offset: i64) {
    client.send(&produce_one(91, batch(7, base, 1)));
    client.expect(&produced_one(91, 0, offset));
    served.silent();
}

#[test]
fn proxy_restart_everything_forwarded() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    retry_is_answered(&mut client, &served, 0, 10);
    let broker = scene.broker.try_clone().unwrap();
    let upstream = broker.local_addr().unwrap().to_string();
    drop((client, served));
    scene.end(&[]);
    let run = ["run", "-v", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &upstream];
    let scene = Scene::around(Proxy::spawn(seqgate().args(run)), broker);
    let (mut client, mut served) = scene.pair();
    retry_is_forwarded(&mut client, &mut served, 0);
    scene.end(&[]);
}

#[test]
fn orphan_response_learned_after_client_disconnect() {
    let scene = Scene::new();
    // As it was told, so it is: served somebody without SASL.
    let (mut first, mut known) = scene.pair();
    acknowledge(&mut first, &mut known, 8, 0, 10);
    for (base, reset) in [(0, true), (1, false)] {
        let (mut client, mut served) = scene.pair();
        let sent = produce_one(1, batch(7, base, 1));
        client.send(&sent);
        served.expect(&sent);
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        served.send(&produced_one(1, 0, 50 + i64::from(base)));
        scene.wait_for_proofs(2 + u64::try_from(base).unwrap());
        retry_is_answered(&mut first, &known, base, 50 + i64::from(base));
    }
    scene.end(&[]);
}

#[test]
fn upstream_close_marks_all_pending_unknown() {
    let scene = Scene::with(ASKS_NOTHING);
    let (mut client, mut served) = scene.pair();
    let sent: Vec<_> = (0..3).map(|base| produce_one(base, batch(7, base, 1))).collect();
    client.send(&sent.concat());
    served.expect(&sent.concat());
    served.send(&produced_one(0, 0, 50));
    drop(served);
    client.expect(&produced_one(0, 0, 50));
    assert_eq!(client.end(), Ok(()));
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 1);
    let rows = scene.json("/api/v1/producers");
    assert_eq!((&rows[0]["proofs"], &rows[0]["unknown"], &rows[0]["in_flight"]), (&1.into(), &2.into(), &0.into()));
    let (mut client, mut served) = scene.pair();
    retry_is_answered(&mut client, &served, 0, 50);
    retry_is_forwarded(&mut client, &mut served, 1);
    retry_is_forwarded(&mut client, &mut served, 2);
    scene.end(&[]);
}

#[test]
fn broker_restart_keeps_proofs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut broker = runtime.block_on(Broker::start(BrokerConfig::default())).unwrap();
    assert!(broker.create_topic("t"));
    let upstream = broker.address().to_string();
    let run = ["run", "-v", "--listen", "127.0.0.1:0", "--upstream", &upstream];
    let mut proxy = Proxy::spawn(seqgate().args(run));
    let send = |client: &mut Peer, bases: std::ops::Range<i32>| {
        let requests: Vec<u8> = bases.flat_map(|base| produce_one(base, batch(1_000, base, 1))).collect();
        client.send(&requests);
    };
    let mut client = Peer(proxy.connect());
    send(&mut client, 0..5);
    // The answers get as far as the client's machine, and no further.
    client.0.peek(&mut [0]).unwrap();
    let whole = produced_one(0, 0, 0).len() * 5;
    while client.0.peek(&mut vec![0; whole]).unwrap() < whole {
        std::thread::yield_now();
    }
    client.reset();
    runtime.block_on(broker.restart()).unwrap();
    let mut client = Peer(proxy.connect());
    send(&mut client, 0..8);
    for base in 0..8 {
        assert_eq!(client.frame(), produced_one(base, 0, base.into()), "{base}");
    }
    assert_eq!(broker.records("t", 0).len(), 8);
    assert_eq!(broker.counters().duplicates, 0);
    drop(client);
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.finish().0.code(), Some(0));
}

#[test]
fn proof_that_ends_while_its_answer_waits_resets_the_client() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let slow = produce_one(2, batch(7, 1, 1));
    client.send(&[slow.clone(), produce_one(3, batch(7, 0, 1))].concat());
    served.expect(&slow);
    // Meanwhile somebody else is told that the partition is not there.
    let (mut other, mut asked) = scene.pair();
    exchange(&mut other, &mut asked, &produce_one(1, batch(8, 0, 1)), &produced_one(1, 3, -1));
    scene.wait_for_proofs(0);
    served.send(&produced_one(2, 0, 11));
    client.expect(&produced_one(2, 0, 11));
    assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
    scene.proxy.wait_for_log("ended before it could be given (T22)");
    scene.wait_for_metric("connections_closed_total{outcome=\"error\"}", 1);
    scene.end(&[]);
}

#[test]
fn one_new_partition_strips_the_duplicates() {
    for mixed in ["strip", "forward"] {
        let scene = Scene::with(&format!("mixed = \"{mixed}\""));
        let (mut client, mut served) = scene.pair();
        let part = |partition, base| ("t", partition, Some(batch(7, base, 1)));
        let entry = |partition, offset| ("t", partition, 0, offset);
        let old = produce(V, 1, -1, &[part(0, 0), part(1, 0), part(2, 0)]);
        let acked = produced(V, 1, &[entry(0, 10), entry(1, 11), entry(2, 12)]);
        exchange(&mut client, &mut served, &old, &acked);
        let all = produce(V, 2, -1, &[part(0, 0), part(1, 0), part(2, 0), part(3, 0)]);
        if mixed == "forward" {
            let answer = produced(V, 2, &[entry(3, 13), entry(1, 11), entry(0, 10), entry(2, 12)]);
            exchange(&mut client, &mut served, &all, &answer);
            scene.end(&[]);
            continue;
        }
        client.send(&all);
        served.expect(&produce(V, 2, -1, &[part(3, 0)]));
        served.send(&produced(V, 2, &[entry(3, 13)]));
        let merged = produced(V, 2, &[entry(3, 13), entry(0, 10), entry(1, 11), entry(2, 12)]);
        client.expect(&merged);
        assert_eq!(scene.metric("batches_total{verdict=\"duplicate\",action=\"stripped\"}"), 3);
        // An answer that speaks of what was kept back cannot be made whole.
        client.send(&produce(V, 3, -1, &[part(0, 0), part(4, 0)]));
        served.expect(&produce(V, 3, -1, &[part(4, 0)]));
        served.send(&produced(V, 3, &[entry(0, 10), entry(4, 14)]));
        assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
        scene.end(&["the broker's answer cannot be completed"]);
    }
}

#[test]
fn init_producer_id_answer_ends_proofs_of_that_id() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    retry_is_answered(&mut client, &served, 0, 10);
    let asked = request(INIT_PRODUCER_ID, 1, 2, false, &[0xff, 0xff, 0, 0, 0, 1]);
    let handed = |id: u8| response(2, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, id, 0, 0]);
    exchange(&mut client, &mut served, &asked, &handed(8));
    retry_is_answered(&mut client, &served, 0, 10);
    exchange(&mut client, &mut served, &asked, &handed(7));
    retry_is_forwarded(&mut client, &mut served, 0);
    scene.end(&[]);
}

#[test]
fn cluster_id_change_ends_all_proofs() {
    let scene = Scene::new();
    let port = scene.proxy.address.port();
    let (mut client, mut served) = scene.pair();
    let identify = |client: &mut Peer, served: &mut Peer, id: &str| {
        exchange(client, served, &metadata(5), &metadata_answer(5, "127.0.0.1", port, id));
    };
    identify(&mut client, &mut served, "one");
    acknowledge(&mut client, &mut served, 7, 0, 10);
    // Another connection finds out; an answer that waits on the first one is not given.
    let slow = produce_one(2, batch(7, 1, 1));
    client.send(&[slow.clone(), produce_one(3, batch(7, 0, 1))].concat());
    served.expect(&slow);
    let (mut other, mut asked) = scene.pair();
    identify(&mut other, &mut asked, "two");
    retry_is_forwarded(&mut other, &mut asked, 0);
    served.send(&produced_one(2, 0, 11));
    client.expect(&produced_one(2, 0, 11));
    assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
    scene.end(&[]);
}

/// A proof from before the broker was lost has answered a retry: its batches go one at a time now.
fn one_at_a_time(scene: &Scene) -> (Peer, Peer) {
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    let (mut client, mut served) = scene.pair();
    retry_is_answered(&mut client, &served, 0, 10);
    let next: Vec<_> = (1..3).map(|base| produce_one(base, batch(7, base, 1))).collect();
    client.send(&next.concat());
    served.expect(&next[0]);
    (client, served)
}

#[test]
fn a_batch_is_held_until_the_one_before_it_is_acknowledged() {
    let mut scene = Scene::with(ASKS_NOTHING);
    let (mut client, mut served) = one_at_a_time(&scene);
    scene.use_the_one_beside();
    served.silent();
    served.send(&produced_one(1, 0, 11));
    client.expect(&produced_one(1, 0, 11));
    served.expect(&produce_one(2, batch(7, 2, 1)));
    served.send(&produced_one(2, 0, 12));
    client.expect(&produced_one(2, 0, 12));
    scene.end(&[]);
}

#[test]
fn a_held_batch_is_not_sent_when_the_one_before_it_is_refused() {
    let scene = Scene::with(ASKS_NOTHING);
    let (mut client, mut served) = one_at_a_time(&scene);
    served.send(&produced_one(1, 19, -1));
    client.expect(&produced_one(1, 19, -1));
    assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(served.end(), Err(std::io::ErrorKind::ConnectionReset));
    scene.end(&[]);
}

#[test]
fn a_held_batch_hears_of_a_request_that_was_cut_off() {
    let scene = Scene::with("sequencing.look_up = false\n[limits]\nhold_bytes_max = \"4KiB\"");
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    // Too large to be held, and never finished.
    let (mut large, mut receiving) = scene.pair();
    retry_is_answered(&mut large, &receiving, 0, 10);
    let sent = produce_one(1, batch_of(7, 0, 1, &[bytes::Bytes::from(vec![b'x'; 100_000])]));
    large.send(&sent[..50_000]);
    receiving.expect(&sent[..50_000]);
    let (mut client, mut served) = scene.pair();
    client.send(&[metadata(1), produce_one(2, batch(7, 2, 1))].concat());
    served.expect(&metadata(1));
    scene.wait_for_metric("requests_total{api=\"Produce\"}", 4);
    large.reset();
    assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
    scene.proxy.wait_for_log("a batch failed that had to be acknowledged first");
    scene.end(&[]);
}

#[test]
fn a_held_batch_does_not_wait_for_ever() {
    let scene = Scene::with(ASKS_NOTHING);
    let (mut client, _served) = one_at_a_time(&scene);
    // The answer to what was sent does not come; the client is reset at the deadline, not when the answer is given up.
    assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(scene.metric("connections_open"), 2, "the answer is still waited for");
    scene.end(&[]);
}
