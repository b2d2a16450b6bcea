//! The judge can fail.

use crate::support::judge::{Outcome, judge};
use crate::support::producer::{Acked, Failed};
use crate::support::tools::Logged;

fn of(acked: &[(&str, i64)], log: &[(&str, i64)]) -> Outcome {
    let acked = acked.iter().map(|(id, offset)| Acked { id: (*id).to_owned(), partition: 0, offset: *offset });
    let log = log.iter().map(|(id, offset)| Logged { id: (*id).to_owned(), partition: 0, offset: *offset });
    judge(acked.collect(), Vec::new(), log.collect())
}

#[test]
fn records_in_their_places_are_exactly_once() {
    of(&[("a", 0), ("b", 1)], &[("a", 0), ("b", 1)]).assert_exactly_once("producer", 2);
}

#[test]
fn a_record_that_stands_twice_is_doubled() {
    let outcome = of(&[("a", 0), ("b", 1)], &[("a", 0), ("b", 1), ("a", 2)]);
    assert_eq!((outcome.doubled, outcome.reordered), (vec!["a".to_owned()], vec![]));
}

#[test]
fn an_acknowledged_record_that_stands_nowhere_is_lost() {
    let outcome = of(&[("a", 0), ("b", 1)], &[("a", 0)]);
    assert!(!outcome.is_exactly_once(2));
    assert_eq!(outcome.lost, ["b"]);
}

#[test]
fn a_record_elsewhere_than_told_is_misplaced() {
    assert_eq!(of(&[("a", 7)], &[("a", 0)]).misplaced, ["a"]);
}

#[test]
fn a_record_behind_a_later_one_is_reordered() {
    assert_eq!(of(&[("a", 1), ("b", 0)], &[("b", 0), ("a", 1)]).reordered, ["a"]);
}

#[test]
fn a_failed_record_is_not_exactly_once() {
    let failed = vec![Failed { id: "b".to_owned(), error: "timeout".to_owned() }];
    let outcome = judge(of(&[("a", 0)], &[]).acked, failed, of(&[], &[("a", 0)]).log);
    assert!(!outcome.is_exactly_once(1));
}
