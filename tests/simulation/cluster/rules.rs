//! The model itself is held against the rules of Kafka's own tests (`ProducerStateManagerTest`, `UnifiedLogTest`), each
//! under the name it has there, and against what real brokers have answered to a script.

use std::fs;
use std::path::Path;

use super::log::{Appended, Log};
use crate::batch::Batch;

fn batch(epoch: i16, base: i32, count: u32) -> Batch {
    Batch { producer_id: 7, epoch, base, transactional: false, records: (0..count).collect(), variant: 0 }
}

fn with(batches: &[(i16, i32, u32)]) -> Log {
    let mut log = Log::default();
    for (epoch, base, count) in batches {
        let appended = log.append(&batch(*epoch, *base, *count));
        assert!(matches!(appended, Appended::New(_)), "{appended:?}");
    }
    log
}

#[test]
fn basic_id_mapping() {
    let mut log = with(&[(0, 0, 1), (0, 1, 1)]);
    assert_eq!(log.append(&batch(0, 2, 1)), Appended::New(2));
    // testBasicIdMapping: a gap, then an old epoch.
    assert_eq!(log.append(&batch(0, 5, 1)), Appended::Refused(45));
    assert_eq!(log.append(&batch(1, 0, 1)), Appended::New(3));
    assert_eq!(log.append(&batch(0, 5, 1)), Appended::Refused(47));
}

#[test]
fn append_of_an_unknown_producer_takes_any_sequence() {
    let mut log = Log::default();
    assert_eq!(log.append(&batch(3, 500, 2)), Appended::New(0));
    assert_eq!(log.append(&batch(3, 502, 2)), Appended::New(2));
}

#[test]
fn producer_sequence_wrap_around() {
    let mut log = with(&[(15, i32::MAX, 1)]);
    assert_eq!(log.append(&batch(15, 0, 1)), Appended::New(1));
    let mut log = with(&[(15, i32::MAX, 1)]);
    assert_eq!(log.append(&batch(15, 1, 1)), Appended::Refused(45), "testProducerSequenceInvalidWrapAround");
}

#[test]
fn producer_sequence_with_wrap_around_batch_record() {
    let mut log = with(&[(15, i32::MAX - 10, 21)]);
    assert_eq!(batch(15, i32::MAX - 10, 21).last(), 9);
    assert_eq!(log.append(&batch(15, i32::MAX - 10, 21)), Appended::Duplicate(0));
    assert_eq!(log.append(&batch(15, 10, 1)), Appended::New(21));
}

#[test]
fn reject_non_zero_sequence_for_direct_epoch_bump() {
    let mut log = with(&[(0, 0, 5)]);
    assert_eq!(log.append(&batch(1, 5, 1)), Appended::Refused(45));
    assert_eq!(log.append(&batch(0, 5, 1)), Appended::New(5), "the old epoch is still good");
    assert_eq!(log.append(&batch(17, 0, 1)), Appended::New(6), "any jump of the epoch");
    assert_eq!(log.append(&batch(0, 6, 1)), Appended::Refused(47), "testOldProducerEpoch");
}

#[test]
fn duplicate_appends() {
    let mut log = with(&[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)]);
    assert_eq!(log.append(&batch(0, 1, 1)), Appended::Duplicate(1));
    assert_eq!(log.append(&batch(0, 0, 1)), Appended::Refused(45), "the oldest of six");
    assert_eq!(log.append(&batch(0, 4, 2)), Appended::Refused(45), "an overlap is no duplicate");
    log.restart();
    assert_eq!(log.append(&batch(0, 5, 1)), Appended::Duplicate(5));
    assert_eq!(log.append(&batch(0, 4, 1)), Appended::Refused(45), "a snapshot holds one batch");
}

#[test]
fn remove_expired_pids_on_reload() {
    let mut log = with(&[(0, 0, 1), (0, 1, 1)]);
    log.expire();
    assert!(!log.knows(7));
    assert_eq!(log.append(&batch(0, 1, 1)), Appended::New(2), "the retry is appended again");
}

#[test]
fn truncate_and_reload_remove_out_of_range_snapshots() {
    let mut log = with(&[(0, 0, 1), (0, 1, 1), (0, 2, 1)]);
    log.truncate(2);
    assert_eq!(log.append(&batch(0, 2, 1)), Appended::New(2), "its sequence is the expected one again");
    log.truncate(0);
    assert!(!log.knows(7));
}

#[test]
fn control_record_bumps_producer_epoch() {
    let mut log = with(&[(0, 0, 3)]);
    log.mark(7, 1);
    assert_eq!(log.append(&batch(1, 3, 1)), Appended::Refused(45));
    assert_eq!(log.append(&batch(1, 0, 1)), Appended::New(4));
    let mut log = with(&[(0, 0, 3)]);
    log.mark(7, 0);
    assert_eq!(log.append(&batch(0, 0, 3)), Appended::Duplicate(0), "a marker of the same epoch forgets nothing");
    assert_eq!(log.append(&batch(0, 3, 1)), Appended::New(4));
}

#[test]
fn non_transactional_append_with_ongoing_transaction() {
    let mut log = Log::default();
    log.append(&Batch { transactional: true, ..batch(0, 0, 1) });
    assert_eq!(log.append(&batch(0, 1, 1)), Appended::Refused(48));
    log.expire();
    assert!(log.knows(7), "a transaction keeps its producer");
}

/// The script that real brokers have answered: `tests/kafka/recorded.rs` puts it to them again.
#[test]
fn the_model_answers_as_real_brokers_do() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kafka/recorded.txt");
    let text = fs::read_to_string(place).expect("the script is there");
    let mut log = Log::default();
    let mut compared = 0;
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        match line {
            "partition" => log = Log::default(),
            "restart" | "kill" => log.restart(),
            _ => {
                let (asked, answered) = line.split_once(" -> ").expect("a batch and its answer");
                let found = match log.append(&read(asked)) {
                    Appended::New(offset) | Appended::Duplicate(offset) => format!("0@{offset}"),
                    Appended::Refused(code) => code.to_string(),
                };
                assert_eq!(found, answered, "line {}: {asked}", at + 1);
                compared += 1;
            }
        }
    }
    assert!(compared >= 50, "{compared} answers");
}

/// `pid=7 epoch=0 seq=0..4`, where a last below the first is beyond the wrap.
fn read(text: &str) -> Batch {
    let value = |name: &str| {
        let word = text.split(' ').find_map(|word| word.strip_prefix(name)).expect("every batch says it");
        word.strip_prefix('=').expect("a value")
    };
    let (first, last) = value("seq").split_once("..").expect("first and last");
    let (first, last): (i32, i32) = (first.parse().unwrap(), last.parse().unwrap());
    let count = (last.wrapping_sub(first) & i32::MAX) + 1;
    Batch {
        producer_id: value("pid").parse().unwrap(),
        epoch: value("epoch").parse().unwrap(),
        base: first,
        transactional: false,
        records: (0..count.cast_unsigned()).collect(),
        variant: 0,
    }
}
