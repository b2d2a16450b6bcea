//! What a partition's log says, and for how long that is good.

use super::*;

const SHOWN_AT: i64 = 100;

/// A batch as it stands in the log of a topic that compresses with a codec of its own.
fn recompressed(batch: &Batch, base_offset: i64) -> LogBatch {
    let fingerprint = Fingerprint { crc: 99, length: 70, codec: 3, stored: true };
    LogBatch { id: batch.id, fingerprint, base_offset, append_time: -1 }
}

/// A batch as it stands in the log of a topic that stamps append times.
fn stamped(batch: &Batch, base_offset: i64) -> LogBatch {
    let fingerprint = Fingerprint { crc: 99, stored: true, ..batch.fingerprint };
    LogBatch { id: batch.id, fingerprint, base_offset, append_time: 1_004 }
}

fn show(tracker: &mut Tracker, shown: &LogBatch) {
    let mut mark = tracker.mark_log(T, 0, NOW).expect("something is known of it");
    tracker.take_in_log(T, 0, sender().broker, &mut mark, shown, NOW);
}

#[test]
fn what_was_read_is_good_until_something_speaks_against_the_log_or_its_time_has_passed() {
    let producer = |id| (ProducerId::new(id), ProducerEpoch::new(0));
    let marked = || {
        let mut tracker = tracker();
        assert_eq!(tracker.mark_log(T, 0, NOW), None, "nothing is known of it");
        tracker.give(&batch(7, 0, 0, 1), ok(100));
        let mark = tracker.mark_log(T, 0, NOW).unwrap();
        (tracker, mark)
    };
    let ttl = TrackerLimits::default().proof_ttl_ms;
    let (mut tracker, mark) = marked();
    let mut stands = |ms| tracker.log_stands(T, 0, &mark, producer(7), after(ms));
    assert!(stands(0) && stands(ttl - 1) && !stands(ttl));
    let others = [(T, 1), (TopicRef::Name(b"u"), 0)];
    assert!(others.iter().all(|(topic, partition)| !tracker.log_stands(*topic, *partition, &mark, producer(7), NOW)));
    tracker.hand_out(ProducerId::new(7), ProducerEpoch::new(0));
    assert!(!tracker.log_stands(T, 0, &mark, producer(7), NOW) && tracker.log_stands(T, 0, &mark, producer(8), NOW));
    let against: [fn(&mut Tracker); 3] = [Tracker::end_cluster, |it| it.doubt_log(T, 0), |it| it.end_topic(T)];
    for speak_against in against {
        let (mut tracker, mark) = marked();
        speak_against(&mut tracker);
        assert!(!tracker.log_stands(T, 0, &mark, producer(7), NOW));
    }
    let (mut tracker, _) = marked();
    assert!(!tracker.log_stands(T, 0, &LogMark::NONE, producer(7), Millis(0)), "the mark of no partition");
}

#[test]
fn a_producer_is_known_where_it_was_seen() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    let knows = |partition, id| tracker.knows(T, partition, ProducerId::new(id));
    assert!(knows(0, 7) && !knows(0, 8) && !knows(1, 7));
    assert!(!tracker.knows(TopicRef::Name(b"u"), 0, ProducerId::new(7)));
}

#[test]
fn a_batch_is_searched_behind_the_proof_before_it() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 3), ok(100));
    let before = |tracker: &Tracker, batch: Batch| tracker.offset_before(T, 0, batch.id);
    assert_eq!(before(&tracker, batch(7, 0, 3, 1)), Some(103));
    assert_eq!(before(&tracker, batch(7, 0, 9, 1)), Some(103), "what is between may be there or not");
    assert_eq!(before(&tracker, batch(7, 0, 0, 3)), None, "it is not behind itself");
    assert_eq!(before(&tracker, batch(7, 1, 3, 1)), None, "another epoch");
    assert_eq!(before(&tracker, batch(8, 0, 3, 1)), None, "another producer");
    let by_leader = Sender { acks: Acks::Leader, ..sender() };
    let ticket = tracker.look(T, 0, &batch(7, 0, 3, 1), &by_leader, NOW).ticket.unwrap();
    tracker.settle(ticket, ok(103), NOW);
    assert_eq!(before(&tracker, batch(7, 0, 4, 1)), None, "only the leader had it");
}

