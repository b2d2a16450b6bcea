//! The demo on a broker of the user's own.

use std::process::Command;

use crate::support::jvm::Version;
use crate::support::kafka::Kafka;
use crate::support::{require, seqgate};

#[test]
fn a_demo_on_a_real_broker_leaves_the_restart_out_and_ends_with_0() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    // As brokers are by default; those of the other tests are not.
    let broker = Kafka::start(parts, None, &[("auto.create.topics.enable", "true")]);
    let bootstrap = broker.direct().to_string();
    let demo = ["demo", "--records", "40", "--bootstrap", &bootstrap];
    let output = Command::new(seqgate::binary()).args(demo).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("The second scene restarts the broker and is left out with a real one."), "{said}");
    assert!(said.contains("1. Acknowledgements get lost") && said.contains("3. The producer leaves out"), "{said}");
    assert!(!said.contains("2. The broker restarts"), "{said}");
    // Of the first scene without seqgate and with it, of the third with it alone.
    let once = "each stored once";
    assert_eq!(rows(&said, "verdict"), [vec![once, once], vec![once]]);
    let (duplicates, answered) = (rows(&said, "duplicates that reached the broker"), rows(&said, "batches answered"));
    assert!(duplicates[0][0] != "0" && duplicates[0][1] == "0" && answered[0][1] != "0", "{said}");
    assert_ne!(rows(&said, "gaps flagged")[1], ["0"], "{said}");
    assert!(said.contains("\nThrough seqgate, every record was stored once.\n"), "{said}");
}

#[test]
fn a_demo_on_a_cluster_finds_the_leaders_of_its_topics() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let settings =
        [("auto.create.topics.enable", "true"), ("default.replication.factor", "1"), ("min.insync.replicas", "1")];
    let brokers = Kafka::cluster(parts, &[None; 3], &settings);
    for broker in &brokers {
        let demo = ["demo", "--records", "40", "--bootstrap", &broker.direct().to_string()];
        let output = Command::new(seqgate::binary()).args(demo).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The values of a measure, of each table that has it.
fn rows<'a>(said: &'a str, measure: &str) -> Vec<Vec<&'a str>> {
    let rows = said.lines().filter(|line| line.starts_with(&format!("│ {measure}")));
    rows.map(|row| row.trim_end_matches('│').split('┆').skip(1).map(str::trim).collect()).collect()
}
