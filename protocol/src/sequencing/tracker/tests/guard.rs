//! KAFKA-15591: a broker takes whatever it sees first of a producer, so nothing overtakes a first batch that is on its way.

use super::*;

fn over(connection: u32) -> Sender {
    Sender { connection: ConnectionId(connection), guards: true, ..sender() }
}

fn try_send(tracker: &mut Tracker, base: i32, sender: &Sender, held: bool) -> Observation {
    tracker.introduce(T, None, None, NOW);
    tracker.observe(T, 0, &batch(7, 0, base, 1), sender, held, NOW).unwrap()
}

/// The first batch of a producer is up over connection 1.
fn begun() -> (Tracker, Ticket) {
    let mut tracker = tracker();
    let first = try_send(&mut tracker, 0, &over(1), false).ticket.unwrap();
    (tracker, first)
}

#[test]
fn the_second_batch_does_not_overtake_the_first_over_another_connection() {
    let (mut tracker, first) = begun();
    let second = try_send(&mut tracker, 1, &over(2), false);
    assert_eq!((second.passage, second.ticket), (Passage::Hold, None));
    let id = batch(7, 0, 1, 1).id;
    assert!(tracker.must_wait(T, 0, id, &over(2)));
    assert!(!tracker.must_wait(T, 0, id, &Sender { guards: false, ..over(2) }), "it has waited long enough");
    tracker.settle(first, ok(100), NOW);
    assert!(!tracker.must_wait(T, 0, id, &over(2)));
    let second = try_send(&mut tracker, 1, &over(2), true);
    assert_eq!((second.passage, second.rule), (Passage::Free, Rule::D8));
}

/// What the request waits for does not matter.
fn waits(tracker: &mut Tracker, sender: &Sender) {
    tracker.introduce(T, None, None, NOW);
    assert!(tracker.note_waiting(T, 0, &batch(7, 0, 0, 1), sender, NOW));
}

#[test]
fn nothing_overtakes_a_first_batch_that_waits_here() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(1));
    let id = batch(7, 0, 1, 1).id;
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Hold);
    assert!(tracker.must_wait(T, 0, id, &over(2)));
    assert!(!tracker.must_wait(T, 0, id, &Sender { guards: false, ..over(2) }), "it has waited long enough");
    // It goes, and is waited for at the broker.
    let first = try_send(&mut tracker, 0, &over(1), false).ticket.expect("it is sent");
    tracker.end_waiting(T, 0, id, ConnectionId(1), false, NOW);
    assert!(tracker.must_wait(T, 0, id, &over(2)));
    tracker.settle(first, ok(100), NOW);
    let second = try_send(&mut tracker, 1, &over(2), true);
    assert_eq!((second.passage, second.rule), (Passage::Free, Rule::D8));
}

/// Its client has come back, and the request on the connection that it has left waits still.
#[test]
fn who_has_sent_the_first_batch_waits_for_no_copy_of_it() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(1));
    let _first = try_send(&mut tracker, 0, &over(2), false).ticket.expect("it is sent");
    assert!(!tracker.must_wait(T, 0, batch(7, 0, 1, 1).id, &over(2)));
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Free);
    assert_eq!(try_send(&mut tracker, 1, &over(3), false).passage, Passage::Hold, "it has not");
}

/// Two answers to one question would have a request ask for ever.
#[test]
fn who_is_told_to_wait_has_to_wait_by_whatever_name_of_its_topic() {
    let mut tracker = tracker();
    let id = TopicId([1; 16]);
    let by_id = TopicRef::Id(id);
    assert!(tracker.note_waiting(T, 0, &batch(7, 0, 0, 1), &over(1), NOW));
    for topic in [T, by_id] {
        tracker.introduce(T, None, Some(id), NOW);
        let second = batch(7, 0, 1, 1);
        let told = tracker.observe(topic, 0, &second, &over(2), false, NOW).expect("it is known");
        let waits = tracker.must_wait(topic, 0, second.id, &over(2));
        assert_eq!(told.passage == Passage::Hold, waits);
        if let Some(ticket) = told.ticket {
            tracker.settle(ticket, Outcome::Withdrawn, NOW);
        }
    }
}

#[test]
fn of_two_requests_that_wait_only_the_later_one_waits_for_the_other() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(2));
    let earlier = [Sender { since: Millis(NOW.0 - 1), ..over(3) }, over(1), over(2)];
    assert!(earlier.iter().all(|it| !tracker.must_wait(T, 0, batch(7, 0, 1, 1).id, it)));
    let later = [Sender { since: after(1), ..over(1) }, over(3)];
    assert!(later.iter().all(|it| tracker.must_wait(T, 0, batch(7, 0, 1, 1).id, it)));
}

