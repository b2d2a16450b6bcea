//! Trackers with a million pairs.

use std::sync::Arc;
use std::time::Instant;

use seqgate_protocol::sequencing::{
    Allowance, Answer, Batch, BatchId, Directory, ErrorCode, Fingerprint, Millis, Outcome, ProducerEpoch, ProducerId,
    SequenceRange, TopicId, TopicRef, Tracker, TrackerLimits,
};

use crate::process::resident;
use crate::support::frames::TOPIC;
use crate::support::single::NOW;
use crate::support::track::SENDER;
use crate::times::{Times, print_noise};
use crate::{PAIR_BYTES_MAX, above};

const PARTITIONS: u32 = 1_000;
const BATCHES: i32 = 5;
const PRODUCERS_OF_A_TOPIC: u32 = 10;

/// Operations of each kind that is tried once there are a million pairs.
const TRIED: u32 = 2_000;

/// As the proxy's timer does.
const SWEEP_STEPS: u32 = 200;

/// Later than any time to live and any idle pair.
const LATER: Millis = Millis(NOW.0 + 1_000_000_000);

/// Trackers as a cluster has them.
struct Trackers {
    shards: Vec<Tracker>,
    observing: Times,
    settling: Times,
    offset: i64,
}

impl Trackers {
    fn new(shards: usize, pairs: u32) -> Self {
        Self::sharing(shards, pairs, &Arc::default())
    }

    fn sharing(shards: usize, pairs: u32, allowance: &Arc<Allowance>) -> Self {
        let limits = TrackerLimits { producers_max: pairs, ..TrackerLimits::default() };
        let producers = Arc::default();
        let operations = pairs as usize * BATCHES as usize + TRIED as usize;
        let [observing, settling] = ["observe", "settle"].map(|what| Times::new(what, operations));
        let tracker = |_| Tracker::sharing(limits, Arc::clone(&producers), allowance);
        Self { shards: (0..shards).map(tracker).collect(), observing, settling, offset: 0 }
    }

    /// Has a batch acknowledged.
    fn give(&mut self, topic: &[u8], partition: u32, producer: u32, sequence: i32, now: Millis) {
        let shards = self.shards.len();
        let tracker = &mut self.shards[partition as usize % shards];
        let batch = batch(producer.into(), sequence);
        let topic = TopicRef::Name(topic);
        let ticket = self.observing.take(|| observe(tracker, topic, partition.cast_signed(), &batch, now));
        let answer =
            Answer { error: ErrorCode::NONE, base_offset: self.offset, log_append_time: -1, log_start_offset: Some(0) };
        self.offset += 1;
        self.settling.take(|| tracker.settle(ticket, Outcome::Answered(answer), now));
    }

    fn bytes(&self) -> usize {
        self.shards.iter().map(Tracker::bytes).sum()
    }

    fn producers(&self) -> u32 {
        self.shards.iter().map(Tracker::producers).sum()
    }

    /// Times an operation on each tracker.
    fn each(&mut self, what: &'static str, times: u32, mut act: impl FnMut(&mut Tracker, u32)) -> Option<String> {
        let mut timed = Times::new(what, times as usize * self.shards.len());
        for n in 0..times {
            for tracker in &mut self.shards {
                timed.take(|| act(tracker, n));
            }
        }
        timed.judge()
    }
}

/// Every pair of one topic's partitions and so many producers; returns the bounds that are broken.
pub(crate) fn one_topic(shards: usize, producers: u32) -> Vec<String> {
    let since = Instant::now();
    let pairs = producers * PARTITIONS;
    let mut trackers = Trackers::new(shards, pairs);
    let before = resident("self");
    for sequence in 0..BATCHES {
        for pair in 0..pairs {
            trackers.give(TOPIC, pair % PARTITIONS, pair / PARTITIONS, sequence, NOW);
        }
    }
    let grown = resident("self").saturating_sub(before);
    let per_pair = |bytes: f64| bytes / f64::from(pairs);
    let (resident, counted) = (per_pair(grown as f64), per_pair(trackers.bytes() as f64));
    println!("{pairs} pairs with {BATCHES} batches each, {shards} trackers");
    println!("  bytes per pair: {resident:.1} resident, {counted:.1} counted");
    let mut broken = Vec::new();
    broken.extend(above("resident bytes per pair", resident, PAIR_BYTES_MAX));
    broken.extend(above("counted bytes per pair", counted, PAIR_BYTES_MAX));
    // As many as there may be: each new one takes the place of another.
    for n in 0..TRIED {
        trackers.give(TOPIC, n % PARTITIONS, producers + n, 0, LATER);
    }
    assert!(trackers.producers() <= pairs);
    broken.extend(operate(&mut trackers));
    broken.extend(trackers.observing.judge());
    broken.extend(trackers.settling.judge());
    print_noise(since.elapsed());
    broken
}

