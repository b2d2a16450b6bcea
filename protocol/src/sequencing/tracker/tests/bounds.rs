//! T36: everything has a limit, and what is let go leaves nothing.

use super::*;
use crate::sequencing::entry::Entry;

#[test]
fn an_entry_takes_three_cache_lines_and_a_half() {
    assert!(size_of::<Entry>() <= 224, "{}", size_of::<Entry>());
}

#[test]
fn the_longest_idle_pair_makes_room() {
    let mut tracker = with(TrackerLimits { producers_max: 3, ..TrackerLimits::default() });
    for (n, at) in [(1, 5000), (2, 1000), (3, 9000)] {
        let sent = tracker.look(T, 0, &batch(n, 0, 0, 1), &sender(), after(at));
        tracker.settle(sent.ticket.unwrap(), ok(n), after(at));
    }
    tracker.look(T, 0, &batch(4, 0, 0, 1), &sender(), after(10_000));
    assert_eq!((tracker.producers(), tracker.evictions().limit), (3, 1));
    assert_eq!(tracker.rule(&batch(1, 0, 0, 1)), Rule::D12);
    assert_eq!(tracker.rule(&batch(3, 0, 0, 1)), Rule::D12);
}

#[test]
fn what_is_in_flight_is_never_evicted() {
    let mut tracker = with(TrackerLimits { producers_max: 2, ..TrackerLimits::default() });
    let tickets = [tracker.send_one(&batch(1, 0, 0, 1)), tracker.send_one(&batch(2, 0, 0, 1))];
    let refused = tracker.look(T, 5, &batch(3, 0, 0, 1), &sender(), after(1_000_000_000));
    assert_eq!((refused.rule, refused.ticket), (Rule::T36, None));
    assert_eq!(tracker.partitions.len(), 1, "the partition of the refused one is let go");
    for (ticket, offset) in tickets.into_iter().zip(0..) {
        tracker.settle(ticket, ok(offset), NOW);
    }
    assert_ne!(tracker.rule(&batch(3, 0, 0, 1)), Rule::T36);
}

#[test]
fn an_unknown_outcome_that_was_told_keeps_its_pair_only_for_the_time_to_live() {
    let limits = TrackerLimits { producers_max: 1, ..TrackerLimits::default() };
    let mut tracker = with(limits);
    tracker.give(&batch(1, 0, 0, 1), said(7, 42));
    assert_eq!(tracker.look(T, 0, &batch(2, 0, 0, 1), &sender(), after(1000)).rule, Rule::T36, "a retry may come");
    assert_eq!(tracker.look(T, 0, &batch(2, 0, 0, 1), &sender(), after(limits.proof_ttl_ms)).rule, Rule::D5);
}

#[test]
fn an_idle_pair_with_an_unknown_outcome_is_swept() {
    let limits = TrackerLimits::default();
    let mut tracker = with(limits);
    tracker.give(&batch(1, 0, 0, 1), said(7, 42));
    tracker.sweep(100, after(1000));
    assert_eq!(tracker.producers(), 1);
    tracker.sweep(100, after(limits.idle_ms_max + 2000));
    assert!(tracker.is_empty(), "{tracker:?}");
    assert_eq!(tracker.evictions().idle, 1);
}

#[test]
fn an_unknown_outcome_is_remembered_from_its_newest_attempt_on() {
    let ttl_ms = TrackerLimits::default().proof_ttl_ms;
    let mut tracker = tracker();
    let one = batch(1, 0, 0, 1);
    tracker.give(&one, Outcome::Lost);
    let again = tracker.look(T, 0, &one, &sender(), after(ttl_ms - 1)).ticket.unwrap();
    tracker.settle(again, said(6, -1), after(ttl_ms - 1));
    let retry = tracker.look(T, 0, &one, &sender(), after(ttl_ms));
    assert_eq!((retry.rule, tracker.open_attempts()), (Rule::D11, 2));
}

#[test]
fn unknown_outcomes_of_one_producer_are_bounded() {
    let mut tracker = tracker();
    for n in 0..1000 {
        tracker.give(&batch(1, 0, 2 * n, 1), Outcome::Lost);
        assert!(tracker.open_attempts() <= 64);
    }
    let unknown: Vec<u16> = tracker.entries.iter().map(|entry| entry.unknown).collect();
    assert_eq!((tracker.open_attempts(), unknown), (64, vec![64]));
    assert_eq!(tracker.rule(&batch(1, 0, 2 * (999 - 63), 1)), Rule::D11);
    assert_eq!(tracker.rule(&batch(1, 0, 2 * (999 - 64), 1)), Rule::D5, "the oldest is forgotten");
}

#[test]
fn batches_in_flight_of_one_producer_are_bounded() {
    let mut tracker = tracker();
    let tickets: Vec<Ticket> = (0..128).map(|n| tracker.send_one(&batch(1, 0, n, 1))).collect();
    let beyond = tracker.look(T, 0, &batch(1, 0, 128, 1), &sender(), NOW);
    assert_eq!((beyond.rule, beyond.ticket), (Rule::T36, None));
    for (ticket, offset) in tickets.into_iter().zip(0..) {
        tracker.settle(ticket, ok(offset), NOW);
    }
    assert_eq!(tracker.rule(&batch(1, 0, 128, 1)), Rule::D8);
}

