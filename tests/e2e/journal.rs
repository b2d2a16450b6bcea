//! The journal of the running binary.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use rustix::process::Signal;
use seqgate::sandbox::batch::{self, BatchContent};
use seqgate::telemetry::journal::{Verified, verify};
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};
use serde_json::Value;

use crate::admin::http;
use crate::scene::ASKS_NOTHING;
use crate::support::{PATIENCE, Proxy, accept, broker, output, request, respond, seqgate};

/// A producer and its broker, as scripts: Produce version 3, one batch of one record per partition.
struct Script<'a> {
    client_id: &'a [u8],
    topic: &'a [u8],
}

impl Script<'_> {
    fn request(&self, acks: i16, partitions: i32, sequence: i32) -> Vec<u8> {
        let batch = batch::encode(BatchContent {
            producer_id: ProducerId::new(1_000),
            epoch: ProducerEpoch::new(0),
            base_sequence: Sequence::new(sequence).unwrap(),
            timestamp_ms: 0,
            values: &[Bytes::from_static(b"a secret value")],
        });
        let mut body = [&[0, 0, 0, 3, 0, 0, 0, 9][..], &string(self.client_id), &[0xff, 0xff]].concat();
        body.extend(acks.to_be_bytes());
        body.extend([0, 0, 0x75, 0x30, 0, 0, 0, 1]);
        body.extend(string(self.topic));
        body.extend(partitions.to_be_bytes());
        for partition in 0..partitions {
            body.extend(partition.to_be_bytes());
            body.extend((batch.len() as i32).to_be_bytes());
            body.extend(&batch);
        }
        frame(&body)
    }

    fn response(&self, error: i16, offset: i64) -> Vec<u8> {
        let mut body = [&[0, 0, 0, 9, 0, 0, 0, 1][..], &string(self.topic), &[0, 0, 0, 1, 0, 0, 0, 0]].concat();
        body.extend(error.to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend([0xff; 8]);
        body.extend([0; 4]);
        frame(&body)
    }

    /// Produces, has the broker answer, and returns when the client has the answer.
    fn produce(&self, client: &mut TcpStream, served: &mut TcpStream, sequence: i32, response: &[u8]) {
        let request = self.request(-1, 1, sequence);
        client.write_all(&request).unwrap();
        assert_eq!(arrived(served, request.len()), request);
        served.write_all(response).unwrap();
        assert_eq!(arrived(client, response.len()), response);
    }

    /// One batch, the same again, one that leaves sequences out, and goodbye.
    fn play(&self, journal: &Path) {
        let (broker, upstream) = broker();
        let config = journal.with_extension("toml");
        std::fs::write(&config, ASKS_NOTHING).unwrap();
        let args = ["-c", config.to_str().unwrap(), "--journal", journal.to_str().unwrap()];
        let mut proxy = Proxy::start(upstream, &args);
        proxy.will_warn(&["sequence gap"]);
        let mut client = proxy.connect();
        let mut served = accept(&broker);
        let acknowledged = self.response(0, 40);
        self.produce(&mut client, &mut served, 0, &acknowledged);
        client.write_all(&self.request(-1, 1, 0)).unwrap();
        assert_eq!(arrived(&mut client, acknowledged.len()).len(), acknowledged.len());
        self.produce(&mut client, &mut served, 7, &self.response(45, -1));
        drop(client);
        assert_eq!(served.read(&mut [0]).unwrap(), 0);
        drop(served);
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.wait().0.code(), Some(0));
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes(), text].concat()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32).to_be_bytes(), body].concat()
}

fn arrived(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Returns every line but those of the chain; fails unless each is JSON and the chain holds to the end.
fn told(journal: &Path) -> Vec<Value> {
    let found = verify(BufReader::new(File::open(journal).unwrap())).unwrap();
    assert!(matches!(found, Verified { uncovered: 0, blocks: 1.., .. }), "{found:?}");
    let text = fs::read_to_string(journal).unwrap();
    assert!(!text.contains("secret"));
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] != "chain").collect()
}