#[test]
fn behind_a_first_batch_that_waits_only_its_producer_s_wait() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(1));
    let ids = [batch(8, 0, 1, 1).id, batch(7, 1, 1, 1).id, batch(7, 0, 0, 1).id];
    assert!(ids.iter().all(|id| !tracker.must_wait(T, 0, *id, &over(2))));
    assert!(!tracker.must_wait(T, 1, batch(7, 0, 1, 1).id, &over(2)));
    for unasked in [Sender { guards: false, ..over(1) }, Sender { acks: Acks::None, ..over(1) }] {
        assert!(!tracker.note_waiting(T, 1, &batch(7, 0, 0, 1), &unasked, NOW));
    }
    let transactional = Batch { transactional: true, ..batch(7, 0, 0, 1) };
    assert!(!tracker.note_waiting(T, 1, &transactional, &over(1), NOW));
    assert!(!tracker.note_waiting(T, 1, &batch(7, 0, 1, 1), &over(1), NOW));
}

#[test]
fn when_a_first_batch_that_waited_will_not_go_the_client_begins_with_it_again() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(1));
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Hold);
    tracker.end_waiting(T, 0, batch(7, 0, 0, 1).id, ConnectionId(1), true, NOW);
    assert_eq!(try_send(&mut tracker, 1, &over(2), true).passage, Passage::Reset);
    // Nobody waits for it any more; and it is not remembered for ever.
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Free);
    assert!(tracker.note_waiting(T, 0, &batch(9, 0, 0, 1), &over(1), after(10_000)));
    assert!(!tracker.must_wait(T, 0, batch(7, 0, 1, 1).id, &over(2)));
}

/// Whatever else of its producer is on its way: its own first batch is not.
#[test]
fn behind_others_of_its_producer_a_batch_waits_for_the_first_as_well() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(1));
    let unguarded = Sender { guards: false, ..over(2) };
    let _second = try_send(&mut tracker, 1, &unguarded, false).ticket.expect("it is sent");
    assert_eq!(try_send(&mut tracker, 2, &over(2), false).passage, Passage::Hold);
    let _first = try_send(&mut tracker, 0, &Sender { guards: false, ..over(3) }, false).ticket.expect("it is sent");
    assert!(tracker.must_wait(T, 0, batch(7, 0, 2, 1).id, &over(2)), "it is up over another connection");
}

#[test]
fn what_waits_is_counted() {
    let mut tracker = tracker();
    assert_eq!(tracker.waiting.bytes(), 0);
    for number in 0_u8..10 {
        let name = [b'a' + number; 200];
        assert!(tracker.note_waiting(TopicRef::Name(&name), 0, &batch(7, 0, 0, 1), &over(1), NOW));
    }
    let bytes = tracker.waiting.bytes();
    assert!((10 * (200 + 64)..16 * (232 + 128)).contains(&bytes), "{bytes}");
}

#[test]
fn who_may_be_first_or_is_none_of_the_brokers_waits_for_no_first_batch() {
    let transactional = Batch { transactional: true, ..batch(7, 0, 1, 1) };
    let unanswered = Sender { acks: Acks::None, ..over(2) };
    for (batch, sender) in [(transactional, over(2)), (batch(7, 0, 1, 1), unanswered), (batch(7, 0, 0, 1), over(2))] {
        let mut tracker = tracker();
        waits(&mut tracker, &over(1));
        let seen = tracker.observe(T, 0, &batch, &sender, true, NOW).unwrap();
        assert_eq!(seen.passage, Passage::Free, "{batch:?}");
    }
}

/// It has waited for something else.
#[test]
fn behind_a_first_batch_on_its_own_connection_nobody_begins_again() {
    let mut tracker = tracker();
    waits(&mut tracker, &over(2));
    assert_eq!(try_send(&mut tracker, 1, &over(2), true).passage, Passage::Free);
}

#[test]
fn what_waits_is_forgotten_in_time() {
    for (ms, is_there) in [(59_999, true), (60_000, false)] {
        let mut tracker = tracker();
        waits(&mut tracker, &over(1));
        tracker.sweep(0, after(ms));
        assert_eq!(tracker.has_waiting(), is_there);
    }
}

#[test]
fn who_waited_for_a_first_batch_goes_when_it_has_gone_or_was_lost_long_ago() {
    for (is_lost, passage) in [(false, Passage::Free), (true, Passage::Reset)] {
        let mut tracker = tracker();
        waits(&mut tracker, &over(1));
        let second = batch(7, 0, 1, 1);
        tracker.end_waiting(T, 0, second.id, ConnectionId(1), is_lost, NOW);
        assert_eq!(try_send(&mut tracker, 1, &over(2), true).passage, passage);
        let late = after(10_000);
        tracker.introduce(T, None, None, late);
        assert_eq!(tracker.observe(T, 0, &second, &over(2), true, late).unwrap().passage, Passage::Free);
    }
}

