//! What a user sees of it: warnings, the admin port, a mode that changes.

use serde_json::Value;

use crate::scene::{ASKS_NOTHING, Peer, Scene, acknowledge, exchange};
use crate::support::{Proxy, accept, broker, seqgate};
use crate::wire::*;

#[test]
fn a_gap_is_a_warning_with_all_that_helps_to_find_it() {
    let scene = Scene::with("[sequencing]\nauthoritative = true");
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    exchange(&mut client, &mut served, &produce_one(2, batch(7, 5, 2)), &produced_one(2, 45, -1));
    let line = scene.proxy.wait_for_log("sequence gap");
    for part in [
        "WARN",
        "producer=7",
        "epoch=0",
        "topic=\"t\"",
        "partition=0",
        "expected=1",
        "received=5",
        "client_id=\"test\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(scene.metric("gaps_total"), 1);
    // Any number of them fills no log.
    for base in 0..100 {
        let sent = produce_one(base, batch(100 + i64::from(base), 0, 1));
        exchange(&mut client, &mut served, &sent, &produced_one(base, 0, 20 + i64::from(base)));
        let gap = produce_one(base, batch(100 + i64::from(base), 9, 1));
        exchange(&mut client, &mut served, &gap, &produced_one(base, 45, -1));
    }
    assert_eq!(scene.metric("gaps_total"), 101);
    let told = scene.proxy.log().iter().filter(|line| line.contains("sequence gap")).count();
    assert!(told < 50, "{told} lines");
    scene.end_after_many(&["sequence gap"]);
}

#[test]
fn a_gap_that_only_the_broker_can_know_is_told_once_it_has() {
    let scene = Scene::with(ASKS_NOTHING);
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let gap = produce_one(2, batch(7, 5, 1));
    client.send(&gap);
    served.expect(&gap);
    assert_eq!(scene.metric("gaps_total"), 0);
    served.send(&produced_one(2, 45, -1));
    client.expect(&produced_one(2, 45, -1));
    assert_eq!(scene.metric("gaps_total"), 1);
    assert_eq!(scene.metric("batches_total{verdict=\"suspect\",action=\"forwarded\"}"), 1);
    scene.end(&["sequence gap"]);
}

#[test]
fn a_running_connection_follows_a_change_of_mode() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let (retry, answer) = (produce_one(2, batch(7, 0, 1)), produced_one(2, 0, 10));
    client.send(&retry);
    client.expect(&answer);
    scene.set_mode("observe");
    exchange(&mut client, &mut served, &retry, &answer);
    assert_eq!(scene.metric("batches_total{verdict=\"duplicate\",action=\"forwarded\"}"), 1);
    scene.set_mode("dedupe");
    client.send(&retry);
    client.expect(&answer);
    served.silent();
    scene.end(&[]);
}

#[test]
fn what_is_tracked_is_shown() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    acknowledge(&mut client, &mut served, 7, 1, 11);
    client.send(&produce_one(2, batch(7, 2, 3)));
    served.expect(&produce_one(2, batch(7, 2, 3)));
    let rows = scene.json("/api/v1/producers?topic=t&partition=0&producer_id=7");
    let row = &rows[0];
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let shown = [
        "topic",
        "partition",
        "producer_id",
        "producer_epoch",
        "expected_sequence",
        "base_offset",
        "proofs",
        "in_flight",
    ];
    let values = shown.map(|field| row[field].to_string()).join(" ");
    assert_eq!(values, "\"t\" 0 7 0 2 11 2 1");
    for other in ["topic=u", "partition=1", "producer_id=8"] {
        assert_eq!(scene.json(&format!("/api/v1/producers?{other}")).as_array().unwrap().len(), 0, "{other}");
    }
    assert_eq!(scene.metric("tracked_producers"), 1);
    assert!(scene.metric("tracker_bytes") > 0);
    let connection = &scene.json("/api/v1/connections")[1];
    assert_eq!((&connection["client_id"], &connection["requests"]["Produce"]), (&"test".into(), &3.into()));
    served.send(&produced_one(2, 0, 12));
    client.expect(&produced_one(2, 0, 12));
    scene.end(&[]);
}

