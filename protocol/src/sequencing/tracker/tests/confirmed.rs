//! Proofs that are older than the broker's generation: which of them are known to be true of the log as it is.

use super::*;

/// After the broker was lost, on a connection that may ask it for its log.
fn asking() -> Sender {
    Sender { may_look: true, confirms: true, ..restarted() }
}

/// The log has this batch at this place.
fn show(tracker: &mut Tracker, batch: &Batch, base_offset: i64) {
    let fingerprint = Fingerprint { stored: true, ..batch.fingerprint };
    let shown = LogBatch { id: batch.id, fingerprint, base_offset, append_time: -1 };
    let mut mark = tracker.mark_log(T, 0, NOW).expect("something is known of it");
    tracker.take_in_log(T, 0, asking().broker, &mut mark, &shown, NOW);
}

#[test]
fn acknowledgement_of_one_batch_confirms_no_other() {
    let mut tracker = tracker();
    let batches = [0, 1, 2].map(|base| batch(7, 0, base, 1));
    for (batch, offset) in batches.iter().zip(100..) {
        tracker.give(batch, ok(offset));
    }
    // The first is not there any more, and stored again at the same place.
    let unasked = Sender { may_look: false, ..asking() };
    let ticket = tracker.look(T, 0, &batches[0], &unasked, NOW).ticket.expect("it is sent");
    tracker.settle(ticket, ok(100), NOW);
    assert!(tracker.look(T, 0, &batches[0], &asking(), NOW).proof.is_some());
    assert!(batches[1..].iter().all(|other| tracker.look(T, 0, other, &asking(), NOW).passage == Passage::Look));
    assert_eq!(tracker.open_attempts(), 0);
}

#[test]
fn all_that_a_look_has_shown_is_confirmed() {
    let mut tracker = tracker();
    let batches: Vec<_> = (0..1000).map(|number| batch(number / 5, 0, (number % 5) as i32, 1)).collect();
    tracker.give(&batch(5000, 0, 0, 1), ok(0));
    batches.iter().zip(1..).for_each(|(batch, offset)| show(&mut tracker, batch, offset));
    assert!(batches.iter().all(|shown| tracker.look(T, 0, shown, &asking(), NOW).proof.is_some()));
}

/// An answer of the generation before may be late, and so may a look that began in it: what is known of the present one stays.
#[test]
fn what_a_generation_says_that_is_over_takes_nothing_from_the_present_one() {
    let mut tracker = tracker();
    let batches = [0, 1, 2].map(|base| batch(7, 0, base, 1));
    tracker.give(&batches[0], ok(100));
    let late = tracker.send_one(&batches[1]);
    let now = tracker.look(T, 0, &batches[2], &Sender { may_look: false, ..asking() }, NOW).ticket.expect("it is sent");
    tracker.settle(now, ok(102), NOW);
    tracker.settle(late, ok(101), NOW);
    let mut confirmed = |at: usize| tracker.look(T, 0, &batches[at], &asking(), NOW).proof.is_some();
    assert_eq!([0, 1, 2].map(&mut confirmed), [false, false, true]);
    let again = tracker.register(T, 0, &batches[2], &sender(), NOW).expect("it is sent");
    tracker.settle(again, ok(102), NOW);
    assert!(tracker.look(T, 0, &batches[2], &asking(), NOW).proof.is_some());
    let shown = LogBatch {
        id: batches[0].id,
        fingerprint: Fingerprint { stored: true, ..batches[0].fingerprint },
        base_offset: 100,
        append_time: -1,
    };
    let mut mark = tracker.mark_log(T, 0, NOW).expect("something is known of it");
    tracker.take_in_log(T, 0, sender().broker, &mut mark, &shown, NOW);
    let mut confirmed = |at: usize| tracker.look(T, 0, &batches[at], &asking(), NOW).proof.is_some();
    assert_eq!([0, 1, 2].map(&mut confirmed), [false, false, true]);
}

