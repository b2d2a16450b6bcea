//! Batches that do not stand in the log as they were sent: the broker compresses them by itself, or stamps its own time.

use crate::expiry::{self, FORGETFUL};
use crate::losing::{self, BATCHES, records};
use crate::raw::{self, Raw};
use crate::restart;
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::require;
use crate::support::rig::{Crowd, Rig, Side, Stage};
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

const JAVA: Family = Family::Java(Version::V4_3_1);
const ZSTD: (&str, &str) = ("compression.type", "zstd");
const APPEND_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// A topic's name and settings, its producer, and how that compresses.
type Case = (&'static str, &'static [(&'static str, &'static str)], Family, Option<&'static str>);

/// franz-go compresses with snappy by itself.
const CASES: [Case; 6] = [
    ("zstd-of-none", &[ZSTD], JAVA, Some("none")),
    ("zstd-of-lz4", &[ZSTD], JAVA, Some("lz4")),
    ("zstd-of-zstd", &[ZSTD], JAVA, Some("zstd")),
    ("zstd-of-snappy", &[ZSTD], Family::FranzGo, None),
    ("append-time", &[APPEND_TIME], Family::Librdkafka, None),
    ("zstd-and-append-time", &[ZSTD, APPEND_TIME], Family::FranzGo, None),
];

/// A producer per case, each with its first record acknowledged.
fn begin(rig: &mut Rig<'_>, name: &str) -> Crowd {
    let cases = CASES.into_iter().filter(|(.., family, _)| require::family(*family).is_some());
    let launch = |(case, settings, family, codec): Case| {
        let topic = format!("{name}-{case}");
        let Stage { front, broker, tools, .. } = &mut *rig.stage;
        tools.create_topic_with(broker.direct(), &topic, 1, settings);
        let mut settings = vec![("client.id", case)];
        settings.extend(codec.map(|codec| ("compression.type", codec)));
        Producer::launch(family, front.address(), &topic, &settings)
    };
    let mut crowd = Crowd(cases.map(launch).collect());
    crowd.0.iter().for_each(Producer::wait_ready);
    crowd.send(1);
    crowd.wait_settled();
    crowd
}

fn end(rig: &mut Rig<'_>, mut crowd: Crowd, how: &str) -> Vec<(String, Family, Outcome)> {
    crowd.close();
    let judged = crowd.0.iter().map(|producer| {
        let outcome = rig.judge(producer);
        println!("{} {how}: {}", producer.client(), outcome.summary());
        (producer.client().to_owned(), producer.family(), outcome)
    });
    judged.collect()
}

#[test]
fn batches_that_are_stored_otherwise_than_sent_are_found() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.direct();
    let mut crowd = begin(&mut rig, "stored-direct");
    losing::round(&mut rig, &mut crowd, Side::Front, |rig, crowd| rig.restart_losing_answers(crowd));
    for (_, family, outcome) in end(&mut rig, crowd, "direct") {
        restart::assert_harm(family, &outcome);
    }

    let mut rig = stage.through_seqgate(&[]);
    let mut crowd = begin(&mut rig, "stored");
    // Seen by nobody, and seen by one that is no more.
    losing::round(&mut rig, &mut crowd, Side::Back, |rig, crowd| rig.restart_losing_answers(crowd));
    losing::round(&mut rig, &mut crowd, Side::Front, |rig, crowd| {
        rig.stage.front.refuse();
        let mut seqgate = rig.another_seqgate();
        rig.change_seqgate(&mut seqgate);
        seqgate.process().kill();
        rig.restart_losing_answers(crowd);
    });
    crowd.send(1);
    crowd.wait_settled();
    for (case, _, outcome) in end(&mut rig, crowd, "through seqgate") {
        outcome.assert_exactly_once(&case, records(2) + 1);
    }
    rig.stop_seqgate(&WARNINGS_OF_RESTARTS);
}

/// A broker that has forgotten who sent them takes any of them as new.
#[test]
fn batches_that_are_stored_otherwise_than_sent_are_found_where_their_producer_has_expired() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::start(parts, &FORGETFUL);
    let mut rig = stage.direct();
    let mut crowd = begin(&mut rig, "expired-direct");
    losing::round(&mut rig, &mut crowd, Side::Front, |rig, crowd| {
        expiry::lose_when_forgotten(rig, crowd, Side::Front);
    });
    for (case, family, outcome) in end(&mut rig, crowd, "direct") {
        let told_well = outcome.failed.is_empty() && outcome.lost.is_empty();
        let doubled = outcome.doubled.len();
        let harmed = if family == JAVA { doubled == BATCHES } else { doubled > 0 };
        assert!(told_well && harmed, "{case}: {}", outcome.summary());
    }

    let mut rig = stage.through_seqgate(&[]);
    let mut crowd = begin(&mut rig, "expired");
    losing::round(&mut rig, &mut crowd, Side::Back, |rig, crowd| {
        expiry::lose_when_forgotten(rig, crowd, Side::Back);
    });
    let mut other = rig.another_seqgate();
    losing::round(&mut rig, &mut crowd, Side::Front, |rig, crowd| {
        rig.change_seqgate(&mut other);
        expiry::lose_when_forgotten(rig, crowd, Side::Front);
    });
    crowd.send(1);
    crowd.wait_settled();
    for (case, _, outcome) in end(&mut rig, crowd, "through seqgate") {
        outcome.assert_exactly_once(&case, records(2) + 1);
    }
    rig.stop_seqgate(&[]);
}

/// By the broker's clock, which the topic stamps, such a batch was stored before it was made.
#[test]
fn batch_of_a_producer_whose_clock_is_ahead_is_found() {
    const AHEAD_MS: i64 = 5_000;
    const OUT_OF_ORDER: i16 = 45;
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let topic = "stored-ahead";
    let mut rig = stage.through_seqgate(&["--admin", "127.0.0.1:0"]);
    rig.stage.tools.create_topic_with(rig.stage.broker.direct(), topic, 1, &[APPEND_TIME]);
    rig.wait_led(topic, 0);
    let seqgate = rig.seqgate.as_ref().unwrap();
    let mut client = Raw::connect(seqgate.address());
    assert_eq!(client.produce(topic, &raw::batch(71_000, 0, 0, 1)).0, 0);
    let mut direct = Raw::connect(rig.stage.broker.direct());
    // The broker remembers the last five of them.
    let batches: Vec<_> = (0..7).map(|base| raw::batch_ahead(71_001, 0, base, 1, AHEAD_MS)).collect();
    let told: Vec<_> = batches.iter().map(|batch| direct.produce(topic, batch)).collect();
    assert!(told.iter().all(|(error, _)| *error == 0), "{told:?}");
    assert_eq!(direct.produce(topic, &batches[1]).0, OUT_OF_ORDER);
    assert_eq!(client.produce(topic, &batches[1]), told[1]);
    assert_eq!(seqgate.counter("seqgate_own_requests_total", "kind=\"warm_up\",outcome=\"found\""), 1);
    rig.stop_seqgate(&[]);
}