#[test]
fn a_proof_is_found_for_the_very_batch() {
    let mut tracker = tracker();
    let known = batch(7, 0, 0, 1);
    tracker.give(&known, ok(100));
    let mut find = |batch: &Batch, by| tracker.find_proof(T, 0, batch, by, NOW).map(|proof| proof.base_offset);
    assert_eq!(find(&known, None), Some(100));
    assert_eq!(find(&known, Some(sender().confirming())), Some(100));
    assert_eq!(find(&known, Some(restarted().confirming())), None, "it is older than the broker's generation");
    assert_eq!(find(&batch(7, 1, 0, 1), None), None, "another epoch");
    let other = Batch { fingerprint: Fingerprint { crc: 77, ..known.fingerprint }, ..known };
    assert_eq!(find(&other, None), None, "another content");
    assert_eq!(find(&batch(8, 0, 0, 1), None), None, "another producer");
}

#[test]
fn a_proof_from_the_log_is_of_the_batch_as_it_was_sent() {
    let sent = batch(7, 0, 0, 1);
    for shown in [recompressed(&sent, SHOWN_AT), stamped(&sent, SHOWN_AT)] {
        let mut tracker = tracker();
        tracker.give(&batch(8, 0, 0, 1), ok(99));
        show(&mut tracker, &shown);
        let proof = tracker.find_proof(T, 0, &sent, None, NOW).expect("it stands there");
        assert_eq!((proof.fingerprint, proof.base_offset), (sent.fingerprint, SHOWN_AT));
    }
}

#[test]
fn what_is_read_in_a_log_evicts_nobody() {
    let mut tracker = with(TrackerLimits { producers_max: 2, ..TrackerLimits::default() });
    [7, 8].into_iter().for_each(|id| _ = tracker.give(&batch(id, 0, 0, 1), ok(id)));
    show(&mut tracker, &recompressed(&batch(9, 0, 0, 1), SHOWN_AT));
    assert_eq!([7, 8, 9].map(|id| tracker.knows(T, 0, ProducerId::new(id))), [true, true, false]);
    // Of whoever is known it is taken in all the same.
    show(&mut tracker, &recompressed(&batch(8, 0, 1, 1), SHOWN_AT));
    assert_eq!(tracker.rule(&batch(8, 0, 2, 1)), Rule::D8);
}

#[test]
fn a_stored_batch_tells_less_of_its_content_than_its_producer_did() {
    let mut tracker = tracker();
    let known = batch(7, 0, 0, 1);
    tracker.give(&known, ok(SHOWN_AT));
    show(&mut tracker, &recompressed(&known, SHOWN_AT));
    let other = Batch { fingerprint: Fingerprint { crc: 77, ..known.fingerprint }, ..known };
    assert_eq!(tracker.find_proof(T, 0, &other, None, NOW), None);
    assert!(tracker.find_proof(T, 0, &known, None, NOW).is_some());
}

#[test]
fn what_stands_in_the_log_is_proven_whatever_was_known_of_it_before() {
    let mut tracker = tracker();
    let [by_leader, elsewhere] = [0, 1].map(|base| batch(7, 0, base, 1));
    let sender = Sender { acks: Acks::Leader, ..sender() };
    let ticket = tracker.look(T, 0, &by_leader, &sender, NOW).ticket.unwrap();
    tracker.settle(ticket, ok(100), NOW);
    show(&mut tracker, &recompressed(&by_leader, 100));
    assert!(tracker.find_proof(T, 0, &by_leader, None, NOW).is_some());
    tracker.give(&elsewhere, ok(101));
    show(&mut tracker, &recompressed(&elsewhere, 105));
    let proof = tracker.find_proof(T, 0, &elsewhere, None, NOW);
    assert_eq!(proof.map(|proof| proof.base_offset), Some(105), "it is the log that is right");
}

/// Where the log may not be read.
#[test]
fn a_log_that_reaches_beyond_the_last_record_confirms_a_batch() {
    for (end, is_confirmed) in [(102, false), (103, true)] {
        let mut tracker = tracker();
        tracker.give(&batch(7, 0, 0, 3), ok(100));
        let mark = tracker.mark_log(T, 0, NOW).unwrap();
        let broker = restarted().broker;
        tracker.confirm_below(T, 0, broker, &mark, end);
        let by_end = Confirming { broker, by_end: true };
        let proof = tracker.find_proof(T, 0, &batch(7, 0, 0, 3), Some(by_end), NOW);
        assert_eq!(proof.is_some(), is_confirmed, "{end}");
        let read = Confirming { broker, by_end: false };
        assert_eq!(tracker.find_proof(T, 0, &batch(7, 0, 0, 3), Some(read), NOW), None, "who may read it reads it");
        tracker.doubt_log(T, 0);
        tracker.give(&batch(7, 0, 0, 3), ok(100));
        tracker.confirm_below(T, 0, broker, &mark, end);
        let proof = tracker.find_proof(T, 0, &batch(7, 0, 0, 3), Some(by_end), NOW);
        assert_eq!(proof, None, "it was doubted since the mark");
    }
}

