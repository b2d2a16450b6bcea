//! T9: names, ids, and what may be the same topic. D5a: producers that are known to be new.

use super::*;

const A: TopicId = TopicId([1; 16]);
const B: TopicId = TopicId([2; 16]);

fn rule_at(tracker: &mut Tracker, topic: TopicRef<'_>, batch: &Batch) -> Rule {
    let Observation { rule, ticket, .. } = tracker.look(topic, 0, batch, &sender(), NOW);
    if let Some(ticket) = ticket {
        tracker.settle(ticket, Outcome::Withdrawn, NOW);
    }
    rule
}

fn acknowledge(tracker: &mut Tracker, topic: TopicRef<'_>, batch: &Batch, offset: i64) {
    let ticket = tracker.look(topic, 0, batch, &sender(), NOW).ticket.unwrap();
    tracker.settle(ticket, ok(offset), NOW);
}

#[test]
fn one_entry_serves_both_forms_of_a_linked_topic() {
    let mut tracker = tracker();
    tracker.introduce(T, None, Some(A), NOW);
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5)), Rule::D12);
    assert_eq!(tracker.producers(), 1);
}

#[test]
fn an_id_that_is_learnt_later_ends_the_proofs_of_its_name() {
    let mut tracker = tracker();
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    tracker.link(b"t", A);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 0, 5)), Rule::D14);
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    tracker.link(b"t", A);
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5)), Rule::D12);
}

#[test]
fn a_name_that_is_learnt_later_keeps_the_proofs_of_its_id() {
    let mut tracker = tracker();
    acknowledge(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5), 100);
    tracker.link(b"t", A);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 0, 5)), Rule::D12);
}

#[test]
fn batch_read_under_a_topics_other_form_ends_no_proof() {
    let mut tracker = tracker();
    acknowledge(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5), 100);
    // Somebody else looks into the log of what may be the same topic.
    acknowledge(&mut tracker, T, &batch(8, 0, 0, 5), 105);
    let (id, fingerprint) = (batch(7, 0, 0, 5).id, batch(7, 0, 0, 5).fingerprint);
    let shown = LogBatch { id, fingerprint, base_offset: 100, append_time: -1 };
    let mut mark = tracker.mark_log(T, 0, NOW).expect("something is known of it");
    tracker.take_in_log(T, 0, sender().broker, &mut mark, &shown, NOW);
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5)), Rule::D12);
    assert_eq!(tracker.producers(), 2);
}

#[test]
fn another_id_for_a_name_leaves_nothing_of_the_old_one() {
    let mut tracker = tracker();
    tracker.introduce(T, None, Some(A), NOW);
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    tracker.link(b"t", B);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 0, 5)), Rule::D5);
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5)), Rule::D5);
    tracker.sweep(1000, NOW);
    assert!(tracker.is_empty(), "what was retired is swept, idle or not");
}

#[test]
fn a_name_and_an_id_that_turn_out_to_be_one_start_from_nothing() {
    let mut tracker = tracker();
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    acknowledge(&mut tracker, TopicRef::Id(A), &batch(8, 0, 0, 5), 105);
    tracker.link(b"t", A);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 0, 5)), Rule::D5);
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(8, 0, 0, 5)), Rule::D5);
}

#[test]
fn a_producer_under_both_forms_is_cold_under_both() {
    let mut tracker = tracker();
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    acknowledge(&mut tracker, T, &batch(8, 0, 0, 5), 105);
    let late = tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), NOW).ticket.unwrap();
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 5)), Rule::D5);
    tracker.settle(late, ok(110), NOW);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 5, 5)), Rule::D14, "sent before that was seen");
    assert_eq!(rule_at(&mut tracker, T, &batch(8, 0, 0, 5)), Rule::D12, "another producer");
}

