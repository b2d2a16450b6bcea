//! What the entries of an answer come to.

use super::*;
use crate::sequencing::TopicRef;
use crate::wire::produce::ProduceResponse;

/// The two topics' requests, forwarded, and the answer to it: an error code for each.
fn answered(session: &mut Session<Memory>, present: &Present, errors: [i16; 2]) -> Settled {
    let admission = session.admit(&two_topics(), false, present, &mut |_: Event<'_>| {});
    let Admission::Forward(Some(pending)) = admission else { panic!("{admission:?}") };
    settle(session, pending, &[("t", errors[0]), ("u", errors[1])])
}

fn settle(session: &mut Session<Memory>, pending: Pending, entries: &[(&str, i16)]) -> Settled {
    let entry = |(topic, error): &(&str, i16)| AnswerEntry {
        topic: OwnedTopic::Name(topic.as_bytes().into()),
        partition: 0,
        error: *error,
        base_offset: if *error == 0 { 100 } else { -1 },
        log_append_time: -1,
        log_start_offset: -1,
    };
    let entries: Vec<_> = entries.iter().map(entry).collect();
    let answer = crate::wire::produce::answer(3, 0x0102_0304, &entries);
    session.settle(pending, &answer, Millis(1000), &mut |_: Event<'_>| {})
}

/// T33: a broker appends only for those whom it serves.
#[test]
fn whoever_is_acknowledged_is_served() {
    for (errors, is_served) in [([0, 0], true), ([0, 29], true), ([29, 0], true), ([29, 29], false)] {
        let mut session = session(&Memory::new());
        let settled = answered(&mut session, &present(), errors);
        assert!(matches!(settled, Settled::Unchanged));
        assert_eq!(session.auth().is_served_without_sasl(), is_served, "{errors:?}");
    }
}

#[test]
fn each_refusal_is_looked_for_in_its_own_log() {
    let policy = Policy { look_up: true, ..present().policy };
    let asking = Present { policy, ..present() };
    let mut session = session(&Memory::new());
    let Settled::Look(unresolved, looks) = answered(&mut session, &asking, [45, 45]) else { panic!() };
    let topics: Vec<_> = looks.iter().map(LookUp::topic).collect();
    assert_eq!(topics, [TopicRef::Name(b"t"), TopicRef::Name(b"u")]);
    session.give_up(*unresolved, Millis(1000));
}

/// Whatever the look for it comes to.
#[test]
fn a_refusal_of_what_is_acknowledged_meanwhile_is_not_believed() {
    let policy = Policy { look_up: true, ..present().policy };
    let asking = Present { policy, ..present() };
    let quiet = &mut |_: Event<'_>| {};
    for is_acknowledged in [false, true] {
        let ledger = Memory::new();
        let (mut session, mut other) = (session(&ledger), Session::new(ConnectionId(2), ledger.clone()));
        let Admission::Forward(Some(pending)) = session.admit(&request(9), false, &asking, quiet) else { panic!() };
        let Admission::Forward(Some(retry)) = other.admit(&request(9), false, &asking, quiet) else { panic!() };
        let refusal = hex(crate::wire::samples::GOLDEN_REFUSAL_V9);
        let Settled::Look(unresolved, _) = session.settle(pending, &refusal, Millis(1000), quiet) else { panic!() };
        let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).unwrap();
        if is_acknowledged {
            other.settle(retry, &golden, Millis(1000), quiet);
        } else {
            other.abandon(retry, Millis(1000));
        }
        assert_eq!(session.is_known(&unresolved, Millis(1000)), is_acknowledged);
        let mut resolved = Vec::new();
        let told = session.resolve(*unresolved, Vec::new(), Millis(1000), &mut |event: Event<'_>| {
            if let Event::Resolved { base_offset, .. } = event {
                resolved.push(base_offset);
            }
        });
        let Settled::Merged(frame) = told else { panic!("{told:?}") };
        let said = ProduceResponse::parse(9, &frame[4..]).unwrap().entries().next().unwrap();
        let expected = ProduceResponse::parse(9, &golden[4..]).unwrap().entries().next().unwrap();
        let offset = if is_acknowledged { (0, expected.base_offset) } else { (45, -1) };
        assert_eq!((said.error, said.base_offset), offset);
        assert_eq!(resolved, if is_acknowledged { vec![offset.1] } else { vec![] });
        assert_eq!(ledger.open_attempts(), u32::from(!is_acknowledged), "the retry is of unknown outcome");
    }
}

/// Of `t` and `u`, `t` is a duplicate, and left out.
fn stripped() -> (Memory, Session<Memory>, Pending) {
    let ledger = Memory::new();
    let mut session = session(&ledger);
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(3)) else { panic!("forwarded") };
    assert!(matches!(settle(&mut session, pending, &[("t", 0)]), Settled::Unchanged));
    let Admission::Strip { pending, .. } = admit(&mut session, &two_topics()) else { panic!("stripped") };
    (ledger, session, pending)
}

#[test]
fn what_was_left_out_is_put_back_where_all_of_it_holds() {
    let (_, mut session, pending) = stripped();
    assert!(matches!(settle(&mut session, pending, &[("u", 0)]), Settled::Merged(_)));
    // The broker speaks of what it was not sent.
    let (_, mut session, pending) = stripped();
    assert!(matches!(settle(&mut session, pending, &[("u", 0), ("v", 0)]), Settled::Reset(Incomplete::Foreign)));
    // The connection leads elsewhere.
    let (_, mut session, pending) = stripped();
    assert!(session.switch(Memory::new()));
    assert!(matches!(settle(&mut session, pending, &[("u", 0)]), Settled::Reset(Incomplete::Lapsed)));
    // What was acknowledged is no more.
    let (ledger, mut session, pending) = stripped();
    ledger.tracker(0, |tracker| tracker.end_topic(TopicRef::Name(b"t")));
    assert!(matches!(settle(&mut session, pending, &[("u", 0)]), Settled::Reset(Incomplete::Lapsed)));
}
