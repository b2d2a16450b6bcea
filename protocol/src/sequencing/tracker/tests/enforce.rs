//! When a gap may be refused here: not while what is missing waits here, whatever else is acknowledged meanwhile.

use super::*;

#[test]
fn an_answer_to_what_was_sent_before_does_not_end_that_a_batch_waits() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    let before = tracker.send_one(&batch(7, 0, 1, 1));
    let waits = tracker.send_one(&batch(7, 0, 2, 1));
    tracker.settle(waits, Outcome::Withdrawn, NOW);
    tracker.settle(before, ok(101), NOW);
    let enforces = Sender { enforces: true, ..sender() };
    let ahead = tracker.look(T, 0, &batch(7, 0, 3, 1), &enforces, NOW);
    assert_eq!((ahead.rule, ahead.passage), (Rule::D18, Passage::Free));
    tracker.settle(ahead.ticket.unwrap(), said(45, -1), NOW);
    // It has come.
    tracker.give(&batch(7, 0, 2, 1), ok(102));
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 4, 1), &enforces, NOW).passage, Passage::Ask);
}