#[test]
fn consecutive_ranges_without_an_answer_are_kept_as_one() {
    let mut tracker = tracker();
    let quiet = Sender { acks: Acks::None, ..sender() };
    for n in 0..10_000 {
        tracker.look(T, 0, &batch(1, 0, 5 * n, 5), &quiet, NOW);
    }
    assert_eq!(tracker.open_attempts(), 1);
    // Without an order they are bounded all the same.
    for n in 0..1000 {
        tracker.look(T, 0, &batch(2, 0, 7 * n, 5), &quiet, NOW);
    }
    assert!(tracker.open_attempts() <= 65);
    tracker.sweep(100, after(TrackerLimits::default().idle_ms_max + 2000));
    assert!(tracker.is_empty());
}

#[test]
fn refused_batches_of_unknown_topics_leave_nothing() {
    let mut tracker = tracker();
    let refuse = |tracker: &mut Tracker, n: i32| {
        let name = format!("topic-{n:06}");
        let topic = TopicRef::Name(name.as_bytes());
        let ticket = tracker.look(topic, n, &batch(i64::from(n), 0, 0, 1), &sender(), NOW).ticket.unwrap();
        tracker.settle(ticket, said(29, -1), NOW);
    };
    (0..2000).for_each(|n| refuse(&mut tracker, n));
    // Every table of the indices has been used by now.
    let bytes = tracker.bytes();
    (2000..20_000).for_each(|n| refuse(&mut tracker, n));
    assert!(tracker.is_empty());
    // Maps may keep a little more or less room, as their random seeds have it; 18,000 topics would take far more.
    assert!(tracker.bytes() <= bytes + 16 * 1024, "{} are more than {bytes}", tracker.bytes());
}

#[test]
fn what_the_windows_own_is_given_back() {
    let mut tracker = tracker();
    for n in 0..100 {
        tracker.give(&batch(i64::from(n), 0, 0, 1), ok(i64::from(n)));
    }
    assert!(tracker.owned_bytes > 0);
    tracker.sweep(1000, after(TrackerLimits::default().idle_ms_max + 2000));
    assert!(tracker.is_empty());
}

/// Whatever makes them grow or shrink.
#[test]
fn what_windows_and_intervals_own_is_counted() {
    let mut tracker = tracker();
    let check = |tracker: &Tracker, larger: bool| {
        let of_windows: usize = tracker.entries.iter().map(|entry| entry.window.bytes()).sum();
        let of_intervals: usize = tracker.partitions.iter().map(|partition| partition.intervals.bytes()).sum();
        assert_eq!(tracker.owned_bytes, of_windows + of_intervals);
        assert_eq!(of_windows > 0, larger);
    };
    let fill = |tracker: &mut Tracker, epoch| {
        (0..20).for_each(|n| _ = tracker.give(&batch(7, epoch, n, 1), ok(1_000 * i64::from(epoch) + i64::from(n))));
        check(tracker, true);
    };
    fill(&mut tracker, 0);
    tracker.give(&batch(7, 1, 0, 1), ok(999));
    check(&tracker, false);
    fill(&mut tracker, 2);
    tracker.give(&batch(7, 2, 20, 1), said(47, -1));
    check(&tracker, false);
    fill(&mut tracker, 3);
    tracker.doubt_log(T, 0);
    check(&tracker, true);
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(3));
    tracker.rule(&batch(7, 3, 20, 1));
    check(&tracker, false);
    fill(&mut tracker, 4);
    // A newer batch at an older offset.
    tracker.give(&batch(7, 4, 20, 1), ok(10));
    check(&tracker, false);
    tracker.sweep(1000, after(TrackerLimits::default().idle_ms_max + 2000));
    assert!(tracker.is_empty());
}

#[test]
fn a_batch_without_a_producer_leaves_nothing() {
    let mut tracker = tracker();
    assert_eq!(tracker.observe_plain(T, 0, 3, &sender(), NOW), None, "nothing is known of the partition");
    tracker.give(&batch(1, 0, 0, 1), ok(0));
    let ticket = tracker.observe_plain(T, 0, 3, &sender(), NOW).unwrap();
    tracker.sweep(100, after(TrackerLimits::default().idle_ms_max + 2000));
    assert_eq!(tracker.producers(), 0);
    tracker.settle(ticket, Outcome::Lost, NOW);
    assert!(tracker.is_empty());
}

#[test]
fn trackers_that_share_a_count_are_bounded_together() {
    let limits = TrackerLimits { producers_max: 3, ..TrackerLimits::default() };
    let producers = std::sync::Arc::default();
    let mut one = Tracker::sharing(limits, std::sync::Arc::clone(&producers), &Arc::default());
    let mut two = Tracker::sharing(limits, producers, &Arc::default());
    let send = |tracker: &mut Tracker, producer| {
        let sent = tracker.look(T, 0, &batch(producer, 0, 0, 1), &sender(), NOW);
        tracker.settle(sent.ticket.unwrap(), ok(producer), NOW);
    };
    send(&mut one, 1);
    send(&mut one, 2);
    send(&mut two, 3);
    send(&mut two, 4);
    assert_eq!((one.producers(), two.producers()), (2, 1), "the fourth takes the place of the third");
}
