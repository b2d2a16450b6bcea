use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use seqgate_protocol::event::{Action, BatchEvent, Event, Rule, Verdict};
use seqgate_protocol::sequencing::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange, TopicId, TopicRef};
use serde_json::Value;

use super::*;
use crate::config::{HostPort, ListenerConfig};
use crate::runtime::{Listener, Upstream};
use crate::telemetry::lanes::Counter;

/// A connection that nothing came on yet.
pub(super) fn client() -> Arc<ConnectionRecord> {
    let at = HostPort::new("127.0.0.1", 9092);
    let upstream = Arc::new(Upstream::new(at.clone()));
    let listener = Listener::new(&ListenerConfig::new(at.clone(), at), "127.0.0.1:9092".parse().unwrap(), upstream);
    Arc::new(ConnectionRecord::new(7, Arc::new(listener), "127.0.0.1:5000".parse().unwrap()))
}

/// The event of a duplicate that was answered.
pub(super) fn event(topic: TopicRef<'_>, verdict: Verdict, rule: Rule) -> Event<'_> {
    let range = SequenceRange::from_wire(5, 1).unwrap();
    let batch = BatchId { producer_id: ProducerId::new(1000), epoch: ProducerEpoch::new(0), range };
    let action = if verdict == Verdict::Duplicate { Action::Answered } else { Action::Forwarded };
    Event::Batch(BatchEvent {
        verdict,
        action,
        rule,
        topic,
        partition: 3,
        batch: Some(batch),
        expected: Sequence::new(7),
        records: 2,
        bytes: 79,
        crc: Some(0x614e_2118),
        base_offset: Some(42),
        new_gap: false,
    })
}

pub(super) fn batch(topic: &[u8], client: &Arc<ConnectionRecord>) -> Entry {
    Entry::of(&event(TopicRef::Name(topic), Verdict::Duplicate, Rule::D12), client, false).unwrap()
}

pub(super) fn ended(client: &Arc<ConnectionRecord>) -> Entry {
    let totals = Totals { bytes_to_broker: 300, bytes_to_client: 50, requests: 2, responses: 1 };
    Entry::of_end(client, Outcome::Client, totals)
}

fn start(file: &Path, every_batch: bool) -> Journal {
    let config = JournalConfig { file: file.to_owned(), every_batch };
    Journal::start(Some(&config), Counter::default()).unwrap()
}

fn dropped(journal: &Journal) -> u64 {
    journal.0.as_ref().unwrap().shared.dropped.get()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(lines: &[Value]) -> Vec<&str> {
    let events = lines.iter().map(|line| line["event"].as_str().unwrap());
    events.filter(|event| *event != "chain").collect()
}

fn tell(journal: &Journal, event: Event<'_>, name: Option<&[u8]>) {
    let client = client();
    let mut scribe = journal.scribe(&client);
    scribe.take(&event);
    scribe.finish(|_| name.map(Into::into));
}

#[tokio::test]
async fn what_is_ordinary_is_told_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    for (every_batch, expected) in
        [(false, vec!["start", "epoch_bump", "stop"]), (true, vec!["start", "batch", "batch", "epoch_bump", "stop"])]
    {
        let file = directory.path().join(format!("{every_batch}"));
        let journal = start(&file, every_batch);
        for (verdict, rule) in
            [(Verdict::InOrder, Rule::D8), (Verdict::Untracked, Rule::D1), (Verdict::InOrder, Rule::D20)]
        {
            tell(&journal, event(TopicRef::Name(b"t"), verdict, rule), None);
        }
        journal.stop().await;
        assert_eq!(events(&lines(&fs::read_to_string(&file).unwrap())), expected);
    }
}

#[tokio::test]
async fn a_topic_that_a_request_names_by_id_is_shown_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal");
    let journal = start(&file, false);
    let topic = TopicRef::Id(TopicId([1; 16]));
    tell(&journal, event(topic, Verdict::Stale, Rule::D22), Some(b"orders"));
    tell(&journal, event(topic, Verdict::Stale, Rule::D22), None);
    journal.stop().await;
    let lines = lines(&fs::read_to_string(&file).unwrap());
    let stale: Vec<_> = lines.iter().filter(|line| line["event"] == "stale").collect();
    let id = "01010101-0101-0101-0101-010101010101";
    assert_eq!((&stale[0]["topic"], &stale[0]["topic_id"]), (&"orders".into(), &id.into()));
    assert_eq!((&stale[1]["topic"], &stale[1]["topic_id"]), (&Value::Null, &id.into()));
}

#[tokio::test]
async fn a_second_run_continues_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal");
    for _ in 0..2 {
        let journal = start(&file, false);
        journal.note_end(&client(), Outcome::Client, Totals::default());
        journal.stop().await;
    }
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(events(&lines(&text)), ["start", "connection", "stop", "start", "connection", "stop"]);
    assert_eq!(verify(text.as_bytes()).unwrap().uncovered, 0);
}

#[tokio::test]
async fn a_journal_that_was_moved_away_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (file, moved) = (directory.path().join("journal"), directory.path().join("journal.1"));
    let journal = start(&file, false);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&file).unwrap().contains("chain") {
        assert!(Instant::now() < deadline, "the first block is not written");
        thread::yield_now();
    }
    fs::rename(&file, &moved).unwrap();
    journal.note_end(&client(), Outcome::Client, Totals::default());
    journal.stop().await;
    for (file, expected) in [(moved, vec!["start"]), (file, vec!["start", "connection", "stop"])] {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(events(&lines(&text)), expected);
        assert_eq!(verify(text.as_bytes()).unwrap().uncovered, 0);
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let journal = start(&file, false);
    let client = client();
    // What the pipe, the writer's block and the queue hold, and some more.
    let begin = Instant::now();
    let mut told = 0;
    while dropped(&journal) < 100 {
        journal.note(batch(b"orders", &client));
        told += 1;
        assert!(told < 100_000 && begin.elapsed() < Duration::from_secs(20), "nothing is dropped");
    }
    let mut pipe = fs::File::open(&file).unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let mut piece = [0; 4096];
        while !text.contains("\"event\":\"stop\"") || !text.ends_with('\n') {
            let count = pipe.read(&mut piece).unwrap();
            text.push_str(str::from_utf8(&piece[..count]).unwrap());
        }
        text
    });
    journal.stop().await;
    let text = reader.join().unwrap();
    let lines = lines(&text);
    let missing: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
    let duplicates = lines.iter().filter(|line| line["event"] == "duplicate").count() as u64;
    assert_eq!((missing, duplicates + missing), (dropped(&journal), told));
    assert_eq!(verify(text.as_bytes()).map(|found| found.blocks > 0).ok(), Some(true));
}

#[tokio::test]
async fn a_disk_that_is_full_is_counted() {
    let journal = start(Path::new("/dev/full"), false);
    journal.note_end(&client(), Outcome::Client, Totals::default());
    journal.note_end(&client(), Outcome::Client, Totals::default());
    journal.stop().await;
    assert_eq!(dropped(&journal), 2);
}

#[tokio::test]
async fn without_a_file_nothing_is_taken() {
    let journal = Journal::start(None, Counter::default()).unwrap();
    tell(&journal, event(TopicRef::Name(b"t"), Verdict::Gap, Rule::D18), None);
    journal.stop().await;
}
