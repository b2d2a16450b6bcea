//! What a broker answers to a look into the log, and what that comes to.

use super::*;
use crate::wire::samples::GOLDEN_BATCH;

/// Where the golden batch of two records stands.
const OFFSET: i64 = 100;
/// How many batches of the log one answer has.
const ALL: usize = usize::MAX;

const FETCH: u8 = 1;
const LIST_OFFSETS: u8 = 2;
const METADATA: u8 = 3;

/// A broker that may be asked anything.
#[derive(Clone, Copy)]
struct Broker {
    topic: u8,
    fetch_error: i16,
    /// Where what is as young as the batch begins, and where the log ends.
    listed: (i16, i64, i64),
    /// Where what is as young as time itself begins.
    oldest: i64,
    /// The offset and the producer of each batch that stands there.
    log: &'static [(i64, i64)],
    /// When they were appended, where the topic says so.
    stamp: Option<i64>,
    batches_at_once: usize,
    high_watermark: i64,
    /// Bytes that are left out at an answer's end.
    cut: usize,
}

/// It has the golden batch and nothing else.
const HAS_IT: Broker = Broker {
    topic: b't',
    fetch_error: 0,
    listed: (0, OFFSET, OFFSET + 2),
    oldest: -1,
    log: &[(OFFSET, 7)],
    stamp: None,
    batches_at_once: ALL,
    high_watermark: OFFSET + 2,
    cut: 0,
};

impl Broker {
    fn answer(self, request: &[u8]) -> Vec<u8> {
        let partition =
            |error: i16| [&[0, 0, 0, 1, 0, 1, self.topic, 0, 0, 0, 1, 0, 0, 0, 0][..], &error.to_be_bytes()].concat();
        let body = match request[5] {
            FETCH => {
                let from = i64::from_be_bytes(request[request.len() - 20..][..8].try_into().unwrap());
                let records = self.records(from);
                let marks = [self.high_watermark, self.high_watermark, 0].map(i64::to_be_bytes).concat();
                let length = u32::try_from(records.len()).unwrap().to_be_bytes();
                // From version 7 on there is an error of the whole, and a session.
                let of_all = if request[7] == 5 { &[][..] } else { &[0; 6] };
                [of_all, &partition(self.fetch_error), &marks, &[0xff; 4], &length, &records].concat()
            }
            LIST_OFFSETS => {
                let (error, begin, end) = self.listed;
                let offset = match i64::from_be_bytes(request[request.len() - 8..].try_into().unwrap()) {
                    -1 => end,
                    0 => self.oldest,
                    _ => begin,
                };
                [&partition(error)[..], &[0xff; 8], &offset.to_be_bytes()].concat()
            }
            METADATA => [&[0; 4][..], &[0xff; 2], &[0; 4], &[0, 0, 0, 1, 0, 0, 0, 1, b't', 0], &[0; 4]].concat(),
            other => panic!("api key {other}"),
        };
        let mut answer = [&request[8..12], &[0; 4], &body[..]].concat();
        answer.truncate(answer.len() - self.cut);
        answer
    }

    fn records(self, from: i64) -> Vec<u8> {
        let is_asked = |(offset, _): &&(i64, i64)| *offset + 1 >= from && self.fetch_error == 0;
        let batch = |(offset, producer): &(i64, i64)| {
            let mut batch = hex(GOLDEN_BATCH);
            batch[..8].copy_from_slice(&offset.to_be_bytes());
            batch[43..51].copy_from_slice(&producer.to_be_bytes());
            if let Some(time) = self.stamp {
                batch[22] |= 0x08;
                batch[35..43].copy_from_slice(&time.to_be_bytes());
                let crc = crc32c::crc32c(&batch[21..]);
                batch[17..21].copy_from_slice(&crc.to_be_bytes());
            }
            batch
        };
        self.log.iter().filter(is_asked).take(self.batches_at_once).flat_map(batch).collect()
    }
}

