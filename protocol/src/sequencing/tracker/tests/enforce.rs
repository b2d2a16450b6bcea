//! Which gaps are asked about, so that they may be refused here.

use super::*;

fn enforcing() -> Sender {
    Sender { enforces: true, ..sender() }
}

/// What becomes of a batch that seems to leave two sequences out.
fn passage(tracker: &mut Tracker) -> (Rule, Passage) {
    let Observation { rule, passage, ticket, .. } = tracker.look(T, 0, &batch(7, 0, 3, 1), &enforcing(), NOW);
    if let Some(ticket) = ticket {
        tracker.settle(ticket, Outcome::Withdrawn, NOW);
    }
    (rule, passage)
}

fn acknowledged() -> Tracker {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    tracker
}

#[test]
fn a_gap_is_asked_about_where_all_that_is_known_speaks_for_it() {
    assert_eq!(passage(&mut acknowledged()), (Rule::D18, Passage::Ask));
}

#[test]
fn nothing_is_missing_for_certain_where_something_was_forgotten() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    tracker.give(&batch(7, 0, 1, 1), said(59, -1));
    tracker.give(&batch(7, 0, 0, 1), ok(101));
    assert_eq!(passage(&mut tracker), (Rule::D17, Passage::Free));
}

#[test]
fn a_producer_under_both_forms_of_a_topic_is_not_asked_about() {
    let mut tracker = acknowledged();
    let by_id = TopicRef::Id(TopicId([1; 16]));
    let ticket = tracker.look(by_id, 0, &batch(7, 0, 0, 1), &sender(), NOW).ticket.unwrap();
    tracker.settle(ticket, ok(101), NOW);
    tracker.give(&batch(7, 0, 0, 1), ok(102));
    assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Free));
}

/// It may be evicted between the leader's word and the answer.
#[test]
fn a_refusal_of_whom_nothing_is_known_any_more_counts_no_gap() {
    let mut tracker = acknowledged();
    assert_eq!(tracker.refuse(T, 0, &batch(8, 0, 3, 1), &enforcing()), (false, -1));
    assert_eq!(tracker.refuse(TopicRef::Name(b"u"), 0, &batch(7, 0, 3, 1), &enforcing()), (false, -1));
    assert_eq!(tracker.refuse(T, 0, &batch(7, 0, 3, 1), &enforcing()), (true, 0));
}

/// Not while what is missing waits here, whatever else is acknowledged meanwhile.
#[test]
fn an_answer_to_what_was_sent_before_does_not_end_that_a_batch_waits() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    let before = tracker.send_one(&batch(7, 0, 1, 1));
    let waits = tracker.send_one(&batch(7, 0, 2, 1));
    tracker.settle(waits, Outcome::Withdrawn, NOW);
    tracker.settle(before, ok(101), NOW);
    let ahead = tracker.look(T, 0, &batch(7, 0, 3, 1), &enforcing(), NOW);
    assert_eq!((ahead.rule, ahead.passage), (Rule::D18, Passage::Free));
    tracker.settle(ahead.ticket.unwrap(), said(45, -1), NOW);
    // It has come.
    tracker.give(&batch(7, 0, 2, 1), ok(102));
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 4, 1), &enforcing(), NOW).passage, Passage::Ask);
}
