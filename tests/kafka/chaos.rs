//! Records while acknowledgements are lost and connections cut, at every point of an exchange, on every side.

use std::collections::BTreeMap;

use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::relay::{Ending, Point, Recording, Strike};
use crate::support::rig::{Rig, Side, Stage};
use crate::support::tools::Decoder;
use crate::support::{judge::Outcome, require};

/// As many as the rounds through seqgate send.
const RECORDS: usize = ROUNDS * (ROUND + PARTITIONS);
/// On both sides, at five points, in two ways.
const ROUNDS: usize = 20;
const PARTITIONS: usize = 3;
/// As many batches as the Java producer has in flight by default.
const ROUND: usize = 5;
/// Behind it and before it are answers that have gone on and answers that are lost.
const STRUCK_ANSWER: usize = 3;

/// Sends rounds of five batches, each cut once at another place, until all records are sent, and judges them.
fn every_cut(rig: &mut Rig<'_>, topic: &str) -> Outcome {
    rig.create_topic(topic, PARTITIONS);
    let mut producer = rig.producer(topic, &[]);
    for (side, point, ending) in cuts(rig) {
        let before = rig.back.as_ref().map(|back| copies(&back.recording()));
        cut_round(rig, &mut producer, side, point, ending);
        // All answers were on this side of seqgate, which has nothing to ask the broker again.
        if let (Side::Front, Some(before), Some(back)) = (side, before, &rig.back) {
            let after = copies(&back.recording());
            let twice: Vec<_> =
                after.iter().filter(|(batch, count)| **count > 1 && before.get(batch) != Some(count)).collect();
            assert!(twice.is_empty(), "{point:?} {ending:?}: reached the broker again: {twice:?}");
        }
    }
    let left = RECORDS - producer.sent();
    rig.send_apart(&mut producer, left);
    producer.wait_settled();
    producer.close();
    for ack in producer.acked() {
        println!("{} at {}-{} offset {}", ack.id, topic, ack.partition, ack.offset);
    }
    rig.judge(&producer)
}

fn cuts(rig: &Rig<'_>) -> Vec<(Side, Point, Ending)> {
    let mut cuts = Vec::new();
    for side in rig.sides() {
        for point in Point::CUTS {
            cuts.extend([(*side, point, Ending::Reset), (*side, point, Ending::Close)]);
        }
    }
    cuts
}

fn cut_round(rig: &Rig<'_>, producer: &mut Producer, side: Side, point: Point, ending: Ending) {
    let relay = rig.relay(side);
    let struck = relay.struck().len();
    // What has come again in the round before may go to the broker one batch at a time, until one more is acknowledged.
    for partition in 0..PARTITIONS {
        producer.send(1, i32::try_from(partition).ok());
    }
    producer.wait_settled();
    relay.hold_answers();
    rig.send_apart(producer, ROUND - 1);
    relay.wait_held(ROUND - 1);
    match point {
        Point::InRequest | Point::AfterRequest => {
            relay.strike(Strike { nth: 1, point, ending });
            rig.send_apart(producer, 1);
        }
        Point::BeforeAnswer | Point::InAnswer | Point::AfterAnswer => {
            rig.send_apart(producer, 1);
            relay.wait_held(ROUND);
            relay.strike(Strike { nth: STRUCK_ANSWER, point, ending });
            relay.release_answers();
        }
    }
    relay.wait_struck(struck + 1);
    relay.resume();
    producer.wait_settled();
}

/// How often each batch was passed on in whole.
fn copies(recording: &Recording) -> BTreeMap<(i64, i16, String, i32, i32), usize> {
    let mut copies = BTreeMap::new();
    for batch in recording.batches().into_iter().filter(|batch| batch.gone_on) {
        let key = (batch.producer_id, batch.producer_epoch, batch.topic, batch.partition, batch.base_sequence);
        *copies.entry(key).or_default() += 1;
    }
    copies
}

#[test]
fn every_cut_direct() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.direct();
    every_cut(&mut rig, "events-direct").assert_exactly_once("producer", RECORDS);
    let recording = rig.stage.front.recording();
    let again = copies(&recording).values().filter(|count| **count > 1).count();
    assert!(again > 0, "no acknowledgement was lost");
    assert!(recording.answers().iter().any(|answer| answer.error_code == 0 && !answer.gone_on));
    java_reads(&mut Decoder::start(parts), &recording);
}

#[test]
fn every_cut_through_seqgate() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    through_seqgate(&mut Stage::shared(parts), &mut Decoder::start(parts));
}

#[test]
fn every_cut_through_seqgate_on_kafka_3_9() {
    let Some(parts) = require::kafka(Version::V3_9_1) else { return };
    let Some(newer) = require::kafka(Version::V4_3_1) else { return };
    through_seqgate(&mut Stage::shared(parts), &mut Decoder::start(newer));
}

fn through_seqgate(stage: &mut Stage, decoder: &mut Decoder) {
    let mut rig = stage.through_seqgate(&["--admin", "127.0.0.1:0"]);
    every_cut(&mut rig, "events").assert_exactly_once("producer", RECORDS);
    assert_counters_agree(&rig);
    for side in rig.sides() {
        java_reads(decoder, &rig.relay(*side).recording());
    }
    rig.stop_seqgate(&[]);
}

/// What seqgate has counted is what the relays have seen on either side of it.
fn assert_counters_agree(rig: &Rig<'_>) {
    let seqgate = rig.seqgate.as_ref().expect("the rig has a seqgate");
    let counted = |action: &str| seqgate.counter("seqgate_batches_total", &format!("action=\"{action}\""));
    let came = rig.relay(Side::Front).recording().batches().into_iter().filter(|batch| batch.gone_on).count();
    let left = rig.relay(Side::Back).recording().batches().len();
    assert!(came > left, "{came} batches came, {left} left");
    assert_eq!(counted("forwarded"), left as u64);
    assert_eq!(counted("answered") + counted("stripped"), (came - left) as u64);
    assert_eq!(counted("rejected"), 0);
}

/// Every frame that a client or the broker received from seqgate is what Kafka itself would have written.
fn java_reads(decoder: &mut Decoder, recording: &Recording) {
    let answers = recording.produce_answers().into_iter().map(|(version, frame)| decoder.response(version, &frame));
    let answers: Vec<_> = answers.collect();
    let requests = recording.produce_requests().into_iter().map(|frame| decoder.request(&frame));
    let requests: Vec<_> = requests.collect();
    // Those that are sent in calm may share a request.
    let apart = ROUNDS * ROUND;
    assert!(answers.len() >= apart && requests.len() >= apart);
    for read in answers.iter().chain(&requests) {
        assert!(read.as_ref().is_ok_and(|fields| fields.contains("left=0 same=true")), "{read:?}");
    }
}
