//! Every client family at once while acknowledgements are lost, connections cut, half closed and stalled, and the broker
//! restarted: each family ends exactly once, and seqgate's picture of it is what stands in the broker's log.

use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::relay::{Ending, Point, Recording, Strike};
use crate::support::require;
use crate::support::rig::{Crowd, Rig, Side, Stage};
use crate::support::seqgate::Tracked;

/// Behind it and before it are answers that have gone on and answers that are lost.
const STRUCK_ANSWER: usize = 3;
const PARTITIONS: usize = 2;
const PRODUCE: i16 = 0;
const API_VERSIONS: i16 = 18;
/// Records that a round adds behind those in flight, which wait in the client.
const WAITING: usize = 2;
/// For a stall alone: in a round of cuts, no client may give up what it waits for.
const SHORT_TIMEOUT: (&str, &str) = ("request.timeout.ms", "3000");

#[test]
fn every_family_through_cuts_and_a_restart() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&["--admin", "127.0.0.1:0"]);
    let mut crowd = rig.crowd(&families, "families", PARTITIONS, &[]);
    crowd.send(1);
    crowd.wait_settled();
    for side in rig.sides() {
        for point in Point::CUTS {
            cut(&rig, &mut crowd, *side, point);
        }
        cut(&rig, &mut crowd, *side, Point::AfterRequest);
    }
    restart(&mut rig, &mut crowd);
    send_in_calm(&mut crowd);
    crowd.close();
    for (producer, (family, outcome)) in crowd.0.iter().zip(rig.judge_all(&crowd)) {
        outcome.assert_exactly_once(family.name(), producer.sent());
        assert_batches_came_again(&rig, producer.client());
    }
    assert!(rig.seqgate.as_ref().unwrap().counter("seqgate_batches_total", "action=\"answered\"") > 0);
    assert_same_picture(&rig, &crowd);
    if families.len() == Family::ALL.len() {
        assert_versions(&rig.stage.front.recording());
    }
    rig.stop_seqgate(&["broker unreachable"]);
}

#[test]
fn every_family_through_stalls() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&[]);
    let mut crowd = rig.crowd(&families, "stalls", PARTITIONS, &[SHORT_TIMEOUT]);
    crowd.send(1);
    crowd.wait_settled();
    for side in rig.sides() {
        stall(&rig, &mut crowd, *side);
    }
    crowd.close();
    for (producer, (family, outcome)) in crowd.0.iter().zip(rig.judge_all(&crowd)) {
        outcome.assert_exactly_once(family.name(), producer.sent());
    }
    rig.stop_seqgate(&[]);
}

/// As many batches of each family as it has in flight; a connection of each family is cut once.
fn cut(rig: &Rig<'_>, crowd: &mut Crowd, side: Side, point: Point) {
    let relay = rig.relay(side);
    let struck = relay.struck().len();
    relay.hold_answers();
    for (index, producer) in crowd.0.iter_mut().enumerate() {
        let client = producer.client().to_owned();
        let in_flight = producer.family().in_flight();
        // Each family sees either ending on either side.
        let resets = (index % 2 == 0) == (side == Side::Front);
        let ending = if resets { Ending::Reset } else { Ending::Close };
        match point {
            Point::InRequest | Point::AfterRequest => {
                rig.send_apart(producer, in_flight - 1);
                relay.wait_held_of(&client, in_flight - 1);
                relay.strike_client(&client, Strike { nth: 1, point, ending });
                rig.send_apart(producer, 1);
            }
            Point::BeforeAnswer | Point::InAnswer | Point::AfterAnswer => {
                rig.send_apart(producer, in_flight);
                relay.wait_held_of(&client, in_flight);
                relay.strike_client(&client, Strike { nth: STRUCK_ANSWER.min(in_flight), point, ending });
            }
        }
        producer.send(WAITING, None);
    }
    relay.release_answers();
    relay.wait_struck(struck + crowd.0.len());
    relay.resume();
    crowd.wait_settled();
    send_in_calm(crowd);
}

