use std::time::SystemTime;

use super::super::line;
use super::*;

/// A journal of `blocks` blocks of three lines each.
fn journal(blocks: u64) -> Vec<String> {
    let (mut chain, mut text) = (Chain::zero(), String::new());
    for block in 0..blocks {
        let begin = text.len();
        line::start(&mut text, SystemTime::UNIX_EPOCH);
        line::dropped(&mut text, SystemTime::UNIX_EPOCH, block);
        line::stop(&mut text, SystemTime::UNIX_EPOCH);
        chain.take_in(&text.as_bytes()[begin..]);
        chain = chain.close(&mut text, SystemTime::UNIX_EPOCH, 3);
    }
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// Whether the whole text stands as it was written.
fn holds(text: &[u8]) -> bool {
    verify(text).is_ok_and(|found| found.uncovered == 0)
}

#[test]
fn a_journal_as_it_was_written_holds() {
    let found = verify(journal(3).concat().as_bytes()).unwrap();
    assert_eq!((found.lines, found.blocks, found.uncovered), (12, 3, 0));
    assert!(journal(3)[11].contains(&found.chain.unwrap()));
    assert_eq!(verify(&b""[..]).unwrap(), Verified { lines: 0, blocks: 0, uncovered: 0, chain: None });
}

#[test]
fn a_chain_line_is_json_too() {
    let line: serde_json::Value = serde_json::from_str(&journal(1)[3]).unwrap();
    assert_eq!((&line["event"], &line["lines"]), (&"chain".into(), &3.into()));
    assert_eq!(line["time"], "1970-01-01T00:00:00.000000Z");
    assert_eq!(line["chain"].as_str().unwrap().len(), 64);
}

#[test]
fn every_flipped_bit_is_found() {
    let text = journal(2).concat().into_bytes();
    for at in 0..text.len() {
        for bit in [0, 3, 5] {
            let mut flipped = text.clone();
            flipped[at] ^= 1 << bit;
            // The file's last line feed says nothing.
            assert!(!holds(&flipped) || at + 1 == text.len(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn every_removed_line_is_found_and_where() {
    let lines = journal(3);
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert!(!holds(fewer.concat().as_bytes()), "line {at}");
    }
    let mut fewer = lines;
    fewer.remove(5);
    let error = verify(fewer.concat().as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "lines 5 to 7 are not as they were written: the chain in line 7 does not fit");
}

#[test]
fn removed_and_exchanged_blocks_are_found() {
    let lines = journal(3);
    for block in [0..4, 4..8] {
        let mut fewer = lines.clone();
        fewer.drain(block);
        assert!(!holds(fewer.concat().as_bytes()));
    }
    let exchanged = [&lines[4..8], &lines[..4], &lines[8..]].concat();
    assert!(!holds(exchanged.concat().as_bytes()));
    // At the end only the chain that somebody has kept tells.
    let shorter = verify(lines[..8].concat().as_bytes()).unwrap();
    assert_ne!(shorter.chain, verify(lines.concat().as_bytes()).unwrap().chain);
}

#[test]
fn every_pair_of_exchanged_lines_is_found() {
    let lines = journal(3);
    for a in 0..lines.len() {
        for b in a + 1..lines.len() {
            let mut exchanged = lines.clone();
            exchanged.swap(a, b);
            assert!(lines[a] == lines[b] || !holds(exchanged.concat().as_bytes()), "{a} and {b}");
        }
    }
}

#[test]
fn an_added_line_is_found() {
    let lines = journal(2);
    for at in 0..=lines.len() {
        for added in [lines[1].as_str(), lines[3].as_str(), "\n", "x"] {
            let mut more = lines.clone();
            more.insert(at, added.to_owned());
            let text = more.concat();
            assert!(!holds(text.as_bytes()), "{added:?} before line {at}");
        }
    }
}

#[test]
fn a_long_line_cannot_hide_a_chain_line() {
    let lines = journal(1);
    let long = "x".repeat(usize::try_from(PIECE_BYTES_MAX).unwrap());
    let found = verify([long.as_str(), &lines[3]].concat().as_bytes()).unwrap();
    assert_eq!((found.lines, found.uncovered), (0, 1));
}