#[test]
fn nothing_is_looked_up_for_what_is_not_answered_here() {
    let asking = Sender { may_look: true, confirms: true, ..sender() };
    let behind = batch(7, 0, 5, 1);
    let passage = |batch: &Batch, sender: &Sender| tracker().look(T, 0, batch, sender, NOW).passage;
    assert_eq!(passage(&behind, &asking), Passage::Look);
    assert_eq!(passage(&behind, &sender()), Passage::Free);
    assert_eq!(passage(&Batch { transactional: true, ..behind }, &asking), Passage::Free);
    assert_eq!(passage(&behind, &Sender { acks: Acks::None, ..asking }), Passage::Free);
    assert_eq!(passage(&batch(7, 0, 0, 1), &asking), Passage::Free, "the first of a producer");
}

/// A look may end before the log does, and a batch that it has shown may be the first of its epoch without being the last.
#[test]
fn what_may_follow_what_was_read_is_not_called_missing() {
    let mut tracker = tracker();
    tracker.give(&batch(8, 0, 0, 1), ok(90));
    for (epoch, base_offset) in [(0, 100), (2, 103)] {
        let of_log = batch(7, epoch, 0, 2);
        let fingerprint = Fingerprint { stored: true, ..of_log.fingerprint };
        show(&mut tracker, &LogBatch { id: of_log.id, fingerprint, base_offset, append_time: -1 });
    }
    let authoritative = Sender { authoritative: true, ..sender() };
    assert_eq!(tracker.look(T, 0, &batch(7, 2, 3, 3), &authoritative, NOW).rule, Rule::D17);
}

#[test]
fn what_follows_a_batch_that_was_read_is_missing_only_where_its_epoch_was_known_before() {
    for (epoch, base, rule) in [(0, 1, Rule::D18), (1, 0, Rule::D17)] {
        let mut tracker = tracker();
        tracker.give(&batch(7, 0, 0, 1), ok(100));
        show(&mut tracker, &recompressed(&batch(7, epoch, base, 1), 101));
        assert_eq!(tracker.rule(&batch(7, epoch, base + 3, 1)), rule, "epoch {epoch}");
    }
}

/// Where it does, a batch is found by its own time, or not at all.
#[test]
fn whether_a_log_keeps_the_producers_times_is_known_as_it_was_seen_last() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    assert!(!tracker.keeps_times(T, 0), "it was not looked into");
    for kept in [true, false, true] {
        let mark = tracker.mark_log(T, 0, NOW).expect("it is known");
        tracker.note_times(T, 0, &mark, kept);
        assert_eq!(tracker.keeps_times(T, 0), kept);
    }
    assert!(!tracker.keeps_times(T, 1), "another partition's");
    let mark = tracker.mark_log(T, 0, NOW).expect("it is known");
    tracker.end_cluster();
    assert!(!tracker.keeps_times(T, 0), "another log's");
    tracker.note_times(T, 0, &mark, true);
    assert!(!tracker.keeps_times(T, 0), "it was read of the one before");
}

#[test]
fn a_waiting_answer_from_a_recompressed_log_does_not_hold_once_another_content_is_acknowledged_in_its_place() {
    let mut tracker = tracker();
    let sent = batch(7, 0, 0, 1);
    tracker.give(&batch(8, 0, 0, 1), ok(99));
    show(&mut tracker, &recompressed(&sent, SHOWN_AT));
    let proof = tracker.look(T, 0, &sent, &sender(), NOW).proof.expect("it stands there");
    tracker.give(&batch(7, 0, 1, 1), said(59, -1));
    tracker.doubt_log(T, 0);
    let other = Batch { fingerprint: Fingerprint { crc: 77, ..sent.fingerprint }, ..sent };
    tracker.give(&other, ok(SHOWN_AT));
    assert!(!tracker.still_holds(T, 0, &proof, NOW));
}

#[test]
fn a_waiting_answer_from_a_stamped_log_holds_when_the_first_attempt_is_acknowledged_as_well() {
    let mut tracker = tracker();
    let sent = batch(7, 0, 0, 1);
    let first = tracker.send_one(&sent);
    show(&mut tracker, &stamped(&sent, SHOWN_AT));
    let proof = tracker.look(T, 0, &sent, &sender(), NOW).proof.expect("it stands there");
    tracker.settle(first, ok(SHOWN_AT), NOW);
    assert!(tracker.still_holds(T, 0, &proof, NOW));
}
