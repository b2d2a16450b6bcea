//! Which ledger a session uses, and what it tells it.

use super::*;

#[test]
fn an_answer_of_another_cluster_does_not_leave() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(9)) else { panic!("forwarded") };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    let Admission::Answer(local) = admit(&mut session, &request(9)) else { panic!("answered") };
    assert!(session.switch(Memory::new()));
    assert!(!session.still_holds(&local, present().now));
    assert!(matches!(admit(&mut session, &request(9)), Admission::Forward(Some(_))));
}

#[test]
fn answers_settle_in_the_cluster_that_they_were_asked_of() {
    let (first, second) = (Memory::new(), Memory::new());
    let mut session = session(&first);
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(9)) else { panic!("forwarded") };
    assert!(session.switch(second.clone()));
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    assert_eq!((first.open_attempts(), first.0.0.borrow().producers()), (0, 1));
    assert_eq!(second.0.0.borrow().producers(), 0);
    assert_eq!((first.told(), second.told()), (1, 0), "whoever waits for it waits there");
    assert!(!session.is_unsure() && !second.is_tainted(), "everything was read");
}

/// §6.1: the log that a broker doubts is its own, whichever cluster it was taken for.
#[test]
fn a_doubt_is_heard_in_the_cluster_that_the_connection_turned_out_to_lead_to() {
    let (first, second) = (Memory::new(), Memory::new());
    let (mut before, mut after) = (session(&first), session(&second));
    let Admission::Forward(Some(old)) = admit(&mut before, &request(9)) else { panic!("forwarded") };
    assert!(before.switch(second.clone()));
    let Admission::Forward(Some(new)) = admit(&mut after, &request(9)) else { panic!("forwarded") };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).expect("v9");
    after.settle(new, &golden, Millis(1000), &mut |_: Event<'_>| {});
    let mut doubt = golden.clone();
    // The error code stands behind length, header, one topic "t", one partition and its index.
    doubt[4 + 5 + 1 + 2 + 1 + 4..][..2].copy_from_slice(&56_i16.to_be_bytes());
    before.settle(old, &doubt, Millis(1000), &mut |_: Event<'_>| {});
    assert!(matches!(admit(&mut after, &request(9)), Admission::Forward(Some(_))));
}

#[test]
fn a_session_believes_in_a_few_clusters_only() {
    let mut session = session(&Memory::new());
    let known = Memory::new();
    let switches = (0..20).filter(|_| session.switch(known.clone()) && session.switch(Memory::new())).count();
    assert_eq!(switches, LEDGERS_MAX - 2);
    assert!(session.ledger().is_same(&known), "what is known already can always be gone back to");
}

/// T11, T15: whatever cluster it was that a request went to unread.
#[test]
fn what_went_through_unread_taints_every_cluster_that_the_connection_leads_to() {
    let without_room = Present { keep_bytes_max: 0, ..present() };
    for (unread, present) in [(request(99), present()), (memory::wide(33), without_room)] {
        let (first, second) = (Memory::new(), Memory::new());
        let mut session = session(&first);
        let admission = session.admit(&unread, false, &present, &mut |_: Event<'_>| {});
        assert!(matches!(admission, Admission::Unread | Admission::Forward(_)), "{admission:?}");
        assert!(session.switch(second.clone()));
        assert!(first.is_tainted() && second.is_tainted());
    }
}

/// T27: a batch that is withdrawn because another one of its request must wait may have made others wait meanwhile.
#[test]
fn a_withdrawn_batch_is_told_to_those_who_wait_once() {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let restarted = Present { broker: BrokerGeneration { broker: 1, generation: 1 }, ..present() };
    let mut quiet = |_: Event<'_>| {};
    let Admission::Forward(Some(pending)) = admit(&mut session, &two_topics()) else { panic!("forwarded") };
    session.settle(pending, &acked(&[b"t", b"u"]), Millis(1000), &mut quiet);
    assert!(matches!(session.admit(&two_topics(), false, &restarted, &mut quiet), Admission::Answer(_)));
    let first = with_sequences(request(3), [7].into());
    let Admission::Forward(Some(pending)) = session.admit(&first, false, &restarted, &mut quiet) else {
        panic!("goes")
    };
    // The second batch of `t` has to wait, so that of `u` does not go either.
    let both = with_sequences(two_topics(), [9, 7].into());
    let told = ledger.told();
    let mut reported = 0;
    for (held, told_since) in [(false, 1), (true, 1), (true, 1)] {
        let mut count = |event: Event<'_>| reported += u32::from(matches!(event, Event::Held { .. }));
        assert!(matches!(session.admit(&both, held, &restarted, &mut count), Admission::Hold));
        assert_eq!(ledger.told() - told, told_since, "who waits must not wake others by asking again");
    }
    assert_eq!(reported, 1, "that it waits is said once");
    session.settle(pending, &acked(&[b"t"]), Millis(1000), &mut quiet);
    assert_eq!(ledger.told() - told, 2);
    let Admission::Forward(Some(pending)) = session.admit(&both, true, &restarted, &mut quiet) else { panic!("goes") };
    session.abandon(pending, Millis(1000));
}

/// The answer to a v3 request that acknowledges partition 0 of these topics.
pub(super) fn acked(topics: &[&[u8]]) -> Vec<u8> {
    let entry = |topic: &&[u8]| AnswerEntry {
        topic: OwnedTopic::Name((*topic).into()),
        partition: 0,
        error: 0,
        base_offset: 100,
        log_append_time: -1,
        log_start_offset: -1,
    };
    crate::wire::produce::answer(3, 0x0102_0304, &topics.iter().map(entry).collect::<Vec<_>>())
}

/// A v3 request whose batches begin with these sequences.
pub(super) fn with_sequences(mut frame: Vec<u8>, sequences: Vec<i32>) -> Vec<u8> {
    let mut at = 42;
    for sequence in sequences {
        frame[at + 53..at + 57].copy_from_slice(&sequence.to_be_bytes());
        at += 79 + 15;
    }
    frame
}
