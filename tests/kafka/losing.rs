//! Rounds in which the answers to several batches are kept from their producers, and lost once a broker, or a seqgate, has
//! forgotten what they said.

use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::rig::{Crowd, Rig, Side};

/// As many as any of the producers has in flight.
pub(crate) const BATCHES: usize = 5;

/// How many records each producer sends: one before the first round, which asks for the producer id.
pub(crate) fn records(rounds: usize) -> usize {
    1 + rounds * BATCHES
}

/// A producer of each family, each with a topic of its own and its first record acknowledged.
pub(crate) fn begin(rig: &mut Rig<'_>, families: &[Family], topic: &str) -> Crowd {
    let mut crowd = rig.crowd(families, topic, 1, &[]);
    crowd.send(1);
    crowd.wait_settled();
    crowd
}

/// Batches of one partition are appended, and their answers held on that side for `lose` to lose.
pub(crate) fn round(rig: &mut Rig<'_>, crowd: &mut Crowd, side: Side, lose: impl FnOnce(&mut Rig<'_>, &Crowd)) {
    rig.relay(side).hold_answers();
    for producer in &mut crowd.0 {
        if !producer.failed().is_empty() {
            // It has given up, and no request of it would come.
            producer.send(BATCHES, None);
            continue;
        }
        let in_flight = producer.family().in_flight();
        rig.send_apart(producer, in_flight);
        rig.relay(side).wait_held_of(producer.client(), in_flight);
        producer.send(BATCHES - in_flight, None);
    }
    lose(rig, crowd);
    crowd.wait_settled();
}

/// Closes all producers and judges what they did.
pub(crate) fn end(rig: &mut Rig<'_>, mut crowd: Crowd) -> Vec<(Family, Outcome)> {
    crowd.close();
    rig.judge_all(&crowd)
}
