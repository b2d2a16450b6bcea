//! §6.1: what ends proofs, and that nothing ends them by accident or brings them back.

use super::*;

#[test]
fn a_late_success_is_no_proof_after_the_log_was_doubted() {
    let mut tracker = tracker();
    let late = tracker.send_one(&batch(7, 0, 0, 5));
    assert_eq!(tracker.give(&batch(8, 0, 0, 1), said(56, -1)).ended, Some(Evidence::PartitionGone));
    tracker.settle(late, ok(100), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12, "the next one is");
}

#[test]
fn a_late_success_at_another_offset_ends_the_proof() {
    let mut tracker = tracker();
    let one = batch(7, 0, 0, 5);
    let late = tracker.send_one(&one);
    tracker.doubt_log(T, 0);
    tracker.give(&one, ok(100));
    let proof = tracker.look(T, 0, &one, &sender(), NOW).proof.unwrap();
    assert_eq!(tracker.settle(late, ok(120), NOW).ended, Some(Evidence::Collision));
    assert!(!tracker.still_holds(T, 0, &proof, NOW));
    assert_eq!(tracker.rule(&one), Rule::D14);
}

#[test]
fn a_late_success_is_no_proof_after_its_producer_id_was_handed_out() {
    let mut tracker = tracker();
    let late = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    tracker.settle(late, ok(100), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn what_was_forgotten_of_an_epoch_below_the_one_handed_out_is_no_gap() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 3, 1), ok(103));
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(1));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 3)), Rule::D5);
    tracker.give(&batch(7, 0, 0, 3), ok(100));
    assert_eq!(tracker.rule(&batch(7, 0, 4, 2)), Rule::D17, "3 was acknowledged before");
}

/// From the last one on, they cannot be told apart by their number.
#[test]
fn nothing_is_proven_once_as_many_ids_were_handed_out_as_can_be_counted() {
    let mut tracker = tracker();
    tracker.handed.count_from(u32::MAX - 1);
    let before = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.hand_out(ProducerId::new(9), ProducerEpoch::new(0));
    tracker.settle(before, ok(100), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D5);
    for id in [7, 8, 9] {
        tracker.give(&batch(id, 0, 0, 5), ok(100 + id));
        assert_eq!(tracker.look(T, 0, &batch(id, 0, 0, 5), &sender(), NOW).proof, None, "{id}");
    }
}

#[test]
fn a_late_success_is_no_proof_in_another_cluster() {
    let mut tracker = tracker();
    let late = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.end_cluster();
    tracker.settle(late, ok(100), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn a_late_success_teaches_nothing_of_a_topic_that_is_gone() {
    let mut tracker = tracker();
    let late = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.end_topic(T);
    tracker.settle(late, ok(100), NOW);
    assert!(tracker.is_empty());
}

#[test]
fn a_handed_out_epoch_ends_nothing_below_it() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(1));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D5);
}

#[test]
fn proofs_lapse_together_and_stay_lapsed() {
    let ttl = TrackerLimits::default().proof_ttl_ms;
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let next = tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), NOW).ticket.unwrap();
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 0, 5), &sender(), after(ttl - 1)).rule, Rule::D12);
    tracker.settle(next, ok(105), after(ttl));
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 0, 5), &sender(), after(ttl)).rule, Rule::D14);
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), after(ttl)).rule, Rule::D12);
}

#[test]
fn a_newer_batch_at_an_older_offset_leaves_only_itself() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(500));
    assert_eq!(tracker.give(&batch(7, 0, 5, 5), ok(120)).ended, Some(Evidence::Regression));
    assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D12);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D19);
}

#[test]
fn the_same_batch_at_another_offset_ends_the_others_and_stays() {
    let mut tracker = tracker();
    tracker.give(&batch(8, 0, 0, 5), ok(90));
    let first = tracker.send_one(&batch(7, 0, 0, 5));
    let second = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.settle(first, ok(100), NOW);
    assert_eq!(tracker.settle(second, ok(200), NOW).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&batch(8, 0, 0, 5)), Rule::D14);
    let proof = tracker.look(T, 0, &batch(7, 0, 0, 5), &sender(), NOW).proof.unwrap();
    assert_eq!(proof.base_offset, 200);
}

