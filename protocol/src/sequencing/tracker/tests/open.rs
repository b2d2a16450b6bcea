//! What is in flight or of unknown outcome: what comes beside it, and how long it is kept in mind.

use super::*;

#[test]
fn an_unknown_outcome_is_open_for_the_time_to_live() {
    let ttl = TrackerLimits::default().proof_ttl_ms;
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(7, 0, 5, 5), Outcome::Lost);
    let again = tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), after(ttl - 1));
    assert_eq!(again.rule, Rule::D11);
    tracker.settle(again.ticket.unwrap(), Outcome::Withdrawn, after(ttl - 1));
    let ahead = tracker.look(T, 0, &batch(7, 0, 20, 5), &sender(), after(ttl));
    assert_eq!(ahead.rule, Rule::D17, "what is forgotten is not missing");
    tracker.settle(ahead.ticket.unwrap(), Outcome::Withdrawn, after(ttl));
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), after(ttl)).rule, Rule::D8);
    assert_eq!(tracker.open_attempts(), 1, "the one that was sent last");
}

#[test]
fn of_two_attempts_of_unknown_outcome_one_is_kept() {
    let mut tracker = tracker();
    let [one, two, three] = [(); 3].map(|()| tracker.send_one(&batch(7, 0, 0, 5)));
    tracker.settle(one, Outcome::Lost, NOW);
    assert_eq!(tracker.open_attempts(), 3, "what is in flight may be refused yet");
    tracker.settle(two, Outcome::Lost, NOW);
    assert_eq!(tracker.open_attempts(), 2);
    tracker.settle(three, said(10, -1), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D11);
}

#[test]
fn what_cannot_be_told_apart_is_of_unknown_outcome_while_it_is_in_flight() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let opaque = tracker.observe_opaque(T, 0, &batch(7, 0, 5, 5), &sender(), NOW).unwrap();
    assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D11);
    assert_eq!(tracker.rule(&batch(7, 0, 10, 5)), Rule::D17, "it is not certain that it comes first");
    tracker.settle(opaque, Outcome::Lost, NOW);
}

#[test]
fn what_was_sent_without_waiting_for_an_answer_is_of_unknown_outcome() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.look(T, 0, &batch(7, 0, 5, 5), &Sender { acks: Acks::None, ..sender() }, NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D11);
    assert_eq!(tracker.rule(&batch(7, 0, 10, 5)), Rule::D9);
}

#[test]
fn another_range_from_the_expected_sequence_on_is_suspect_while_one_is_in_flight() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let first = tracker.send_one(&batch(7, 0, 5, 5));
    assert_eq!(tracker.rule(&batch(7, 0, 5, 3)), Rule::D17);
    tracker.settle(first, said(10, -1), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 5, 3)), Rule::D8);
}

#[test]
fn what_is_expected_behind_a_batch_in_flight_is_its_end() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let first = tracker.send_one(&batch(7, 0, 5, 5));
    for (base, rule) in [(10, Rule::D9), (20, Rule::D17)] {
        let seen = tracker.look(T, 0, &batch(7, 0, base, 1), &sender(), NOW);
        assert_eq!((seen.rule, seen.expected), (rule, Sequence::new(10)));
        tracker.settle(seen.ticket.unwrap(), Outcome::Withdrawn, NOW);
    }
    tracker.settle(first, ok(105), NOW);
}

#[test]
fn a_batch_of_a_new_epoch_is_a_retry_while_it_is_open() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let first = tracker.send_one(&batch(7, 1, 0, 5));
    assert_eq!(tracker.rule(&batch(7, 1, 0, 5)), Rule::D10);
    assert_eq!(tracker.rule(&batch(7, 1, 5, 5)), Rule::D9);
    tracker.settle(first, Outcome::Lost, NOW);
    assert_eq!(tracker.rule(&batch(7, 1, 0, 5)), Rule::D11);
    assert_eq!(tracker.rule(&batch(7, 1, 5, 5)), Rule::D21);
}