#[test]
fn a_producer_under_both_forms_proves_nothing_until_they_are_known_to_be_one() {
    let mut tracker = tracker();
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    acknowledge(&mut tracker, TopicRef::Id(A), &batch(7, 0, 5, 5), 105);
    acknowledge(&mut tracker, T, &batch(7, 0, 10, 5), 110);
    let is_proven = |tracker: &mut Tracker, topic, base| {
        tracker.look(topic, 0, &batch(7, 0, base, 5), &sender(), NOW).proof.is_some()
    };
    assert!(!is_proven(&mut tracker, T, 10) && !is_proven(&mut tracker, TopicRef::Id(A), 5));
    tracker.link(b"t", A);
    tracker.introduce(T, None, Some(A), NOW);
    acknowledge(&mut tracker, T, &batch(7, 0, 15, 5), 115);
    assert!(is_proven(&mut tracker, TopicRef::Id(A), 15));
}

/// So many topics have a batch in flight, and are known by name alone.
fn name_topics(tracker: &mut Tracker, count: u32) {
    for n in 0..count {
        let name = format!("topic-{n}");
        let _ticket = tracker.look(TopicRef::Name(name.as_bytes()), 0, &batch(1, 0, 0, 1), &sender(), NOW);
    }
}

#[test]
fn among_more_topics_than_are_looked_at_any_producer_may_be_known_under_both_forms() {
    for (count, proven) in [(800, true), (1_000, false)] {
        let mut tracker = tracker();
        name_topics(&mut tracker, count);
        acknowledge(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 1), 100);
        let retry = tracker.look(TopicRef::Id(A), 0, &batch(7, 0, 0, 1), &sender(), NOW);
        assert_eq!(retry.proof.is_some(), proven, "{count}");
    }
}

#[test]
fn a_topic_that_is_gone_is_no_other_form_of_any() {
    let mut tracker = tracker();
    assert_eq!(rule_at(&mut tracker, TopicRef::Id(A), &batch(7, 0, 0, 1)), Rule::D5);
    name_topics(&mut tracker, 1_000);
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 1), 100);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 0, 1)), Rule::D12);
}

#[test]
fn a_topic_of_which_both_forms_are_known_is_no_other_one() {
    for [first, second] in [[T, TopicRef::Id(B)], [TopicRef::Id(B), T]] {
        let mut tracker = tracker();
        tracker.introduce(T, None, Some(A), NOW);
        acknowledge(&mut tracker, first, &batch(7, 0, 0, 5), 100);
        acknowledge(&mut tracker, second, &batch(7, 0, 5, 5), 105);
        assert_eq!(rule_at(&mut tracker, first, &batch(7, 0, 0, 5)), Rule::D12);
        assert_eq!(rule_at(&mut tracker, second, &batch(7, 0, 5, 5)), Rule::D12);
    }
}

#[test]
fn another_name_for_an_id_leaves_nothing_of_the_old_one() {
    let mut tracker = tracker();
    tracker.introduce(T, None, Some(A), NOW);
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    tracker.link(b"u", A);
    for topic in [T, TopicRef::Name(b"u"), TopicRef::Id(A)] {
        assert_eq!(rule_at(&mut tracker, topic, &batch(7, 0, 0, 5)), Rule::D5);
    }
}

#[test]
fn a_producer_of_a_topic_that_was_retired_is_not_new() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 5), 100);
    acknowledge(&mut tracker, TopicRef::Id(A), &batch(8, 0, 0, 5), 105);
    tracker.link(b"t", A);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 5, 5)), Rule::D5);
}

#[test]
fn a_producer_that_began_with_an_unreadable_request_leaves_nothing_out() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    assert_eq!(tracker.observe_opaque(T, 0, &batch(7, 0, 0, 5), &sender(), NOW), None);
    assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D5);
}

#[test]
fn a_ticket_is_for_one_topic_only() {
    let mut tracker = tracker();
    tracker.introduce(T, None, Some(A), NOW);
    let ticket = tracker.send_one(&batch(7, 0, 0, 5));
    assert!(tracker.is_for(ticket, T) && tracker.is_for(ticket, TopicRef::Id(A)));
    assert!(!tracker.is_for(ticket, TopicRef::Name(b"u")) && !tracker.is_for(ticket, TopicRef::Id(B)));
    tracker.settle(ticket, ok(100), NOW);
    assert!(!tracker.is_for(ticket, T), "settled");
}