#[test]
fn a_batch_without_a_producer_at_a_proven_offset_is_evidence() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let beside = tracker.observe_plain(T, 0, 3, &sender(), NOW).unwrap();
    assert_eq!(tracker.settle(beside, ok(105), NOW).ended, None);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
    let within = tracker.observe_plain(T, 0, 3, &sender(), NOW).unwrap();
    assert_eq!(tracker.settle(within, ok(98), NOW).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn a_doubt_is_heard_in_the_answer_to_a_batch_without_a_producer() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let plain = tracker.observe_plain(T, 0, 3, &sender(), NOW).unwrap();
    assert_eq!(tracker.settle(plain, said(19, -1), NOW).ended, None);
    let plain = tracker.observe_plain(T, 0, 3, &sender(), NOW).unwrap();
    assert_eq!(tracker.settle(plain, said(56, -1), NOW).ended, Some(Evidence::PartitionGone));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn a_producer_that_its_broker_does_not_know_starts_from_nothing() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(7, 0, 5, 5), said(59, -1));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D5);
}

#[test]
fn of_batches_without_a_producer_none_is_another_ones_retry() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let [one, two] = [(); 2].map(|()| tracker.observe_plain(T, 0, 3, &sender(), NOW).unwrap());
    assert_eq!(tracker.settle(one, ok(105), NOW).ended, None);
    assert_eq!(tracker.settle(two, ok(105), NOW).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn an_acknowledgement_without_an_offset_is_no_proof() {
    for acknowledged in [said(46, 100), said(46, -1), ok(-1)] {
        let mut tracker = tracker();
        tracker.give(&batch(7, 0, 0, 5), acknowledged);
        assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
        assert_eq!(tracker.give(&batch(7, 0, 5, 5), ok(3)).ended, None, "nor does it say where it stands");
        assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D12);
    }
}

#[test]
fn an_acknowledgement_that_proves_less_takes_nothing_away() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let leader_only = Sender { acks: Acks::Leader, ..sender() };
    let [one, two] = [batch(7, 0, 0, 5), batch(7, 0, 5, 5)].map(|batch| Batch { transactional: true, ..batch });
    for (batch, offset) in [(one, 100), (two, 105)] {
        let ticket = tracker.look(T, 0, &batch, &leader_only, NOW).ticket.unwrap();
        tracker.settle(ticket, ok(offset), NOW);
    }
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
    assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D23);
}

#[test]
fn a_refused_older_epoch_says_nothing_about_the_newer() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(7, 1, 0, 5), ok(105));
    tracker.give(&batch(7, 0, 5, 5), said(47, -1));
    assert_eq!(tracker.rule(&batch(7, 1, 0, 5)), Rule::D12);
}

#[test]
fn a_batch_whose_place_is_not_kept_in_mind_is_known_by_its_producer() {
    let mut tracker = tracker();
    let [one, two] = [(); 2].map(|()| tracker.send_one(&batch(7, 0, 0, 5)));
    tracker.settle(one, ok(100), NOW);
    for n in 0..64 {
        tracker.give(&batch(8, 0, n, 1), ok(200 + i64::from(n)));
    }
    assert_eq!(tracker.settle(two, ok(500), NOW).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&batch(8, 0, 63, 1)), Rule::D14);
}

#[test]
fn the_broker_may_name_the_old_offset_of_a_duplicate_at_any_time() {
    let mut tracker = tracker();
    for n in 0..100 {
        tracker.give(&batch(7, 0, n, 1), ok(i64::from(n)));
    }
    let again = tracker.look(T, 0, &batch(7, 0, 3, 1), &sender(), NOW);
    assert_eq!(again.rule, Rule::D19);
    assert_eq!(tracker.settle(again.ticket.unwrap(), ok(3), NOW).ended, None);
    assert_eq!(tracker.rule(&batch(7, 0, 99, 1)), Rule::D12);
}

#[test]
fn a_doubted_batch_proves_nothing_and_makes_cold() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let repeated = tracker.send_one(&batch(7, 0, 5, 5));
    tracker.doubt(repeated);
    tracker.settle(repeated, ok(105), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 5, 5)), Rule::D5);
}

