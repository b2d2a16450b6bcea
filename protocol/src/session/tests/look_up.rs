//! What is found in the log, and what becomes of it.

use super::*;
use crate::wire::samples::GOLDEN_BATCH;

/// Where the golden batch stands.
const OFFSET: i64 = 100;

fn may_look() -> Present {
    let policy = Policy { look_up: true, ..present().policy };
    Present { policy, may_look: true, ..present() }
}

/// An answer to a look's request, without its length: what follows the correlation id and the throttle time.
fn answer(request: &[u8], body: &[Vec<u8>]) -> Vec<u8> {
    [&request[8..12], &[0; 4], &body.concat()].concat()
}

/// Answers a look by name as a broker does whose log has the golden batch and nothing else.
fn show(session: &mut Session<Memory>, look: &mut LookUp) {
    let topic = [&[0, 0, 0, 1, 0, 1, b't'][..], &[0, 0, 0, 1], &[0; 4], &[0; 2]].concat();
    let end = (OFFSET + 2).to_be_bytes();
    let mut batch = hex(GOLDEN_BATCH);
    batch[..8].copy_from_slice(&OFFSET.to_be_bytes());
    let length = u32::try_from(batch.len()).unwrap().to_be_bytes();
    while let Some(request) = look.request(1) {
        let answer = if request[5] == 2 {
            answer(&request, &[topic.clone(), 1000_i64.to_be_bytes().into(), OFFSET.to_be_bytes().into()])
        } else {
            let marks = [end, end, 0_i64.to_be_bytes()].concat();
            answer(&request, &[topic.clone(), marks, vec![0xff; 4], length.into(), batch.clone()])
        };
        look.feed(&answer);
        session.end_answer(look, present().now);
    }
}

/// The golden v9 request, of another producer.
fn of_another_producer() -> Vec<u8> {
    let mut frame = request(9);
    let at = frame.windows(8).position(|bytes| bytes == 7_i64.to_be_bytes()).expect("it is producer 7's");
    frame[at + 7] = 8;
    frame
}

/// T27: that the broker may not know the producer any more is noted with the producer.
#[test]
fn batch_found_of_a_producer_that_was_forgotten_meanwhile_is_forwarded() {
    for is_forgotten in [false, true] {
        let ledger = Memory::new();
        let mut session = session(&ledger);
        let mut quiet = |_: Event<'_>| {};
        let Admission::Look(mut looks) = session.admit(&request(9), false, &may_look(), &mut quiet) else { panic!() };
        looks.iter_mut().for_each(|look| show(&mut session, look));
        assert_eq!(looks[0].outcome(), Some(LookUpOutcome::Found));
        // The partition stays.
        let Admission::Forward(Some(other)) = admit(&mut session, &of_another_producer()) else { panic!() };
        if is_forgotten {
            ledger.each_tracker(|tracker| tracker.sweep(10, Millis(1_000_000_000)));
        }
        session.looked(looks);
        let admission = admit(&mut session, &request(9));
        assert_eq!(matches!(admission, Admission::Answer(_)), !is_forgotten, "{admission:?}");
        if let Admission::Forward(Some(pending)) = admission {
            session.abandon(pending, Millis(1000));
        }
        session.abandon(other, Millis(1000));
    }
}
