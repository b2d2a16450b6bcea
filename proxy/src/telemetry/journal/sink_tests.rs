use std::io::BufReader;
use std::time::SystemTime;

use super::super::line;
use super::super::verify::{Verified, verify};
use super::*;

fn append(sink: &mut Sink) {
    let mut text = String::new();
    line::start(&mut text, SystemTime::now());
    let mut chain = sink.chain.clone();
    chain.take_in(text.as_bytes());
    let chain = chain.close(&mut text, SystemTime::now(), 1);
    if sink.line_open {
        text.insert(0, '\n');
    }
    sink.append(text.as_bytes(), chain).unwrap();
}

fn verified(path: &Path) -> Verified {
    verify(BufReader::new(File::open(path).unwrap())).unwrap()
}

#[test]
fn a_file_is_continued_wherever_it_was_torn() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut sink = Sink::open(&path).unwrap();
    append(&mut sink);
    append(&mut sink);
    drop(sink);
    let whole = fs::read(&path).unwrap();
    for end in 0..=whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        append(&mut Sink::open(&path).unwrap());
        let found = verified(&path);
        assert_eq!(found.uncovered, 0, "torn at {end}");
        assert!(fs::read(&path).unwrap().starts_with(&whole[..end]));
    }
}

#[test]
fn one_process_writes_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let _first = Sink::open(&path).unwrap();
    assert_eq!(Sink::open(&path).unwrap_err().to_string(), "another process writes to it");
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other");
    fs::write(&path, "root:x:0:0\n").unwrap();
    assert_eq!(Sink::open(&path).unwrap_err().to_string(), "it is not a journal");
    assert!(Sink::open(directory.path()).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"root:x:0:0\n");
}

#[test]
fn a_file_without_a_chain_near_its_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    fs::write(&path, "{\"time\":\"x\"}\n".repeat(2 << 20)).unwrap();
    assert_eq!(Sink::open(&path).unwrap_err().to_string(), "it has no chain line near its end");
}

#[test]
fn a_file_that_was_moved_removed_or_cut_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut sink = Sink::open(&path).unwrap();
    append(&mut sink);
    assert!(!sink.is_moved(&path));
    fs::rename(&path, directory.path().join("journal.1")).unwrap();
    assert!(sink.is_moved(&path) && !sink.is_removed());
    fs::remove_file(directory.path().join("journal.1")).unwrap();
    assert!(sink.is_moved(&path) && sink.is_removed());
    let mut sink = Sink::open(&path).unwrap();
    append(&mut sink);
    fs::write(&path, "").unwrap();
    assert!(sink.is_moved(&path));
}