/// What timers, answers and the admin port do with trackers.
fn operate(trackers: &mut Trackers) -> Vec<String> {
    let found = [
        trackers.each("report", TRIED, |tracker, n| {
            tracker.report(n * 500, 1_000, LATER, |report| std::hint::black_box(report).proofs < usize::MAX);
        }),
        trackers.each("hand_out", 20_000, |tracker, n| {
            tracker.hand_out(ProducerId::new(i64::from(n)), ProducerEpoch::new(0));
        }),
        trackers.each("end_cluster", 1, |tracker, _| tracker.end_cluster()),
        trackers.each("sweep", TRIED, |tracker, _| tracker.sweep(SWEEP_STEPS, LATER)),
    ];
    found.into_iter().flatten().collect()
}

/// So many topics of one partition, with ten producers each; returns the bounds that are broken.
pub(crate) fn many_topics(topics: u32) -> Vec<String> {
    let since = Instant::now();
    let pairs = topics * PRODUCERS_OF_A_TOPIC;
    println!("{pairs} pairs on {topics} topics, 1 tracker");
    let mut trackers = Trackers::new(1, pairs);
    for producer in 0..PRODUCERS_OF_A_TOPIC {
        for n in 0..topics {
            trackers.give(name(n).as_bytes(), 0, producer, 0, NOW);
        }
    }
    let mut directory = Directory::default();
    let mut learning = Times::new("learn", topics as usize);
    for n in 0..topics {
        learning.take(|| directory.learn(name(n).as_bytes(), id(n)));
    }
    let mut broken: Vec<String> = learning.judge().into_iter().collect();
    broken.extend(trackers.each("link", topics, |tracker, n| tracker.link(name(n).as_bytes(), id(n))));
    broken.extend(trackers.each("end_topic", topics / 2, |tracker, n| tracker.end_topic(TopicRef::Id(id(n)))));
    broken.extend(trackers.each("sweep", topics / 50, |tracker, _| tracker.sweep(SWEEP_STEPS, NOW)));
    broken.extend(trackers.observing.judge());
    broken.extend(trackers.settling.judge());
    print_noise(since.elapsed());
    broken
}

/// A tracker whose memory is full of the producers of one topic; then come others' topics, of one partition each. All of them
/// are tracked. Returns the bounds that are broken.
pub(crate) fn crowded(pairs: u32) -> Vec<String> {
    let since = Instant::now();
    let allowance = Arc::new(Allowance::new(pairs as usize * PAIR_BYTES_MAX as usize));
    let mut trackers = Trackers::sharing(1, 2 * pairs, &allowance);
    let evicted = |trackers: &Trackers| trackers.shards[0].evictions().limit;
    let mut producer = 0;
    while evicted(&trackers) == 0 {
        trackers.give(TOPIC, 0, producer, 0, NOW);
        producer += 1;
    }
    let topics = pairs / 4;
    for n in 0..topics {
        trackers.give(name(n).as_bytes(), 0, n, 0, LATER);
    }
    println!("{topics} topics that come to {pairs} pairs which fill the memory, 1 tracker");
    println!("  pairs forgotten per topic: {:.1}", evicted(&trackers) as f64 / f64::from(topics));
    let mut broken: Vec<String> =
        [trackers.observing.judge(), trackers.settling.judge()].into_iter().flatten().collect();
    broken.extend(above("bytes", allowance.taken() as f64, (pairs as usize * PAIR_BYTES_MAX as usize) as f64));
    print_noise(since.elapsed());
    broken
}

fn name(n: u32) -> String {
    format!("a-topic-of-some-team-{n}")
}

fn id(n: u32) -> TopicId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    TopicId(id)
}

fn batch(producer: i64, sequence: i32) -> Batch {
    let range = SequenceRange::from_wire(sequence, 0).expect("not negative");
    Batch {
        id: BatchId { producer_id: ProducerId::new(producer), epoch: ProducerEpoch::new(0), range },
        fingerprint: Fingerprint { crc: sequence.cast_unsigned(), length: 16_384, codec: 0, stored: false },
        transactional: false,
    }
}

fn observe(
    tracker: &mut Tracker,
    topic: TopicRef<'_>,
    partition: i32,
    batch: &Batch,
    now: Millis,
) -> seqgate_protocol::sequencing::Ticket {
    let observation = tracker.observe(topic, partition, batch, &SENDER, false, now).or_else(|_| {
        tracker.introduce(topic, None, None, now);
        tracker.observe(topic, partition, batch, &SENDER, false, now)
    });
    observation.expect("introduced").ticket.expect("a batch in order is sent")
}