#[test]
fn the_first_batch_of_a_new_producer_must_begin_at_zero() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    let gap = tracker.look(T, 0, &batch(7, 0, 5, 1), &sender(), NOW);
    assert_eq!((gap.rule, gap.expected, gap.new_gap), (Rule::D5a, Some(Sequence::ZERO), true));
    let tainted = Sender { tainted: true, authoritative: false, ..sender() };
    assert_eq!(tracker.look(T, 1, &batch(7, 0, 5, 1), &tainted, NOW).rule, Rule::D5);
    assert_eq!(tracker.look(T, 2, &batch(7, 0, 0, 1), &sender(), NOW).rule, Rule::D5);
    assert_eq!(tracker.look(T, 3, &batch(7, 1, 5, 1), &sender(), NOW).rule, Rule::D5, "another epoch");
    assert_eq!(tracker.look(T, 4, &batch(8, 0, 5, 1), &sender(), NOW).rule, Rule::D5, "not seen handed out");
}

#[test]
fn a_producer_of_which_something_was_dropped_is_not_new() {
    let mut tracker = with(TrackerLimits { producers_max: 1, ..TrackerLimits::default() });
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    tracker.give(&batch(7, 0, 0, 1), ok(0));
    tracker.give(&batch(8, 0, 0, 1), ok(1));
    assert_eq!(tracker.rule(&batch(7, 0, 5, 1)), Rule::D5);
}

#[test]
fn wrapping_ranges_are_remembered_in_their_order() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, i32::MAX - 1, 1), ok(0));
    tracker.give(&batch(7, 0, i32::MAX, 3), ok(1));
    tracker.give(&batch(7, 0, 2, 1), ok(4));
    assert_eq!(tracker.rule(&batch(7, 0, i32::MAX, 3)), Rule::D12);
    assert_eq!(tracker.rule(&batch(7, 0, 3, 1)), Rule::D8);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 2)), Rule::D16);
    assert_eq!(tracker.rule(&batch(7, 0, i32::MAX - 5, 1)), Rule::D19);
    assert_eq!(tracker.rule(&batch(7, 0, 4, 1)), Rule::D18);
}

#[test]
fn what_was_forgotten_of_a_producer_is_not_called_a_gap() {
    let later = after(2 * TrackerLimits::default().idle_ms_max);
    let idles: fn(&mut Tracker, Millis) = |tracker, later| tracker.sweep(1000, later);
    let [first, missing] = [batch(7, 0, 0, 2), batch(7, 0, 2, 1)];
    // Whether its id was seen handed out, and how it was forgotten.
    let ways = [(true, idles), (false, idles), (true, |tracker: &mut Tracker, _| tracker.end_topic(T))];
    for (is_seen, forget) in ways {
        let mut tracker = tracker();
        if is_seen {
            tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
        }
        acknowledge(&mut tracker, T, &first, 100);
        acknowledge(&mut tracker, T, &missing, 102);
        forget(&mut tracker, later);
        // Its first batch comes again, for its answer was lost, and is a duplicate to the broker.
        acknowledge(&mut tracker, T, &first, 100);
        assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 3, 1)), Rule::D17, "{is_seen}");
        // Another one is called what it was before.
        acknowledge(&mut tracker, T, &batch(8, 0, 0, 1), 103);
        assert_eq!(rule_at(&mut tracker, T, &batch(8, 0, 3, 1)), Rule::D18, "{is_seen}");
        acknowledge(&mut tracker, T, &batch(7, 1, 0, 1), 104);
        assert_eq!(rule_at(&mut tracker, T, &batch(7, 1, 5, 1)), Rule::D18, "a new epoch begins at 0");
    }
}

/// Who has an id still that was handed out again goes on where it was.
#[test]
fn what_was_forgotten_of_an_epoch_before_the_one_handed_out_is_not_called_a_gap() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 2), 100);
    acknowledge(&mut tracker, T, &batch(7, 0, 2, 1), 102);
    tracker.sweep(1000, after(2 * TrackerLimits::default().idle_ms_max));
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(1));
    acknowledge(&mut tracker, T, &batch(7, 0, 0, 2), 100);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 0, 3, 1)), Rule::D17);
    acknowledge(&mut tracker, T, &batch(7, 1, 0, 1), 103);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 1, 3, 1)), Rule::D18);
}

