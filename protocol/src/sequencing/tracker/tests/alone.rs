//! T27: after a retry was answered that the broker may not remember, its producer goes one batch at a time.

use super::*;

/// A producer of which batch 0 is proven, and was answered from a proof that is older than the broker.
fn answered() -> Tracker {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    assert!(tracker.look(T, 0, &batch(7, 0, 0, 1), &restarted(), NOW).proof.is_some());
    tracker.answered(T, 0, ProducerId::new(7), &restarted(), NOW);
    tracker
}

fn next(tracker: &mut Tracker, base: i32, held: bool) -> Observation {
    tracker.observe(T, 0, &batch(7, 0, base, 1), &restarted(), held, NOW).unwrap()
}

#[test]
fn the_second_batch_waits_for_the_first() {
    let mut tracker = answered();
    assert!(!tracker.must_wait(T, 0, batch(7, 0, 2, 1).id, &restarted()));
    let first = next(&mut tracker, 1, false);
    let second = next(&mut tracker, 2, false);
    assert_eq!((first.passage, second.passage), (Passage::Free, Passage::Hold));
    assert_eq!((second.ticket, tracker.open_attempts()), (None, 1));
    assert!(tracker.must_wait(T, 0, batch(7, 0, 2, 1).id, &restarted()));
    let transactional = Batch { transactional: true, ..batch(7, 0, 0, 1) };
    let held = tracker.observe(T, 0, &transactional, &restarted(), false, NOW).unwrap();
    assert_eq!((held.rule, held.passage, held.proof), (Rule::D12, Passage::Hold, None));
    tracker.settle(first.ticket.unwrap(), ok(101), NOW);
    assert_eq!(next(&mut tracker, 2, true).passage, Passage::Free);
    assert!(!tracker.must_wait(T, 0, batch(7, 0, 2, 1).id, &restarted()));
    assert_eq!(next(&mut tracker, 3, false).passage, Passage::Free, "the broker knows the producer again");
}

#[test]
fn after_a_refusal_only_the_refused_one_may_go() {
    let mut tracker = answered();
    let first = next(&mut tracker, 1, false).ticket.unwrap();
    assert_eq!(next(&mut tracker, 2, false).passage, Passage::Hold);
    tracker.settle(first, said(19, -1), NOW);
    assert_eq!(next(&mut tracker, 2, true).passage, Passage::Reset);
    assert_eq!(next(&mut tracker, 2, false).passage, Passage::Reset, "pipelined behind the refused one");
    assert_eq!(tracker.open_attempts(), 0);
    assert_eq!(next(&mut tracker, 1, false).passage, Passage::Free);
}

#[test]
fn an_unknown_outcome_counts_as_a_refusal() {
    let mut tracker = answered();
    let first = next(&mut tracker, 1, false).ticket.unwrap();
    tracker.settle(first, said(7, 101), NOW);
    assert_eq!(next(&mut tracker, 2, true).passage, Passage::Reset);
    assert_eq!(next(&mut tracker, 1, true).passage, Passage::Free);
}

#[test]
fn a_new_epoch_passes() {
    let mut tracker = answered();
    let first = next(&mut tracker, 1, false).ticket.unwrap();
    tracker.settle(first, said(19, -1), NOW);
    let bumped = tracker.observe(T, 0, &batch(7, 1, 0, 1), &restarted(), true, NOW).unwrap();
    assert_eq!((bumped.passage, bumped.rule), (Passage::Free, Rule::D20));
}

#[test]
fn an_acknowledgement_of_an_older_generation_does_not_count() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    let orphan = tracker.send_one(&batch(7, 0, 1, 1));
    tracker.answered(T, 0, ProducerId::new(7), &restarted(), NOW);
    assert_eq!(next(&mut tracker, 2, false).passage, Passage::Hold, "the orphan's answer may come yet");
    tracker.settle(orphan, ok(101), NOW);
    assert_eq!(next(&mut tracker, 2, true).passage, Passage::Free);
    assert_eq!(next(&mut tracker, 3, false).passage, Passage::Hold, "the present generation has said nothing so far");
}

#[test]
fn a_proof_of_the_present_generation_changes_nothing() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    tracker.answered(T, 0, ProducerId::new(7), &sender(), NOW);
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 1, 1), &sender(), NOW).passage, Passage::Free);
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 2, 1), &sender(), NOW).passage, Passage::Free);
}

#[test]
fn duplicates_are_answered_while_a_batch_is_up() {
    let mut tracker = answered();
    next(&mut tracker, 1, false);
    assert!(next(&mut tracker, 0, false).proof.is_some());
}

#[test]
fn batches_without_an_answer_are_not_held() {
    let mut tracker = answered();
    next(&mut tracker, 1, false);
    let quiet = Sender { acks: Acks::None, ..restarted() };
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 2, 1), &quiet, NOW).passage, Passage::Free);
}

#[test]
fn a_gap_is_counted_once_even_if_its_request_was_withdrawn() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    let gap = tracker.look(T, 0, &batch(7, 0, 5, 1), &sender(), NOW);
    assert!(gap.new_gap);
    tracker.settle(gap.ticket.unwrap(), Outcome::Withdrawn, NOW);
    let again = tracker.look(T, 0, &batch(7, 0, 5, 1), &sender(), NOW);
    assert!(again.new_gap, "what was withdrawn was not counted");
    tracker.settle(again.ticket.unwrap(), said(45, -1), NOW);
    let retry = tracker.look(T, 0, &batch(7, 0, 5, 1), &sender(), NOW);
    assert!(!retry.new_gap);
    tracker.settle(retry.ticket.unwrap(), Outcome::Withdrawn, NOW);
    assert!(!tracker.look(T, 0, &batch(7, 0, 5, 1), &sender(), NOW).new_gap);
}

#[test]
fn the_retry_of_the_batch_that_is_up_need_not_wait_for_it() {
    let mut tracker = answered();
    let first = next(&mut tracker, 1, false);
    let again = next(&mut tracker, 1, false);
    assert_eq!((again.rule, again.passage), (Rule::D10, Passage::Free));
    tracker.settle(first.ticket.unwrap(), Outcome::Lost, NOW);
    assert_eq!(next(&mut tracker, 2, false).passage, Passage::Hold, "the retry is up");
}

#[test]
fn what_is_held_does_not_go_when_the_one_before_makes_its_producer_cold() {
    let mut tracker = answered();
    let first = next(&mut tracker, 1, false).ticket.unwrap();
    assert_eq!(next(&mut tracker, 2, false).passage, Passage::Hold);
    assert_eq!(tracker.settle(first, said(45, -1), NOW).ended, Some(Evidence::ExpectedRefused));
    assert_eq!(next(&mut tracker, 2, true).passage, Passage::Reset);
    assert_eq!(tracker.observe(T, 0, &batch(7, 1, 0, 1), &restarted(), true, NOW).unwrap().passage, Passage::Free);
}

/// What was found in the log may have been idle here for longer than anything is kept.
#[test]
fn who_was_answered_is_not_dropped_as_idle() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    let idle = TrackerLimits::default().idle_ms_max + 1_000;
    tracker.answered(T, 0, ProducerId::new(7), &restarted(), after(idle));
    tracker.sweep(1_000, after(idle));
    assert!(next(&mut tracker, 1, false).ticket.is_some());
    assert_eq!(next(&mut tracker, 2, false).passage, Passage::Hold);
}