/// T27: that the log has its batches does not say that the broker knows the producer.
#[test]
fn a_producer_that_was_shown_goes_alone_once_it_is_answered() {
    let mut tracker = tracker();
    tracker.give(&batch(7, 0, 0, 1), ok(100));
    show(&mut tracker, &batch(7, 0, 0, 1), 100);
    assert!(tracker.look(T, 0, &batch(7, 0, 0, 1), &asking(), NOW).proof.is_some());
    tracker.answered(T, 0, ProducerId::new(7), &asking(), NOW);
    let next = |tracker: &mut Tracker, base| tracker.look(T, 0, &batch(7, 0, base, 1), &asking(), NOW);
    let first = next(&mut tracker, 1).ticket.expect("it is sent");
    assert_eq!(next(&mut tracker, 2).passage, Passage::Hold);
    tracker.settle(first, ok(101), NOW);
    assert_eq!(next(&mut tracker, 2).passage, Passage::Free);
}

/// A broker names some append time in every answer to a duplicate, whether its topic stamps them or not.
fn ok_to_a_duplicate(base_offset: i64) -> Outcome {
    let answer = Answer { error: ErrorCode::NONE, base_offset, log_append_time: 1_004, log_start_offset: Some(0) };
    Outcome::Answered(answer)
}

/// Under the same sequences, of the same length.
fn other_content(batch: Batch) -> Batch {
    Batch { fingerprint: Fingerprint { crc: batch.fingerprint.crc ^ 1, ..batch.fingerprint }, ..batch }
}

#[test]
fn a_batch_of_an_older_epoch_confirms_nothing_of_a_newer_one() {
    let mut tracker = tracker();
    let [old, new] = [0, 1].map(|epoch| batch(7, epoch, 0, 1));
    tracker.give(&new, ok_to_a_duplicate(101));
    show(&mut tracker, &old, 100);
    assert_eq!(tracker.look(T, 0, &new, &asking(), NOW).passage, Passage::Look);
}

/// As after a wipe, when a client of the same number has had other records stored.
#[test]
fn another_content_in_the_log_confirms_nothing() {
    let mut tracker = tracker();
    let known = batch(7, 0, 0, 1);
    tracker.give(&known, ok_to_a_duplicate(100));
    show(&mut tracker, &other_content(known), 100);
    let retry = tracker.look(T, 0, &known, &asking(), NOW);
    assert!(retry.proof.is_none(), "{retry:?}");
}

#[test]
fn of_what_stands_in_the_log_and_what_was_acknowledged_in_its_place_neither_is_proven() {
    let mut tracker = tracker();
    let known = batch(7, 0, 0, 1);
    tracker.give(&batch(8, 0, 0, 1), ok(99));
    show(&mut tracker, &known, 100);
    tracker.give(&other_content(known), ok_to_a_duplicate(100));
    let proven = [known, other_content(known)].map(|it| tracker.look(T, 0, &it, &sender(), NOW).proof.is_some());
    assert_eq!(proven, [false, false]);
}

/// The log has lost its end, and another client of the same number has had its records stored where that was.
#[test]
fn a_waiting_answer_from_the_log_does_not_hold_once_another_content_is_acknowledged_in_its_place() {
    let mut tracker = tracker();
    let known = batch(7, 0, 0, 1);
    tracker.give(&batch(8, 0, 0, 1), ok(99));
    show(&mut tracker, &known, 100);
    let proof = tracker.look(T, 0, &known, &asking(), NOW).proof.expect("it stands there");
    assert!(tracker.still_holds(T, 0, &proof, NOW));
    tracker.give(&batch(7, 0, 1, 1), said(59, -1));
    tracker.doubt_log(T, 0);
    tracker.give(&other_content(known), ok(100));
    assert!(tracker.look(T, 0, &other_content(known), &sender(), NOW).proof.is_some());
    assert!(!tracker.still_holds(T, 0, &proof, NOW));
}