#[test]
fn a_duplicate_a_gap_and_a_goodbye_are_told_whatever_the_names() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let long = [b'\n'; 20_000];
    let names: [(&[u8], &[u8]); 3] = [
        (b"pay-1", b"orders"),
        (b"\"}\n{\"event\":\"stop\"}\n\0\x1b[31m", b"a\"\\\n\xc3\xa9\xff"),
        (&long, &long[..249]),
    ];
    for (client_id, topic) in names {
        Script { client_id, topic }.play(&journal);
    }
    // Each run has continued the file.
    let lines = told(&journal);
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["start", "duplicate", "suspect", "gap", "connection", "stop"].repeat(3));
    for (run, (client_id, topic)) in lines.chunks(6).zip(names) {
        for line in &run[1..5] {
            assert_eq!(line["connection"], 1);
            let shown = client_id.escape_ascii().to_string();
            assert!(shown.starts_with(line["client_id"].as_str().unwrap()), "{line}");
        }
        for line in &run[1..4] {
            assert_eq!(line["topic"], topic.escape_ascii().to_string());
            assert_eq!((&line["producer_id"], &line["partition"]), (&1_000.into(), &0.into()));
        }
    }
}

#[test]
fn each_line_has_what_explains_it() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    Script { client_id: b"pay-1", topic: b"orders" }.play(&journal);
    let lines = told(&journal);
    let [start, duplicate, suspect, gap, connection, _stop] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    for (line, fields) in [
        (duplicate, ["duplicate", "answered", "0", "0", "1", "D12"]),
        (suspect, ["suspect", "forwarded", "7", "7", "1", "D18"]),
        (gap, ["gap", "forwarded", "7", "7", "1", "null"]),
    ] {
        let names = ["verdict", "action", "base_sequence", "last_sequence", "expected_sequence", "reason"];
        let found = names.map(|name| line[name].as_str().map_or_else(|| line[name].to_string(), str::to_owned));
        assert_eq!(found, fields, "{line}");
    }
    assert_eq!((&duplicate["base_offset"], &duplicate["error_code"]), (&40.into(), &0.into()));
    assert!(duplicate["crc"].is_u64() && duplicate["bytes"].is_u64() && duplicate["records"] == 1);
    assert_eq!(gap["error_code"], 45);
    assert_eq!((&connection["outcome"], &connection["listener"]), (&"client".into(), &"default".into()));
    assert_eq!((&connection["requests"], &connection["responses"]), (&3.into(), &3.into()));
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (pipe, file) = (directory.path().join("pipe"), directory.path().join("seqgate.toml"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (broker, upstream) = broker();
    let listener = format!("[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
    fs::write(&file, format!("[journal]\nfile = \"pipe\"\nevery_batch = true\n{listener}")).unwrap();
    let mut proxy = Proxy::spawn(seqgate().args(["run", "--admin", "127.0.0.1:0", "-c"]).arg(&file));
    proxy.will_warn_again(&["the journal's file is too slow"]);
    let admin = proxy.admin();
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    let script = Script { client_id: b"pay-1", topic: b"orders" };
    let deadline = Instant::now() + PATIENCE;
    for sequence in 0.. {
        let request = script.request(0, 1_000, sequence);
        client.write_all(&request).unwrap();
        assert_eq!(arrived(&mut served, request.len()), request);
        let (_, _, metrics) = http(admin, "GET", "/metrics", "", "");
        if !metrics.contains("seqgate_journal_dropped_total 0\n") {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is dropped");
    }
    request(&mut client, &mut served);
    respond(&mut served, &mut client);
    proxy.wait_for_log("events are dropped");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().0.code(), Some(0));
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let (broker, upstream) = broker();
    let mut proxy = Proxy::start(upstream, &["--journal", "/dev/full"]);
    proxy.will_warn_again(&["the journal cannot be written"]);
    proxy.wait_for_log("the journal cannot be written");
    let mut client = proxy.connect();
    let mut served = accept(&broker);
    request(&mut client, &mut served);
    respond(&mut served, &mut client);
}

#[test]
fn a_journal_that_cannot_be_opened_ends_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("notes");
    fs::write(&other, "not a journal\n").unwrap();
    for (journal, expected) in [("/does/not/exist", "No such file"), (other.to_str().unwrap(), "it is not a journal")] {
        let output = output(&["run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9", "--journal", journal]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("error: journal {journal} cannot be opened: {expected}")), "{said}");
    }
}