#[test]
fn first_batches_that_wait_are_bounded() {
    let mut tracker = tracker();
    tracker.introduce(T, None, None, NOW);
    let noted = (0..1_000).filter(|id| tracker.note_waiting(T, 0, &batch(*id, 0, 0, 1), &over(1), NOW)).count();
    assert_eq!(noted, 256);
    assert!(tracker.note_waiting(T, 0, &batch(5_000, 0, 0, 1), &over(1), after(60_000)), "none stays for good");
}

#[test]
fn over_the_same_connection_nothing_can_overtake() {
    let (mut tracker, _first) = begun();
    assert_eq!(try_send(&mut tracker, 1, &over(1), false).passage, Passage::Free);
}

#[test]
fn behind_a_retry_of_the_first_nothing_waits() {
    let (mut tracker, _first) = begun();
    assert_eq!(try_send(&mut tracker, 0, &over(2), false).passage, Passage::Free);
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Free);
}

#[test]
fn a_retry_of_the_second_waits_as_well() {
    let (mut tracker, _first) = begun();
    let _second = try_send(&mut tracker, 1, &over(1), false).ticket.unwrap();
    let again = try_send(&mut tracker, 1, &over(2), false);
    assert_eq!((again.rule, again.passage), (Rule::D10, Passage::Hold));
}

#[test]
fn when_the_first_is_lost_the_client_begins_with_it_again() {
    for outcome in [said(7, -1), Outcome::Lost, Outcome::Missing] {
        let (mut tracker, first) = begun();
        assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Hold);
        tracker.settle(first, outcome, NOW);
        assert_eq!(try_send(&mut tracker, 1, &over(2), true).passage, Passage::Reset, "{outcome:?}");
        // It does not wait for what is not on its way.
        assert_eq!(try_send(&mut tracker, 1, &over(3), false).passage, Passage::Free, "{outcome:?}");
    }
}

#[test]
fn it_goes_once_it_has_waited_long_enough() {
    let (mut tracker, _first) = begun();
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Hold);
    let late = Sender { guards: false, ..over(2) };
    assert_eq!(try_send(&mut tracker, 1, &late, true).passage, Passage::Free);
}

#[test]
fn nothing_is_held_that_the_guard_does_not_help() {
    let (mut tracker, first) = begun();
    let unanswered = Sender { acks: Acks::None, ..over(2) };
    assert_eq!(try_send(&mut tracker, 1, &unanswered, false).passage, Passage::Free);
    let transactional = Batch { transactional: true, ..batch(7, 0, 1, 1) };
    assert_eq!(tracker.observe(T, 0, &transactional, &over(2), false, NOW).unwrap().passage, Passage::Free);
    // A new epoch begins at 0 at a broker that knows the producer.
    let bumped = tracker.observe(T, 0, &batch(7, 1, 5, 1), &over(2), false, NOW).unwrap();
    assert_eq!(bumped.passage, Passage::Free);
    tracker.settle(first, ok(100), NOW);
    // The broker knows the producer: it refuses what comes too early.
    let next = try_send(&mut tracker, 1, &over(1), false);
    assert_eq!((next.passage, try_send(&mut tracker, 2, &over(2), false).passage), (Passage::Free, Passage::Free));
}

/// Whoever was refused may never have been let in: nobody is reset for it.
#[test]
fn what_waits_for_one_that_is_refused_goes_and_leaves_nothing_behind() {
    let (mut tracker, first) = begun();
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Hold);
    tracker.settle(first, said(29, -1), NOW);
    assert_eq!(tracker.producers(), 0);
    let second = try_send(&mut tracker, 1, &over(2), true);
    assert_eq!(second.passage, Passage::Free);
    tracker.settle(second.ticket.unwrap(), said(45, -1), NOW);
    assert_eq!((tracker.producers(), tracker.open_attempts()), (0, 0));
}

/// It may be of somebody whom the broker does not even let in.
#[test]
fn nothing_waits_for_the_first_batch_of_whoever_is_not_served() {
    let mut tracker = tracker();
    let stranger = Sender { guards: false, ..over(1) };
    let _first = try_send(&mut tracker, 0, &stranger, false).ticket.unwrap();
    assert_eq!(try_send(&mut tracker, 1, &over(2), false).passage, Passage::Free);
}