#[test]
fn an_acknowledged_epoch_leaves_nothing_open_of_those_below_it() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 1, 0, 5), Outcome::Lost);
    tracker.give(&batch(7, 3, 0, 5), Outcome::Lost);
    tracker.give(&batch(7, 2, 0, 5), ok(100));
    assert_eq!(tracker.entries.iter().map(|entry| entry.unknown).collect::<Vec<_>>(), [1]);
    assert_eq!(tracker.rule(&batch(7, 3, 0, 5)), Rule::D11);
}

#[test]
fn unknown_outcomes_of_strangers_erase_no_proof() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let quiet = Sender { acks: Acks::None, ..sender() };
    for n in 0..200 {
        tracker.look(T, 0, &batch(7, 3, 1_000 + 10 * n, 1), &quiet, NOW);
    }
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
    assert_eq!(tracker.rule(&batch(7, 0, 9, 1)), Rule::D17, "not all that is open is kept in mind");
    tracker.give(&batch(7, 0, 5, 5), ok(105));
    assert!(tracker.open_attempts() <= 64);
    assert_eq!(tracker.rule(&batch(7, 0, 19, 1)), Rule::D18, "what was acknowledged last explains all before it");
}

#[test]
fn unknown_outcomes_that_are_forgotten_take_no_proof_along() {
    let ttl = TrackerLimits::default().proof_ttl_ms;
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(7, 0, 5, 5), Outcome::Lost);
    let again = tracker.look(T, 0, &batch(7, 0, 0, 1), &sender(), after(ttl - 1)).ticket.unwrap();
    tracker.settle(again, Outcome::Withdrawn, after(ttl - 1));
    let twin = tracker.look(T, 0, &batch(7, 0, 10, 5), &sender(), after(ttl - 1)).ticket.unwrap();
    tracker.settle(twin, ok(110), after(ttl - 1));
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 10, 5), &sender(), after(ttl + 1)).rule, Rule::D12);
}

#[test]
fn an_unknown_outcome_of_a_proven_batch_is_not_kept() {
    let mut tracker = tracker();
    let [first, second] = [(); 2].map(|()| tracker.send_one(&batch(7, 0, 0, 5)));
    tracker.settle(first, ok(100), NOW);
    tracker.settle(second, Outcome::Lost, NOW);
    assert_eq!(tracker.open_attempts(), 0);
    // Had it been kept, its time to live would have ended everything that is known of the producer.
    let ttl = TrackerLimits::default().proof_ttl_ms;
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), after(ttl)).rule, Rule::D8);
}

#[test]
fn an_unknown_outcome_of_a_batch_that_was_doubted_is_kept() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(8, 0, 0, 5), said(56, -1));
    tracker.give(&batch(7, 0, 0, 5), Outcome::Lost);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D11);
}

/// D3, D4: it is sent, so nothing may take it for answered.
#[test]
fn a_duplicate_that_must_not_be_answered_comes_without_its_proof() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let transactional = Batch { transactional: true, ..batch(7, 0, 0, 5) };
    let sent = tracker.look(T, 0, &transactional, &sender(), NOW);
    assert_eq!((sent.rule, sent.proof, sent.ticket.is_some()), (Rule::D12, None, true));
    tracker.settle(sent.ticket.unwrap(), Outcome::Withdrawn, NOW);
    let quiet = Sender { acks: Acks::None, ..sender() };
    let sent = tracker.look(T, 0, &batch(7, 0, 0, 5), &quiet, NOW);
    assert_eq!((sent.rule, sent.proof, sent.ticket), (Rule::D12, None, None));
    assert_eq!(tracker.observe_plain(T, 0, 3, &quiet, NOW), None);
}

/// T31: an answer that comes late to an attempt of what was acknowledged before says nothing of what was refused since.
#[test]
fn what_was_refused_stays_refused_when_an_old_range_is_acknowledged_again() {
    let mut tracker = tracker();
    let orphan = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(7, 0, 5, 5), said(10, -1));
    tracker.settle(orphan, ok(100), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 10, 5)), Rule::D17);
    tracker.give(&batch(7, 0, 5, 5), ok(105));
    assert_eq!(tracker.rule(&batch(7, 0, 12, 5)), Rule::D18, "what was refused is over");
}

