//! What the log is looked into for, before a batch goes and after it was refused.

use super::*;

/// On a connection that may ask the broker as it was from the first.
fn asking() -> Sender {
    Sender { may_look: true, confirms: true, ..sender() }
}

/// On one to the broker as it came back.
fn asking_anew() -> Sender {
    Sender { broker: restarted().broker, ..asking() }
}

fn stranger(sender: Sender) -> Sender {
    Sender { authoritative: false, ..sender }
}

/// What the batch is, and whether the log is looked into for it. Nothing is left of it.
fn looked(tracker: &mut Tracker, batch: &Batch, sender: &Sender) -> (Rule, bool) {
    let Observation { rule, passage, ticket, .. } = tracker.look(T, 0, batch, sender, NOW);
    if let Some(ticket) = ticket {
        tracker.settle(ticket, Outcome::Withdrawn, NOW);
    }
    (rule, passage == Passage::Look)
}

#[test]
fn a_retry_is_looked_up_where_its_first_attempt_did_not_go() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), Outcome::Missing);
    let elsewhere = tracker.look(T, 0, &batch(7, 0, 1, 1), &restarted(), NOW).ticket.unwrap();
    tracker.settle(elsewhere, Outcome::Missing, NOW);
    assert_eq!(looked(&mut tracker, &batch(7, 0, 0, 1), &asking()), (Rule::D11, false));
    assert_eq!(looked(&mut tracker, &batch(7, 0, 0, 1), &asking_anew()), (Rule::D11, true));
    assert_eq!(looked(&mut tracker, &batch(7, 0, 1, 1), &asking()), (Rule::D11, true));
}

#[test]
fn what_was_acknowledged_and_is_not_proven_is_looked_up_where_the_broker_may_not_know() {
    let mut tracker = tracker();
    (0..40).for_each(|base| _ = tracker.give(&batch(7, 0, base, 1), ok(i64::from(base))));
    tracker.doubt_log(T, 0);
    for (base, rule) in [(39, Rule::D14), (0, Rule::D19)] {
        assert_eq!(looked(&mut tracker, &batch(7, 0, base, 1), &asking()), (rule, false));
        assert_eq!(looked(&mut tracker, &batch(7, 0, base, 1), &asking_anew()), (rule, true));
    }
    assert_eq!(looked(&mut tracker, &batch(7, 0, 40, 1), &asking_anew()), (Rule::D8, false));
}

#[test]
fn what_seems_to_be_missing_is_looked_up_where_others_may_have_been_told_of_it() {
    let acknowledged = || {
        let mut tracker = tracker();
        tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
        tracker.give(&batch(7, 0, 0, 1), ok(100));
        tracker
    };
    let mut tracker = acknowledged();
    for (ahead, rule) in [(batch(7, 0, 3, 1), Rule::D18), (batch(7, 1, 3, 1), Rule::D21)] {
        assert_eq!(looked(&mut tracker, &ahead, &asking()), (rule, false));
        assert_eq!(looked(&mut tracker, &ahead, &stranger(asking())), (rule, true));
    }
    let in_flight = tracker.send_one(&batch(7, 0, 1, 1));
    assert_eq!(looked(&mut tracker, &batch(7, 0, 3, 1), &stranger(asking())), (Rule::D17, false));
    tracker.settle(in_flight, Outcome::Missing, NOW);
    assert_eq!(looked(&mut tracker, &batch(7, 0, 3, 1), &stranger(asking())), (Rule::D17, true));
    // Where something was forgotten, it is the same as where others send.
    let mut tracker = acknowledged();
    tracker.give(&batch(7, 0, 1, 1), said(59, -1));
    tracker.give(&batch(7, 0, 0, 1), ok(101));
    assert_eq!(looked(&mut tracker, &batch(7, 0, 3, 1), &asking()), (Rule::D17, true));
}

/// The rule that a batch is sent under, and whether it may stand in the log already.
fn sent(tracker: &mut Tracker, batch: &Batch, sender: &Sender) -> (Ticket, Rule, bool) {
    let Observation { rule, ticket, .. } = tracker.look(T, 0, batch, sender, NOW);
    let ticket = ticket.expect("it is sent");
    (ticket, rule, tracker.may_be_old(ticket))
}

#[test]
fn a_batch_may_be_old_unless_it_comes_next_or_all_is_known_of_its_producer() {
    let mut tracker = tracker();
    let mut may_be_old = |batch: Batch, outcome, sender: Sender| {
        let (ticket, rule, may_be_old) = sent(&mut tracker, &batch, &sender);
        tracker.settle(ticket, outcome, NOW);
        (rule, may_be_old)
    };
    assert_eq!(may_be_old(batch(7, 0, 0, 1), ok(100), sender()), (Rule::D5, true));
    assert_eq!(may_be_old(batch(7, 0, 1, 1), Outcome::Missing, stranger(sender())), (Rule::D8, false));
    assert_eq!(may_be_old(batch(7, 0, 1, 1), Outcome::Withdrawn, sender()), (Rule::D11, true));
    assert_eq!(may_be_old(batch(7, 0, 1, 1), ok(101), sender()), (Rule::D11, true));
    assert_eq!(may_be_old(batch(7, 0, 5, 1), Outcome::Withdrawn, sender()), (Rule::D18, false));
    assert_eq!(may_be_old(batch(7, 0, 5, 1), Outcome::Withdrawn, stranger(sender())), (Rule::D18, true));
    let transactional = Batch { transactional: true, ..batch(7, 0, 5, 1) };
    assert_eq!(may_be_old(transactional, Outcome::Withdrawn, stranger(sender())), (Rule::D18, false));
}

#[test]
fn what_follows_an_old_batch_in_flight_may_be_old_as_well() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 1, 0, 1), ok(100));
    tracker.give(&batch(7, 1, 1, 1), Outcome::Missing);
    let (retry, rule, may_be_old) = sent(&mut tracker, &batch(7, 1, 1, 1), &sender());
    assert_eq!((rule, may_be_old), (Rule::D11, true));
    let (next, rule, may_be_old) = sent(&mut tracker, &batch(7, 1, 2, 1), &sender());
    assert_eq!((rule, may_be_old), (Rule::D9, true));
    tracker.settle(retry, ok(101), NOW);
    tracker.settle(next, ok(102), NOW);
    let (_in_flight, rule, may_be_old) = sent(&mut tracker, &batch(7, 1, 3, 1), &sender());
    assert_eq!((rule, may_be_old), (Rule::D8, false));
    let (_of_another_epoch, rule, may_be_old) = sent(&mut tracker, &batch(7, 2, 9, 1), &stranger(sender()));
    assert_eq!((rule, may_be_old), (Rule::D21, true));
    let (_, rule, may_be_old) = sent(&mut tracker, &batch(7, 1, 4, 1), &sender());
    assert_eq!((rule, may_be_old), (Rule::D9, false));
}