fn asking(generation: u32) -> Present {
    let policy = Policy { look_up: true, ..present().policy };
    Present { policy, may_look: true, broker: BrokerGeneration { broker: 1, generation }, ..present() }
}

/// Nothing is known of the golden batch, which does not begin with its producer's first sequence.
fn warm_up() -> (Session<Memory>, LookUp) {
    let mut session = session(&Memory::new());
    let look = look(&mut session, 0);
    assert_eq!(look.kind(), LookUpKind::WarmUp);
    (session, look)
}

/// The golden batch was acknowledged by a broker that is not what it was.
fn confirm() -> (Session<Memory>, LookUp) {
    let mut session = session(&Memory::new());
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(9)) else { panic!() };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 9).map(|(_, text)| hex(text)).unwrap();
    session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    let look = look(&mut session, 1);
    assert_eq!(look.kind(), LookUpKind::Confirm);
    (session, look)
}

fn look(session: &mut Session<Memory>, generation: u32) -> LookUp {
    look_for(session, &request(9), generation)
}

fn look_for(session: &mut Session<Memory>, frame: &[u8], generation: u32) -> LookUp {
    let admission = session.admit(frame, false, &asking(generation), &mut |_: Event<'_>| {});
    let Admission::Look(mut looks) = admission else { panic!("{admission:?}") };
    assert_eq!(looks.len(), 1);
    looks.pop().unwrap()
}

/// Has the broker asked all there is to ask: api key and version of each request, and what the look came to.
fn ask(session: &mut Session<Memory>, look: &mut LookUp, broker: Broker) -> (Vec<(u8, u8)>, LookUpOutcome) {
    let mut asked = Vec::new();
    while let Some(request) = look.request(5) {
        assert!(asked.len() < 100, "it goes on for ever");
        asked.push((request[5], request[7]));
        let answer = broker.answer(&request);
        match look.learner() {
            Some((learner, _)) => learner.feed(&answer, &mut |_| {}),
            None => look.feed(&answer),
        }
        assert!(!session.end_answer(look, Millis(1000)));
    }
    (asked, look.outcome().expect("it is over"))
}

#[test]
fn place_in_the_log_is_searched_by_the_batchs_time() {
    const OLDEST: [(u8, u8); 2] = [(LIST_OFFSETS, 2), (FETCH, 5)];
    // Nothing is as young as the batch: then from some time before that, for clocks that do not agree.
    const TWICE: [(u8, u8); 2] = [(LIST_OFFSETS, 2); 2];
    for (broker, asked, outcome) in [
        (HAS_IT, &OLDEST[..], LookUpOutcome::Found),
        (Broker { log: &[(OFFSET, 8)], ..HAS_IT }, &OLDEST, LookUpOutcome::NotFound),
        (Broker { listed: (0, 0, 0), ..HAS_IT }, &OLDEST, LookUpOutcome::Found),
        (Broker { listed: (0, -1, 0), ..HAS_IT }, &TWICE, LookUpOutcome::NotFound),
        (Broker { listed: (29, -1, 0), ..HAS_IT }, &OLDEST[..1], LookUpOutcome::NotAllowed),
        (Broker { listed: (6, -1, 0), ..HAS_IT }, &OLDEST[..1], LookUpOutcome::Failed),
        (Broker { fetch_error: 29, ..HAS_IT }, &OLDEST, LookUpOutcome::NotAllowed),
        (Broker { fetch_error: 6, ..HAS_IT }, &OLDEST, LookUpOutcome::Failed),
        (Broker { cut: 1, ..HAS_IT }, &OLDEST[..1], LookUpOutcome::Failed),
    ] {
        let (mut session, mut look) = warm_up();
        assert_eq!(ask(&mut session, &mut look, broker), (asked.to_vec(), outcome));
    }
}

/// By a clock that is behind the client's, its batch was stored before it was made.
#[test]
fn log_that_stamps_append_times_is_searched_ahead_of_the_batchs_own() {
    const ASKED: [(u8, u8); 4] = [(LIST_OFFSETS, 2), (FETCH, 5), (LIST_OFFSETS, 2), (FETCH, 5)];
    let log = &[(OFFSET, 7), (OFFSET + 2, 8)];
    let keeps = Broker { listed: (0, OFFSET + 2, 0), oldest: OFFSET, log, high_watermark: OFFSET + 4, ..HAS_IT };
    let (mut session, mut look) = warm_up();
    assert_eq!(ask(&mut session, &mut look, keeps), (ASKED[..2].to_vec(), LookUpOutcome::NotFound));
    let (mut session, mut look) = warm_up();
    let stamps = Broker { stamp: Some(900), ..keeps };
    assert_eq!(ask(&mut session, &mut look, stamps), (ASKED.to_vec(), LookUpOutcome::Found));
    session.looked(vec![look]);
    let Admission::Answer(local) = admit(&mut session, &request(9)) else { panic!("it was found") };
    let told = crate::wire::produce::ProduceResponse::parse(9, &local.frame()[4..]).unwrap().entries().next().unwrap();
    assert_eq!((told.base_offset, told.log_append_time), (OFFSET, 900));
}

#[test]
fn one_batch_from_ahead_of_its_time_tells_whether_it_is_to_be_read_on() {
    const ASKED: [(u8, u8); 4] = [(LIST_OFFSETS, 2), (LIST_OFFSETS, 2), (FETCH, 5), (FETCH, 5)];
    let log = &[(OFFSET, 8), (OFFSET + 2, 9)];
    let (listed, oldest, high_watermark) = ((0, -1, 0), OFFSET, OFFSET + 4);
    let keeps = Broker { listed, oldest, log, high_watermark, batches_at_once: 1, ..HAS_IT };
    for (broker, asked) in [(keeps, 3), (Broker { stamp: Some(900), ..keeps }, 4)] {
        let (mut session, mut look) = warm_up();
        assert_eq!(ask(&mut session, &mut look, broker), (ASKED[..asked].to_vec(), LookUpOutcome::NotFound));
    }
}

#[test]
fn log_that_was_seen_to_keep_times_is_searched_by_the_batchs_own_alone() {
    let (mut session, mut look) = warm_up();
    let (_, outcome) = ask(&mut session, &mut look, Broker { log: &[(OFFSET, 8)], ..HAS_IT });
    assert_eq!(outcome, LookUpOutcome::NotFound);
    let mut again = self::look(&mut session, 0);
    let (asked, outcome) = ask(&mut session, &mut again, Broker { listed: (0, -1, 0), ..HAS_IT });
    assert_eq!((asked, outcome), (vec![(LIST_OFFSETS, 2)], LookUpOutcome::NotFound));
}

#[test]
fn log_is_read_on_up_to_its_high_watermark() {
    let (mut session, mut look) = warm_up();
    let log = &[(OFFSET, 8), (OFFSET + 2, 9), (OFFSET + 4, 7)];
    let broker = Broker { log, batches_at_once: 1, high_watermark: OFFSET + 6, ..HAS_IT };
    let (asked, outcome) = ask(&mut session, &mut look, broker);
    assert_eq!((asked.len(), outcome), (4, LookUpOutcome::Found));
    let (mut session, mut look) = warm_up();
    let (asked, outcome) = ask(&mut session, &mut look, Broker { high_watermark: OFFSET + 4, ..broker });
    assert_eq!((asked.len(), outcome), (3, LookUpOutcome::NotFound), "what is not committed is not read");
}

/// KIP-110.
#[test]
fn log_with_zstd_in_it_is_asked_for_once_more_in_a_version_that_has_it() {
    let (mut session, mut look) = warm_up();
    let (asked, outcome) = ask(&mut session, &mut look, Broker { fetch_error: 76, ..HAS_IT });
    assert_eq!(asked, [(LIST_OFFSETS, 2), (FETCH, 5), (FETCH, 10)]);
    assert_eq!(outcome, LookUpOutcome::Failed);
}

#[test]
fn proof_is_confirmed_by_the_batch_at_its_place() {
    for (broker, outcome) in [
        (HAS_IT, LookUpOutcome::Found),
        (Broker { log: &[(OFFSET, 8), (OFFSET + 2, 7)], high_watermark: 200, ..HAS_IT }, LookUpOutcome::NotFound),
        (Broker { log: &[], ..HAS_IT }, LookUpOutcome::NotFound),
    ] {
        let (mut session, mut look) = confirm();
        let broker = Broker { batches_at_once: 1, ..broker };
        assert_eq!(ask(&mut session, &mut look, broker), (vec![(FETCH, 5)], outcome));
    }
}

#[test]
fn proof_is_confirmed_by_the_logs_end_where_it_may_not_be_read() {
    for (listed, outcome) in [
        ((0, -1, OFFSET + 1), LookUpOutcome::NotFound),
        ((0, -1, OFFSET + 2), LookUpOutcome::LogEnd),
        ((6, -1, OFFSET + 2), LookUpOutcome::Failed),
    ] {
        let (mut session, mut look) = confirm();
        let (asked, came_to) = ask(&mut session, &mut look, Broker { fetch_error: 29, listed, ..HAS_IT });
        assert_eq!(asked, [(FETCH, 5), (METADATA, 4), (LIST_OFFSETS, 2)]);
        assert_eq!(came_to, outcome);
        session.looked(vec![look]);
        let after = Present { may_look: false, ..asking(1) };
        let admission = session.admit(&request(9), false, &after, &mut |_: Event<'_>| {});
        let is_answered = matches!(admission, Admission::Answer(_));
        assert_eq!(is_answered, outcome == LookUpOutcome::LogEnd, "{admission:?}");
    }
}

/// Whatever else it may not read.
#[test]
fn proof_is_not_confirmed_by_the_logs_end_for_who_may_read_it() {
    let (mut session, mut look) = confirm();
    let unreadable = Broker { fetch_error: 29, ..HAS_IT };
    assert_eq!(ask(&mut session, &mut look, unreadable).1, LookUpOutcome::LogEnd);
    let mut other = Session::new(ConnectionId(2), session.ledger().clone());
    let frame = with_topics(&[b"u"]);
    let Admission::Forward(Some(pending)) = admit(&mut other, &frame) else { panic!() };
    other.settle(pending, &ledgers::acked(&[b"u"]), Millis(1000), &mut |_: Event<'_>| {});
    let mut look = look_for(&mut other, &frame, 1);
    assert_eq!(ask(&mut other, &mut look, Broker { topic: b'u', ..unreadable }).1, LookUpOutcome::LogEnd);
    let mut admit = |frame: &[u8]| other.admit(frame, false, &asking(1), &mut |_: Event<'_>| {});
    assert!(matches!(admit(&frame), Admission::Answer(_)));
    assert!(matches!(admit(&request(9)), Admission::Look(_)));
}

#[test]
fn answer_that_is_malformed_in_the_end_has_told_nothing() {
    let (mut session, mut look) = confirm();
    let broker = Broker { cut: 1, ..HAS_IT };
    assert_eq!(ask(&mut session, &mut look, broker), (vec![(FETCH, 5)], LookUpOutcome::Failed));
    session.looked(vec![look]);
    let after = Present { may_look: false, ..asking(1) };
    let admission = session.admit(&request(9), false, &after, &mut |_: Event<'_>| {});
    assert!(matches!(admission, Admission::Forward(_)), "{admission:?}");
}

/// Whoever looked there before has told.
#[test]
fn what_is_known_by_now_is_not_asked() {
    let (mut session, mut look) = confirm();
    let mut again = self::look(&mut session, 1);
    session.look_back(&mut again, Millis(1000));
    assert_eq!(again.outcome(), None);
    ask(&mut session, &mut look, HAS_IT);
    session.look_back(&mut again, Millis(1000));
    assert_eq!((again.outcome(), again.has_asked()), (Some(LookUpOutcome::Found), false));
    assert_eq!(again.request(6), None);
    assert!(session.looked(vec![again]), "nothing speaks against it");
    let after = Present { may_look: false, ..asking(1) };
    let admission = session.admit(&request(9), false, &after, &mut |_: Event<'_>| {});
    assert!(matches!(admission, Admission::Answer(_)), "{admission:?}");
}

/// What brokers answer of the golden topic by its id; they do not let its log be read.
pub(super) fn answer_by_id(request: &[u8]) -> Vec<u8> {
    let header = [&request[8..12], &[0; 5]].concat();
    match request[5] {
        METADATA => {
            let topic = [&[0, 0, 2, b't'][..], &GOLDEN_TOPIC_ID, &[0, 1], &[0; 4], &[0]].concat();
            [&header[..], &[1, 0], &[0; 4], &[2], &topic, &[0]].concat()
        }
        FETCH => [&header[..], &[0, 29, 0, 0, 0, 0, 1, 0]].concat(),
        _ => HAS_IT.answer(request),
    }
}

fn ask_by_id(session: &mut Session<Memory>, generation: u32) -> (LookUpKind, Vec<(u8, u8)>, LookUpOutcome) {
    let mut quiet = |_: Event<'_>| {};
    let admission = session.admit(&request(13), false, &asking(generation), &mut quiet);
    let Admission::Look(mut looks) = admission else { panic!("{admission:?}") };
    let (look, mut asked) = (&mut looks[0], Vec::new());
    while let Some(request) = look.request(5) {
        asked.push((request[5], request[7]));
        let answer = answer_by_id(&request);
        match look.learner() {
            Some((learner, version)) => learner.feed(&answer, &mut |fact| {
                session.learn(fact, version, &present(), &mut |_: Event<'_>| {});
            }),
            None => look.feed(&answer),
        }
        assert!(!session.end_answer(look, Millis(1000)));
    }
    (look.kind(), asked, look.outcome().expect("it is over"))
}

#[test]
fn name_of_a_topic_is_asked_for_where_only_a_name_will_do() {
    let mut session = session(&Memory::new());
    let asked = vec![(METADATA, 12), (LIST_OFFSETS, 2), (FETCH, 13)];
    assert_eq!(ask_by_id(&mut session, 0), (LookUpKind::WarmUp, asked, LookUpOutcome::NotAllowed));
    let mut session = self::session(&Memory::new());
    let Admission::Forward(Some(pending)) = admit(&mut session, &request(13)) else { panic!() };
    let golden = GOLDEN_RESPONSES.into_iter().find(|(v, _)| *v == 13).map(|(_, text)| hex(text)).unwrap();
    session.settle(pending, &golden, Millis(1000), &mut |_: Event<'_>| {});
    let asked = vec![(FETCH, 13), (METADATA, 12), (LIST_OFFSETS, 2)];
    assert_eq!(ask_by_id(&mut session, 1), (LookUpKind::Confirm, asked, LookUpOutcome::LogEnd));
}

#[test]
fn answer_about_the_topic_that_ends_too_early_is_none() {
    let (mut session, mut look) = confirm();
    let mut broker = Broker { fetch_error: 29, ..HAS_IT };
    for asked in [FETCH, METADATA] {
        let request = look.request(5).expect("there is more to ask");
        assert_eq!(request[5], asked);
        let answer = broker.answer(&request);
        match look.learner() {
            Some((learner, _)) => learner.feed(&answer, &mut |_| {}),
            None => look.feed(&answer),
        }
        assert!(!session.end_answer(&mut look, Millis(1000)));
        broker.cut = 1;
    }
    assert_eq!((look.request(5), look.outcome()), (None, Some(LookUpOutcome::Failed)));
}

/// T33: a broker tells where a log begins only those whom it serves.
#[test]
fn whoever_is_told_of_the_log_is_served() {
    for (error, is_served) in [(0, true), (6, false)] {
        let (mut session, mut look) = warm_up();
        assert!(!session.auth().is_served_without_sasl());
        ask(&mut session, &mut look, Broker { listed: (error, OFFSET, 0), ..HAS_IT });
        assert_eq!(session.auth().is_served_without_sasl(), is_served);
    }
}