#[test]
fn the_log_start_goes_with_the_proofs_and_is_never_invented() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    tracker.give(&batch(8, 0, 0, 5), said(56, -1));
    let answer = Answer { error: ErrorCode::NONE, base_offset: 200, log_append_time: -1, log_start_offset: None };
    tracker.give(&batch(9, 0, 0, 5), Outcome::Answered(answer));
    let proof = tracker.look(T, 0, &batch(9, 0, 0, 5), &sender(), NOW).proof.unwrap();
    assert_eq!(proof.log_start_offset, -1);
}

#[test]
fn a_waiting_answer_holds_only_while_its_proof_does() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let proof = tracker.look(T, 0, &batch(7, 0, 0, 5), &sender(), NOW).proof.unwrap();
    assert!(tracker.still_holds(T, 0, &proof, NOW));
    tracker.hand_out(ProducerId::new(9), ProducerEpoch::new(0));
    assert!(tracker.still_holds(T, 0, &proof, NOW), "another producer's business");
    tracker.end_cluster();
    assert!(!tracker.still_holds(T, 0, &proof, NOW));
}

#[test]
fn a_transactional_batch_refused_on_the_expected_sequence_says_nothing_about_the_log() {
    let mut tracker = tracker();
    let first = tracker.send_one(&batch(7, 0, 0, 5));
    tracker.settle(first, ok(100), NOW);
    let next = tracker.send_one(&Batch { transactional: true, ..batch(7, 0, 5, 5) });
    assert_eq!(tracker.settle(next, said(45, -1), NOW).ended, None);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
}

#[test]
fn a_waiting_answer_does_not_outlive_the_time_of_its_proof() {
    let ttl = TrackerLimits::default().proof_ttl_ms;
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let proof = tracker.look(T, 0, &batch(7, 0, 0, 5), &sender(), NOW).proof.unwrap();
    assert!(tracker.still_holds(T, 0, &proof, after(ttl - 1)));
    assert!(!tracker.still_holds(T, 0, &proof, after(ttl)));
}

#[test]
fn what_a_broker_doubts_under_a_name_is_doubted_under_its_new_id_as_well() {
    let mut tracker = tracker();
    tracker.introduce(T, None, Some(TopicId([1; 16])), NOW);
    let before = tracker.send_one(&batch(8, 0, 0, 5));
    tracker.link(b"t", TopicId([2; 16]));
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
    tracker.settle(before, said(56, -1), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn what_a_broker_doubts_under_an_id_alone_is_doubted_once_it_has_a_name_as_well() {
    let (mut tracker, id) = (tracker(), TopicId([1; 16]));
    let by_id = tracker.look(TopicRef::Id(id), 0, &batch(8, 0, 0, 5), &sender(), NOW).ticket.unwrap();
    tracker.give(&batch(9, 0, 0, 5), ok(95));
    tracker.link(b"t", id);
    tracker.introduce(T, None, Some(id), NOW);
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D12);
    tracker.settle(by_id, said(56, -1), NOW);
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn a_batch_that_fell_out_of_the_window_and_stands_elsewhere_is_evidence() {
    let mut tracker = with(TrackerLimits { window: 5, ..TrackerLimits::default() });
    for n in 0..10 {
        tracker.give(&batch(7, 0, n, 1), ok(100 + i64::from(n)));
    }
    assert_eq!(tracker.give(&batch(7, 0, 0, 1), ok(500)).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&batch(7, 0, 9, 1)), Rule::D14);
}

#[test]
fn a_batch_that_cannot_be_told_apart_is_evidence_where_it_cuts_another() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let opaque = |tracker: &mut Tracker| tracker.observe_opaque(T, 0, &batch(8, 0, 0, 5), &sender(), NOW);
    tracker.give(&batch(8, 0, 0, 5), ok(105));
    let apart = opaque(&mut tracker).unwrap();
    assert_eq!(tracker.settle(apart, ok(105), NOW).ended, None);
    tracker.give(&batch(8, 0, 0, 5), ok(105));
    let within = opaque(&mut tracker).unwrap();
    assert_eq!(tracker.settle(within, ok(103), NOW).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D14);
}

#[test]
fn an_old_epoch_does_not_come_back_after_its_successor_was_doubted() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    let late = tracker.send_one(&batch(7, 0, 5, 5));
    tracker.give(&batch(7, 1, 0, 5), ok(110));
    tracker.give(&batch(7, 1, 5, 5), said(47, -1));
    tracker.settle(late, ok(105), NOW);
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 5, 5), &sender(), NOW).proof, None);
}