/// A batch for every partition, acknowledged: what was unknown of the last ones is known then, and where a retry was
/// answered that the broker may not remember, several can be in flight again.
fn send_in_calm(crowd: &mut Crowd) {
    for producer in &mut crowd.0 {
        (0..i32::try_from(PARTITIONS).unwrap()).for_each(|partition| producer.send(1, Some(partition)));
    }
    crowd.wait_settled();
}

/// Answers stay away until each client has given the connection up and come again.
fn stall(rig: &Rig<'_>, crowd: &mut Crowd, side: Side) {
    let front = &rig.stage.front;
    let sent: Vec<_> = crowd.0.iter().map(|producer| front.requests_of(producer.client())).collect();
    rig.relay(side).hold_answers();
    crowd.send(PARTITIONS);
    for (producer, sent) in crowd.0.iter().zip(sent) {
        front.wait_requests_of(producer.client(), sent + PARTITIONS + 1);
    }
    rig.relay(side).resume();
    crowd.wait_settled();
}

/// Nothing is unanswered when the broker stops; each family has something to send while it is down.
fn restart(rig: &mut Rig<'_>, crowd: &mut Crowd) {
    let attempts = rig.stage.front.attempts();
    rig.stage.broker.stop_clean();
    crowd.begin_send(WAITING);
    rig.stage.front.wait_attempts(attempts + crowd.0.len());
    rig.stage.broker.start_again();
    crowd.wait_settled();
}

/// Otherwise nothing was lost on its way.
fn assert_batches_came_again(rig: &Rig<'_>, client: &str) {
    let mut batches: Vec<_> = rig.stage.front.recording().batches_of(client);
    let all = batches.len();
    batches.sort_unstable_by_key(|batch| (batch.topic.clone(), batch.partition, batch.base_sequence));
    batches.dedup_by_key(|batch| (batch.topic.clone(), batch.partition, batch.base_sequence));
    assert!(batches.len() < all, "{client}: no batch came again");
}

/// Between them, the families speak these on one port. Versions 1 and 2 of ApiVersions are spoken by none of them.
fn assert_versions(recording: &Recording) {
    let apis = recording.apis();
    for (api, versions) in [(PRODUCE, &[7, 9, 10, 11, 13][..]), (API_VERSIONS, &[0, 3, 4, 5])] {
        let missing: Vec<_> = versions.iter().filter(|version| !apis.contains(&(api, **version))).collect();
        assert!(missing.is_empty(), "nobody has spoken {missing:?} of {api}: {apis:?}");
    }
}

/// What seqgate expects next of each producer follows what stands last in the log.
fn assert_same_picture(rig: &Rig<'_>, crowd: &Crowd) {
    let seqgate = rig.seqgate.as_ref().expect("the rig has a seqgate");
    let of_topic = |topic| (0..i32::try_from(PARTITIONS).unwrap()).map(move |partition| (topic, partition));
    let partitions: Vec<_> = crowd.0.iter().flat_map(|producer| of_topic(producer.topic())).collect();
    let dumps = rig.stage.broker.dump_logs(&partitions);
    let mut compared = 0;
    for ((topic, partition), dump) in partitions.into_iter().zip(dumps) {
        let mut tracked = seqgate.producers(topic, partition);
        tracked.sort();
        assert_eq!(tracked, last_in(&dump), "{topic}-{partition}\n{dump}");
        compared += tracked.len();
    }
    // Not every family uses every partition for a few records.
    assert!(compared >= crowd.0.len(), "{compared} producers");
}

/// The last batch of each producer in what `DumpLogSegments` has printed.
fn last_in(dump: &str) -> Vec<Tracked> {
    let mut last: Vec<Tracked> = Vec::new();
    for line in dump.lines().filter(|line| line.starts_with("baseOffset: ")) {
        let words: Vec<_> = line.split(' ').collect();
        let field = |name: &str| {
            let at = words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("no {name} in {line}"));
            words[at + 1].parse::<i64>().unwrap()
        };
        let batch = Tracked {
            producer_id: field("producerId:"),
            producer_epoch: field("producerEpoch:").try_into().unwrap(),
            expected_sequence: i32::try_from(field("lastSequence:")).unwrap() + 1,
            base_offset: field("baseOffset:"),
        };
        last.retain(|earlier| earlier.producer_id != batch.producer_id);
        last.push(batch);
    }
    last.sort();
    last
}
