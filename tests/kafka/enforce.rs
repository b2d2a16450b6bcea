//! `--mode enforce`: every refusal of seqgate's own is one that the broker would have given.

use std::fs;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::raw::{self, CLIENT, Raw};
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::Stage;

const SEED: u64 = 20_261_126;
const PRODUCERS: usize = 16;
const CONNECTIONS: usize = 4;
/// With `SEQGATE_LONG`, and without.
const DECISIONS: [usize; 2] = [10_000, 1_500];
const OUT_OF_ORDER: i16 = 45;
const RECORDS_MAX: usize = 3;

/// What a producer has had acknowledged.
#[derive(Clone, Copy)]
struct Sent {
    id: i64,
    epoch: i16,
    next: i32,
}

#[test]
fn a_gap_is_refused_only_where_the_broker_would_refuse_it() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    run(&mut Stage::shared(parts));
}

#[test]
fn a_gap_is_refused_only_where_the_broker_would_refuse_it_on_kafka_3_9() {
    let Some(parts) = require::kafka(Version::V3_9_1) else { return };
    run(&mut Stage::shared(parts));
}

fn run(stage: &mut Stage) {
    let topic = "enforce";
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), "mode = \"enforce\"\n[sequencing]\nauthoritative = true\n").unwrap();
    let mut rig = stage.through_seqgate(&["-c", config.path().to_str().unwrap(), "--admin", "127.0.0.1:0"]);
    rig.create_topic(topic, 1);
    rig.wait_led(topic, 0);
    let seqgate = rig.seqgate.as_ref().unwrap();
    let back = rig.back.as_ref().unwrap();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Raw::connect(seqgate.address())).collect();
    let mut broker = Raw::connect(rig.stage.broker.direct());
    let mut random = StdRng::seed_from_u64(SEED);
    let mut producers: Vec<_> =
        (0..PRODUCERS).map(|n| Sent { id: 70_000 + i64::try_from(n).unwrap(), epoch: 0, next: 0 }).collect();
    for sent in &mut producers {
        // The longest batch that comes is one that the partition has taken.
        assert_eq!(clients[0].produce(topic, &raw::batch(sent.id, 0, 0, RECORDS_MAX)).0, 0);
        sent.next = i32::try_from(RECORDS_MAX).unwrap();
    }
    let decisions = DECISIONS[usize::from(std::env::var_os("SEQGATE_LONG").is_none())];
    let (mut gaps, mut refused, mut passed) = (0, 0, 0);
    for n in 0..decisions {
        let sent = &mut producers[random.random_range(0..PRODUCERS)];
        let client = &mut clients[random.random_range(0..CONNECTIONS)];
        let (epoch, base) = near(sent, &mut random);
        let count = random.random_range(1..=RECORDS_MAX);
        let batch = raw::batch(sent.id, epoch, base, count);
        gaps += usize::from(epoch == sent.epoch && base > sent.next);
        let forwarded = back.requests_of(CLIENT);
        let (error, _) = client.produce(topic, &batch);
        if error == OUT_OF_ORDER && back.requests_of(CLIENT) == forwarded {
            refused += 1;
            let direct = broker.produce(topic, &batch);
            assert_eq!(direct.0, OUT_OF_ORDER, "decision {n}: {epoch} {base} of {count}, next {}", sent.next);
            continue;
        }
        passed += 1;
        if error == 0 && (epoch > sent.epoch || base == sent.next) {
            (sent.epoch, sent.next) = (epoch, base + i32::try_from(count).unwrap());
        }
    }
    println!("{decisions} decisions: {gaps} gaps, {refused} refused by seqgate, {passed} answered by the broker");
    assert!(gaps > decisions / 3, "{gaps} gaps");
    // A retry of a batch that was refused looks like any other gap.
    assert!(refused > gaps / 2, "{refused} refused of {gaps} gaps");
    assert_eq!(seqgate.counter("seqgate_batches_total", "action=\"rejected\""), refused as u64);
    rig.stop_seqgate(&["gap"]);
}

/// An epoch and a first sequence: the next ones, or others near them.
fn near(sent: &Sent, random: &mut StdRng) -> (i16, i32) {
    match random.random_range(0..100) {
        0..25 => (sent.epoch, sent.next),
        25..60 => (sent.epoch, sent.next + random.random_range(1..=5)),
        60..75 => (sent.epoch, sent.next + random.random_range(1..1_000_000)),
        75..85 => (sent.epoch, (sent.next - random.random_range(1..=12)).max(0)),
        85..90 => (sent.epoch + 1, 0),
        90..95 => (sent.epoch + 1, random.random_range(1..=5)),
        _ => ((sent.epoch - 1).max(0), sent.next + random.random_range(0..=2)),
    }
}