#[test]
fn clients_that_are_told_to_go_around_the_proxy_are_warned_of_once() {
    let scene = Scene::new();
    for (n, host) in ["127.0.0.1", "localhost", "127.0.0.1"].into_iter().enumerate() {
        let (mut client, mut served) = scene.pair();
        let port = if n == 0 { scene.proxy.address.port() } else { 9 };
        exchange(&mut client, &mut served, &metadata(1), &metadata_answer(1, host, port, "c"));
    }
    scene.wait_for("both addresses", || {
        scene.json("/api/v1/status")["listeners"][0]["bypass"].as_array().unwrap().len() == 2
    });
    let warnings = scene.json("/api/v1/status")["warnings"].to_string();
    assert!(warnings.contains("localhost:9") && warnings.contains("advertised.listeners"), "{warnings}");
    let told: Vec<_> = scene.proxy.log().into_iter().filter(|line| line.contains("go around the proxy")).collect();
    assert!(told.len() == 1 && told[0].contains("cure="), "{told:#?}");
    scene.end(&["clients will go around the proxy"]);
}

#[test]
fn an_address_of_another_host_is_told_of_once() {
    let scene = Scene::new();
    for _ in 0..2 {
        let (mut client, mut served) = scene.pair();
        let port = scene.proxy.address.port();
        exchange(&mut client, &mut served, &metadata(1), &metadata_answer(1, "192.0.2.7", port, "c"));
    }
    scene.wait_for("the address", || {
        scene.json("/api/v1/status")["listeners"][0]["unclear"].as_array().unwrap().len() == 1
    });
    let warnings = scene.json("/api/v1/status")["warnings"].to_string();
    assert!(warnings.contains("cannot tell whether 192.0.2.7:"), "{warnings}");
    let told: Vec<_> = scene.proxy.log().into_iter().filter(|line| line.contains("cannot tell whether")).collect();
    assert!(told.len() == 1 && told[0].contains("advertised=192.0.2.7:"), "{told:#?}");
    scene.end(&["cannot tell whether"]);
}

#[test]
fn the_end_of_a_connection_is_one_line_with_what_went_through() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    client.send(&produce_one(2, batch(7, 0, 1)));
    client.expect(&produced_one(2, 0, 10));
    client.half_close();
    assert_eq!(served.end(), Ok(()));
    drop(served);
    assert_eq!(client.end(), Ok(()));
    let line = scene.proxy.wait_for_log("connection closed");
    let sent = produce_one(2, batch(7, 0, 1)).len();
    for part in
        ["outcome=\"client\"", "requests=2", "responses=2", &format!("bytes_to_broker={sent}"), "listener=\"test\""]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    scene.end(&[]);
}

#[test]
fn a_log_for_machines_is_json_with_the_span_of_its_connection_whatever_the_names() {
    const HOSTILE: &str = "a\"}\n{\"level\":\"ERROR\"}\r\u{1b}[31m\u{2028}\\";
    let (broker, upstream) = broker();
    let run = ["run", "-v", "--log-format", "json", "--listen", "127.0.0.1:0", "--upstream", &upstream.to_string()];
    let mut proxy = Proxy::spawn(seqgate().args(run));
    proxy.will_warn(&["connection given up"]);
    let mut client = Peer(proxy.connect());
    let mut served = Peer(accept(&broker));
    let named = request_of(HOSTILE, METADATA, 4, 1, false, &[0; 5]);
    exchange(&mut client, &mut served, &named, &response(1, &[0; 40]));
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.end(), Ok(()));
    let address = client.0.local_addr().unwrap().to_string();
    drop((client, served));
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.finish().0.code(), Some(0));
    let lines: Vec<Value> = proxy.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line =
        |message: &str| lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{lines:#?}"));
    let (end, warning) = (line("connection closed"), line("connection given up"));
    assert_eq!((&end["level"], &end["outcome"], &end["requests"]), (&"DEBUG".into(), &"limit".into(), &1.into()));
    assert_eq!(
        (&warning["level"], &warning["client_id"]),
        (&"WARN".into(), &HOSTILE.as_bytes().escape_ascii().to_string().into())
    );
    for line in [end, warning] {
        let span = ["name", "id", "listener", "client.addr"].map(|field| &line["span"][field]);
        assert_eq!(
            span,
            [&"connection".into(), &1.into(), &"default".into(), &Value::from(address.as_str())],
            "{line}"
        );
    }
}