/// What was sent before may have been answered before.
#[test]
fn an_answer_that_was_on_its_way_does_not_say_that_a_later_epoch_has_not_begun() {
    let begun: [&dyn Fn(&mut Tracker); 2] = [
        &|it| {
            let opaque = it.observe_opaque(T, 0, &batch(7, 1, 0, 5), &sender(), NOW).unwrap();
            it.settle(opaque, ok(110), NOW);
        },
        &|it| {
            it.give(&batch(7, 0, 5, 5), said(47, -1));
        },
    ];
    for begin in begun {
        let mut tracker = tracker();
        tracker.give(&batch(7, 0, 0, 5), ok(100));
        let on_its_way = tracker.send_one(&batch(7, 0, 5, 5));
        begin(&mut tracker);
        tracker.settle(on_its_way, ok(105), NOW);
        tracker.give(&batch(7, 1, 5, 5), ok(115));
        assert_eq!(tracker.rule(&batch(7, 1, 20, 5)), Rule::D17);
    }
}

/// What was forgotten may be in the log, however far a retry of what was before it has come.
#[test]
fn what_stood_behind_an_unknown_outcome_that_was_forgotten_is_not_missing() {
    let now = after(TrackerLimits::default().proof_ttl_ms);
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(7, 0, 5, 5), Outcome::Lost);
    tracker.give(&batch(7, 0, 10, 5), Outcome::Lost);
    let retry = tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), now);
    assert_eq!(retry.rule, Rule::D8);
    tracker.settle(retry.ticket.unwrap(), ok(105), now);
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 15, 5), &sender(), now).rule, Rule::D17);
}

/// An attempt that hung at a leader, and was made again at another one; one of an epoch that is over; and a first one that was given
/// up.
#[test]
fn an_unknown_outcome_that_was_forgotten_explains_nothing_ahead_of_it() {
    let later = after(TrackerLimits::default().proof_ttl_ms);
    let other = Sender { broker: BrokerGeneration { broker: 2, generation: 0 }, ..sender() };
    let go_on = |tracker: &mut Tracker, epoch: i16, from: i32| {
        for n in from..100 {
            let next = tracker.look(T, 0, &batch(7, epoch, n, 1), &other, later);
            assert_eq!(next.rule, if n == 0 && epoch > 0 { Rule::D20 } else { Rule::D8 }, "{n}");
            tracker.settle(next.ticket.unwrap(), ok(1_000 + i64::from(n)), later);
        }
        assert_eq!(tracker.look(T, 0, &batch(7, epoch, 200, 1), &other, later).rule, Rule::D18);
    };
    let mut failed_over = tracker();
    failed_over.give(&batch(7, 0, 0, 1), ok(100));
    let hung = failed_over.send_one(&batch(7, 0, 1, 1));
    for n in 1..60 {
        let next = failed_over.look(T, 0, &batch(7, 0, n, 1), &other, NOW).ticket.unwrap();
        failed_over.settle(next, ok(100 + i64::from(n)), NOW);
    }
    failed_over.settle(hung, Outcome::Lost, NOW);
    go_on(&mut failed_over, 0, 60);

    let mut started_over = tracker();
    started_over.give(&batch(7, 0, 0, 1), ok(100));
    let hung = started_over.send_one(&batch(7, 0, 1, 1));
    started_over.give(&batch(7, 1, 0, 1), ok(101));
    started_over.settle(hung, Outcome::Lost, NOW);
    go_on(&mut started_over, 1, 1);

    let mut given_up = tracker();
    given_up.give(&batch(7, 0, 0, 1), Outcome::Lost);
    let first = given_up.look(T, 0, &batch(7, 1, 0, 1), &other, later).ticket.unwrap();
    given_up.settle(first, ok(500), later);
    go_on(&mut given_up, 1, 1);
}

#[test]
fn what_cannot_be_told_apart_and_is_not_kept_in_mind_is_not_missing() {
    let mut tracker = tracker();
    let in_flight: Vec<Ticket> = (0..128).map(|n| tracker.send_one(&batch(7, 0, n, 1))).collect();
    assert_eq!(tracker.observe_opaque(T, 0, &batch(7, 0, 128, 5), &sender(), NOW), None);
    for (n, ticket) in (100..).zip(in_flight) {
        tracker.settle(ticket, ok(n), NOW);
    }
    assert_eq!(tracker.rule(&batch(7, 0, 133, 5)), Rule::D17);
}
