//! `seqgate demo`, as a user runs it.

use std::process::Stdio;

use seqgate::sandbox::broker::{Broker, BrokerConfig};
use tokio::runtime::Runtime;

use crate::support::{accept, broker, output, seqgate};

const TITLES: [&str; 3] = [
    "1. Acknowledgements get lost",
    "2. The broker restarts before its acknowledgements arrive",
    "3. The producer leaves out sequence numbers",
];

#[test]
fn a_demo_doubles_without_seqgate_stores_once_with_it_and_ends_with_0() {
    let output = output(&["demo", "--records", "40"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), output.stderr.escape_ascii().to_string()), (Some(0), String::new()), "{said}");
    let scenes = scenes(&said);
    for scene in &scenes {
        for measure in ["records sent", "records acknowledged"] {
            assert!(cells(scene, measure).iter().all(|cell| *cell == "40"), "{scene}");
        }
    }
    let [lost, restart, gap] = scenes;
    assert_eq!(cells(lost, "verdict"), ["each stored once", "each stored once"]);
    assert_eq!(cells(restart, "verdict"), ["5 doubled", "each stored once"]);
    assert_eq!(cells(restart, "records in the log"), ["45", "40"]);
    for scene in [lost, restart] {
        let [direct, through] = cells(scene, "duplicates that reached the broker")[..] else { panic!("{scene}") };
        assert!(direct.parse::<u32>().unwrap() > 0 && through == "0", "{scene}");
        assert_ne!(cells(scene, "batches answered by seqgate")[1], "0", "{scene}");
    }
    assert_eq!(cells(gap, "verdict"), ["each stored once"]);
    assert_ne!(cells(gap, "gaps flagged"), ["0"]);
    assert!(said.ends_with("\nThrough seqgate, every record was stored once.\n"), "{said}");
}

#[test]
fn a_demo_says_at_once_that_there_is_no_broker() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = format!("error: --bootstrap 127.0.0.1:{port}: Connection refused");
    for (bootstrap, status, expected) in
        [(format!("127.0.0.1:{port}"), 1, refused.as_str()), ("127.0.0.1".to_owned(), 2, "is not HOST:PORT")]
    {
        let output = output(&["demo", "--bootstrap", &bootstrap]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(status) && output.stdout.is_empty() && said.contains(expected), "{said}");
    }
}

#[test]
fn a_demo_says_at_once_that_a_listener_is_not_kafkas() {
    let (listener, address) = broker();
    let bootstrap = address.to_string();
    // As a broker's listener does that wants TLS or SASL.
    let closes = std::thread::spawn(move || drop(accept(&listener)));
    let output = output(&["demo", "--bootstrap", &bootstrap]);
    closes.join().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{said}");
    assert!(said.starts_with(&format!("error: --bootstrap {bootstrap}: not a plaintext Kafka listener?")), "{said}");
}

#[test]
fn a_demo_on_a_broker_lists_the_topics_that_it_leaves() {
    let runtime = Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::start(BrokerConfig { partitions: 3, ..BrokerConfig::default() })).unwrap();
    let output = output(&["demo", "--records", "40", "--bootstrap", &broker.address().to_string()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let (_, left) = said.split_once("\nTopics that are left behind and can be deleted:\n").expect(&said);
    let topics: Vec<_> = left.lines().map(str::trim).collect();
    let records: Vec<_> = topics.iter().map(|topic| broker.records(topic, 0).len()).collect();
    assert_eq!(records, [40, 40, 40], "{said}");
}

#[test]
fn a_closed_output_ends_quietly() {
    let (listener, upstream) = broker();
    drop(listener);
    let upstream = upstream.to_string();
    let check = ["check", "--listen", "127.0.0.1:0", "--upstream", &upstream];
    for args in [&["demo", "--records", "2"][..], &check, &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = seqgate().args(args).stdin(Stdio::null()).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// The text from each title to the next.
fn scenes(said: &str) -> [&str; 3] {
    let begins = TITLES.map(|title| said.find(title).unwrap_or_else(|| panic!("no {title:?} in {said}")));
    let ends = [begins[1], begins[2], said.len()];
    std::array::from_fn(|scene| &said[begins[scene]..ends[scene]])
}

/// The values in a line of a table.
fn cells<'a>(scene: &'a str, measure: &str) -> Vec<&'a str> {
    let rows = scene.lines().filter_map(|line| line.strip_prefix('│')?.strip_suffix('│'));
    let mut rows = rows.map(|row| row.split('┆').map(str::trim).collect::<Vec<_>>());
    let row = rows.find(|cells| cells[0] == measure).unwrap_or_else(|| panic!("no {measure:?} in {scene}"));
    row[1..].to_vec()
}
