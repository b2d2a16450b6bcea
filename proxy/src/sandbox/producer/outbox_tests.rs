//! One producer's moves, answer by answer.

use super::*;

fn outbox(batches: usize) -> Outbox {
    let mut outbox = Outbox::new(5);
    outbox.identify(ProducerId::new(7), ProducerEpoch::new(0));
    for n in 0..batches {
        outbox.push(n * 2, vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    }
    outbox
}

fn send_all(outbox: &mut Outbox) -> Vec<Attempt> {
    std::iter::from_fn(|| outbox.next_attempt()).collect()
}

fn places(attempts: &[Attempt]) -> Vec<(i16, i32)> {
    attempts.iter().map(|attempt| (attempt.epoch.get(), attempt.base_sequence.get())).collect()
}

#[test]
fn five_batches_are_on_their_way_and_no_more() {
    let mut outbox = outbox(7);
    let sent = send_all(&mut outbox);
    assert_eq!(places(&sent), [(0, 0), (0, 2), (0, 4), (0, 6), (0, 8)]);
    let acked = outbox.settle(sent[0].ticket, 0, 40);
    assert_eq!(acked, Settled::Acknowledged { first_record: 0, records: 2, offset: Some(40) });
    assert_eq!(places(&send_all(&mut outbox)), [(0, 10)]);
}

#[test]
fn after_a_disconnect_the_oldest_goes_first_and_alone() {
    let mut outbox = outbox(6);
    let sent = send_all(&mut outbox);
    outbox.disconnected();
    assert_eq!(send_all(&mut outbox), [sent[0].clone()], "byte for byte the same");
    outbox.settle(sent[0].ticket, 0, 0);
    assert_eq!(places(&send_all(&mut outbox)), [(0, 2)]);
    assert_eq!(outbox.retries(), 2);
}

#[test]
fn out_of_order_at_the_head_of_the_line_renumbers_all_in_a_new_epoch() {
    let mut outbox = outbox(5);
    let sent = send_all(&mut outbox);
    outbox.disconnected();
    let retried = send_all(&mut outbox);
    assert_eq!(outbox.settle(retried[0].ticket, 45, -1), Settled::NewEpoch);
    let mut places_sent = Vec::new();
    for batch in &sent {
        let attempts = send_all(&mut outbox);
        places_sent.extend(places(&attempts));
        outbox.settle(batch.ticket, 0, 0);
    }
    assert_eq!(places_sent, [(1, 0), (1, 2), (1, 4), (1, 6), (1, 8)]);
    assert!(outbox.is_empty());
    assert_eq!(outbox.epoch_bumps(), 1);
}

#[test]
fn out_of_order_behind_the_head_waits_for_it() {
    let mut outbox = outbox(3);
    let sent = send_all(&mut outbox);
    assert_eq!(outbox.settle(sent[1].ticket, 45, -1), Settled::Retry);
    assert_eq!(outbox.settle(sent[2].ticket, 45, -1), Settled::Retry);
    assert_eq!(send_all(&mut outbox), []);
    outbox.settle(sent[0].ticket, 0, 0);
    assert_eq!(places(&send_all(&mut outbox)), [(0, 2)]);
}

#[test]
fn a_refusal_of_sequences_that_were_rewritten_meanwhile_raises_no_second_epoch() {
    let mut outbox = outbox(2);
    let sent = send_all(&mut outbox);
    assert_eq!(outbox.settle(sent[0].ticket, 45, -1), Settled::NewEpoch);
    assert_eq!(outbox.settle(sent[1].ticket, 45, -1), Settled::Retry);
    assert_eq!(places(&send_all(&mut outbox)), [(1, 0)]);
    assert_eq!(outbox.epoch_bumps(), 1);
}

#[test]
fn retriable_errors_are_retried_and_others_fail_the_batch() {
    let mut outbox = outbox(2);
    let sent = send_all(&mut outbox);
    assert_eq!(outbox.settle(sent[0].ticket, 19, -1), Settled::Retry);
    let failed = outbox.settle(sent[1].ticket, 87, -1);
    assert_eq!(failed, Settled::Failed { first_record: 2, records: 2, code: 87 });
    assert_eq!(places(&send_all(&mut outbox)), [(1, 0)]);
}

#[test]
fn after_the_last_epoch_a_new_producer_id_is_wanted() {
    let mut outbox = outbox(1);
    outbox.identify(ProducerId::new(7), ProducerEpoch::new(i16::MAX));
    let sent = send_all(&mut outbox);
    assert_eq!(outbox.settle(sent[0].ticket, 45, -1), Settled::NewEpoch);
    assert!(outbox.wants_identity());
    assert_eq!(outbox.next_attempt(), None);
    outbox.identify(ProducerId::new(8), ProducerEpoch::new(0));
    assert_eq!(outbox.next_attempt().map(|attempt| attempt.producer_id), Some(ProducerId::new(8)));
}