/// T9: what is missing under the one form may have been acknowledged under the other.
#[test]
fn what_may_be_known_under_a_topics_other_form_is_not_called_a_gap() {
    let mut tracker = tracker();
    let forms = [T, TopicRef::Id(A)];
    (0..4).for_each(|at| acknowledge(&mut tracker, forms[at % 2], &batch(7, 0, at as i32, 1), 100 + at as i64));
    let sender = Sender { authoritative: true, ..sender() };
    let seen = tracker.look(T, 0, &batch(7, 0, 4, 1), &sender, NOW);
    assert_eq!((seen.rule, seen.new_gap), (Rule::D17, false), "3 was acknowledged by its id");
    tracker.settle(seen.ticket.unwrap(), Outcome::Withdrawn, NOW);
}

#[test]
fn what_was_forgotten_in_an_epoch_stays_so_until_the_next() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let open = tracker.send_one(&batch(7, 0, 5, 5));
    tracker.give(&batch(7, 0, 10, 5), said(47, -1));
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.settle(open, Outcome::Withdrawn, NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 7, 1)), Rule::D17, "what is missing may have been known");
    tracker.give(&batch(7, 1, 0, 5), ok(110));
    assert_eq!(tracker.rule(&batch(7, 1, 7, 1)), Rule::D18);
}

/// A retry of an epoch's first batch is no beginning.
#[test]
fn what_was_forgotten_of_a_later_epoch_than_the_log_shows_is_not_called_a_gap() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    let [old, first] = [batch(7, 0, 0, 1), batch(7, 1, 0, 1)];
    acknowledge(&mut tracker, T, &old, 100);
    acknowledge(&mut tracker, T, &first, 101);
    acknowledge(&mut tracker, T, &batch(7, 1, 1, 2), 102);
    tracker.end_topic(T);
    acknowledge(&mut tracker, T, &batch(8, 0, 0, 1), 104);
    let mut mark = tracker.mark_log(T, 0, NOW).expect("something is known of it");
    let shown = LogBatch { id: old.id, fingerprint: old.fingerprint, base_offset: 100, append_time: -1 };
    tracker.take_in_log(T, 0, sender().broker, &mut mark, &shown, NOW);
    acknowledge(&mut tracker, T, &first, 101);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 1, 3, 1)), Rule::D17, "1 and 2 were acknowledged");
    acknowledge(&mut tracker, T, &batch(7, 2, 0, 1), 105);
    assert_eq!(rule_at(&mut tracker, T, &batch(7, 2, 5, 1)), Rule::D18, "a new epoch begins at 0");
}

/// Another epoch may have been acknowledged where nobody noted it.
#[test]
fn what_may_have_been_acknowledged_of_a_later_epoch_is_not_called_a_gap() {
    let (of_next, later) = (batch(7, 1, 0, 1), batch(7, 1, 3, 1));
    let mut unread = tracker();
    unread.give(&batch(7, 0, 0, 1), ok(100));
    let ticket = unread.observe_opaque(T, 0, &of_next, &sender(), NOW).expect("its producer is known");
    unread.settle(ticket, ok(101), NOW);
    let mut fenced = tracker();
    fenced.give(&batch(7, 0, 0, 1), ok(100));
    fenced.give(&batch(7, 0, 1, 1), said(47, -1));
    for mut tracker in [unread, fenced] {
        tracker.give(&of_next, ok(101));
        assert_eq!(tracker.rule(&later), Rule::D17);
        tracker.give(&batch(7, 2, 0, 1), ok(104));
        assert_eq!(tracker.rule(&batch(7, 2, 5, 1)), Rule::D18);
    }
}

#[test]
fn a_producer_that_was_used_elsewhere_is_not_new() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    tracker.note_used(ProducerId::new(7));
    assert_eq!(tracker.rule(&batch(7, 0, 5, 1)), Rule::D5);
}

#[test]
fn a_producer_whose_first_batch_was_refused_has_nothing_to_be_forgotten() {
    let mut tracker = tracker();
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    tracker.give(&batch(7, 0, 0, 2), said(2, -1));
    assert_eq!(tracker.rule(&batch(7, 0, 2, 1)), Rule::D5, "what is missing was refused");
    tracker.give(&batch(7, 0, 0, 2), ok(100));
    assert_eq!(tracker.rule(&batch(7, 0, 5, 1)), Rule::D18);
}
