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
    assert_eq!(passage(&mut tracker), (Rule::D17, Passage::Free));
}

/// It may be evicted between the leader's word and the answer.
#[test]
fn a_refusal_of_whom_nothing_is_known_any_more_counts_no_gap() {
    let mut tracker = acknowledged();
    assert_eq!(tracker.refuse(T, 0, &batch(8, 0, 3, 1), &enforcing()), (false, -1));
    assert_eq!(tracker.refuse(TopicRef::Name(b"u"), 0, &batch(7, 0, 3, 1), &enforcing()), (false, -1));
    assert_eq!(tracker.refuse(T, 0, &batch(7, 0, 3, 1), &enforcing()), (true, 0));
}

/// Over the other connection that `enforcing` is not.
fn elsewhere() -> Sender {
    Sender { connection: ConnectionId(2), ..enforcing() }
}

/// Whatever is acknowledged meanwhile, and by whatever name of the topic.
#[test]
fn a_gap_is_not_refused_while_what_is_missing_waits_here() {
    let id = TopicId([1; 16]);
    for topic in [T, TopicRef::Id(id)] {
        let mut tracker = tracker();
        tracker.introduce(T, None, Some(id), NOW);
        // Nothing is known of the producer yet.
        assert!(tracker.note_waiting(topic, 0, &batch(7, 0, 1, 2), &elsewhere(), NOW));
        tracker.give(&batch(7, 0, 0, 1), ok(100));
        assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Free));
        // It goes.
        tracker.end_waiting(topic, 0, batch(7, 0, 1, 2).id, ConnectionId(2), false, NOW);
        assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Ask));
    }
}

#[test]
fn what_waits_of_somebody_else_or_behind_the_gap_itself_or_not_any_more_fills_no_gap() {
    let (own, other, epoch) = (batch(7, 0, 1, 2), batch(8, 0, 1, 2), batch(7, 1, 1, 2));
    let mut tracker = acknowledged();
    assert!(tracker.note_waiting(T, 0, &own, &enforcing(), NOW), "on the connection of the gap");
    assert!(tracker.note_waiting(T, 0, &other, &elsewhere(), NOW));
    assert!(tracker.note_waiting(T, 0, &epoch, &elsewhere(), NOW));
    assert!(tracker.note_waiting(T, 1, &own, &elsewhere(), NOW));
    assert!(tracker.note_waiting(TopicRef::Name(b"u"), 0, &own, &elsewhere(), NOW));
    assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Ask));
    assert!(tracker.note_waiting(T, 0, &own, &elsewhere(), NOW));
    assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Free));
    // Its connection has ended.
    tracker.end_waiting(T, 0, own.id, ConnectionId(2), true, NOW);
    assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Ask));
    assert!(!tracker.note_waiting(T, 0, &own, &Sender { enforces: false, ..elsewhere() }, NOW), "nothing is refused");
}

#[test]
fn what_waits_for_longer_than_anything_does_fills_no_gap() {
    let mut tracker = acknowledged();
    assert!(tracker.note_waiting(T, 0, &batch(7, 0, 1, 2), &elsewhere(), NOW));
    let mut passage = |ms| {
        let seen = tracker.look(T, 0, &batch(7, 0, 3, 1), &enforcing(), after(ms));
        seen.ticket.into_iter().for_each(|ticket| _ = tracker.settle(ticket, Outcome::Withdrawn, NOW));
        seen.passage
    };
    assert_eq!([passage(59_999), passage(60_000)], [Passage::Free, Passage::Ask]);
}

#[test]
fn nothing_is_missing_for_certain_while_more_waits_than_is_noted() {
    let mut tracker = acknowledged();
    let noted = (0..1_000).filter(|id| tracker.note_waiting(T, 1, &batch(*id, 0, 1, 1), &elsewhere(), NOW)).count();
    assert!(noted < 1_000);
    assert_eq!(passage(&mut tracker), (Rule::D18, Passage::Free));
    let later = tracker.look(T, 0, &batch(7, 0, 3, 1), &enforcing(), after(60_000));
    assert_eq!((later.rule, later.passage), (Rule::D18, Passage::Ask));
}