/// What is shown is not held against the stamps beforehand.
#[test]
fn no_proof_is_shown_that_has_ended() {
    let id = TopicId([1; 16]);
    let ends: [&dyn Fn(&mut Tracker) -> Millis; 6] = [
        &|_| NOW,
        &|tracker| {
            tracker.doubt_log(T, 0);
            NOW
        },
        &|tracker| {
            tracker.link(b"t", id);
            NOW
        },
        &|tracker| {
            tracker.end_cluster();
            NOW
        },
        &|tracker| {
            tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
            NOW
        },
        &|_| after(TrackerLimits::default().proof_ttl_ms),
    ];
    for (proofs, end) in [1, 0, 0, 0, 0, 0].into_iter().zip(ends) {
        let mut tracker = tracker();
        tracker.give(&batch(7, 0, 0, 5), ok(100));
        let now = end(&mut tracker);
        let mut shown = Vec::new();
        tracker.report(0, 100, now, |report| {
            shown.push((report.acknowledged, report.proofs));
            true
        });
        assert_eq!(shown, [(1, proofs)]);
    }
}

#[test]
fn what_evidence_ends_is_counted() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 5), ok(100));
    assert_eq!(tracker.evictions().evidence, 0);
    tracker.doubt_log(T, 0);
    assert_eq!(tracker.evictions().evidence, 1, "a partition");
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    assert_eq!(tracker.rule(&batch(7, 0, 0, 5)), Rule::D5);
    assert_eq!(tracker.evictions().evidence, 2, "a producer");
}

#[test]
fn a_late_answer_to_another_content_at_one_place_ends_the_proof_of_the_first() {
    let mut tracker = tracker();
    tracker.give(&batch(8, 0, 0, 1), ok(100));
    let one = batch(7, 0, 0, 1);
    let other = Batch { fingerprint: Fingerprint { crc: one.fingerprint.crc + 1, ..one.fingerprint }, ..one };
    let tickets = [one, other].map(|it| tracker.send_one(&it));
    // The first answer ends what was known of the log, and so makes the second one late.
    let ended = tickets.map(|ticket| tracker.settle(ticket, ok(100), NOW).ended);
    assert_eq!(ended, [Some(Evidence::Collision), None]);
    assert!([one, other].iter().all(|it| tracker.look(T, 0, it, &sender(), NOW).proof.is_none()));
}

#[test]
fn of_two_contents_acknowledged_at_one_place_neither_is_proven() {
    let mut tracker = tracker();
    let other =
        Batch { fingerprint: Fingerprint { crc: 9, length: 100, codec: 0, stored: false }, ..batch(7, 0, 0, 5) };
    let [one, two] = [batch(7, 0, 0, 5), other].map(|batch| tracker.send_one(&batch));
    tracker.settle(one, ok(100), NOW);
    tracker.settle(two, ok(100), NOW);
    assert_eq!(tracker.look(T, 0, &batch(7, 0, 0, 5), &sender(), NOW).proof, None);
    assert_eq!(tracker.look(T, 0, &other, &sender(), NOW).proof, None);
}

/// T7: what was acknowledged of a producer before it was forgotten is still held against where its batches stand now.
#[test]
fn a_batch_that_stood_elsewhere_before_its_producer_was_forgotten_ends_the_proofs() {
    let mut tracker = tracker();
    // Another one keeps the partition.
    tracker.give(&batch(8, 0, 0, 1), ok(2));
    tracker.give(&batch(7, 0, 0, 2), ok(0));
    tracker.give(&batch(7, 0, 7, 1), ok(4));
    // It cannot be told what was acknowledged with it, so nothing is known of the producer any more.
    let ticket = tracker.observe_opaque(T, 0, &batch(7, 0, 2, 2), &sender(), NOW).expect("it is known");
    assert_eq!(tracker.settle(ticket, ok(4), NOW).ended, None);
    let proven = batch(7, 0, 4, 3);
    assert_eq!(tracker.give(&proven, ok(5)).ended, None);
    assert_eq!(tracker.rule(&proven), Rule::D12);
    assert_eq!(tracker.give(&batch(7, 0, 7, 1), ok(8)).ended, Some(Evidence::Collision));
    assert_eq!(tracker.rule(&proven), Rule::D14);
}
