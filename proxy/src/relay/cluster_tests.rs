//! Many connections at once on the trackers of one cluster: whatever the interleaving, what is answered here is true and
//! every ticket is settled.

use std::sync::Barrier;
use std::thread;

use bytes::Bytes;
use seqgate_protocol::sequencing::{BrokerGeneration, ConnectionId, ProducerEpoch, ProducerId, Sequence};
use seqgate_protocol::session::{Admission, Mixed, Mode, Pending, Policy, Present, Session, Settled};

use super::*;
use crate::sandbox::batch::{self, BatchContent};

const CONNECTIONS: u32 = 8;
const BATCHES: i32 = 400;
const PARTITIONS: i32 = 3;
const NOW: Millis = Millis(1_000);

const PRESENT: Present = Present {
    now: NOW,
    broker: BrokerGeneration { broker: 0, generation: 0 },
    policy: Policy {
        mode: Mode::Dedupe,
        mixed: Mixed::Strip,
        authoritative: true,
        look_up: false,
        producer_expiration_ms: 0,
    },
    serves_without_sasl: true,
    keep_bytes_max: usize::MAX,
    may_look: false,
    guards: false,
    unix_ms: 0,
};

/// Every connection sends the same batches of the same producer, in order: one of them is the first with each, and the
/// broker gives each batch the offset that is its number.
#[test]
fn no_interleaving_of_connections_makes_an_answer_false_or_loses_a_ticket() {
    let cluster = Arc::new(Cluster::new(TrackerLimits::default(), &Arc::default(), &Arc::default()));
    let start = Barrier::new(CONNECTIONS as usize);
    thread::scope(|scope| {
        for id in 0..CONNECTIONS {
            let (cluster, start) = (ClusterRef(Arc::clone(&cluster)), &start);
            scope.spawn(move || {
                start.wait();
                converse(id, cluster);
            });
        }
    });
    let mut producers = 0;
    cluster.report(NOW, |report| {
        producers += 1;
        assert_eq!((report.pending, report.expected), (0, Sequence::new(BATCHES)), "{report:?}");
        assert_eq!(report.base_offset, i64::from(BATCHES) - 1);
        true
    });
    assert_eq!(producers, PARTITIONS);
}

/// One connection; now and then an answer does not come.
fn converse(id: u32, cluster: ClusterRef) {
    let mut session = Session::new(ConnectionId(id), cluster);
    for number in 0..BATCHES {
        for partition in 0..PARTITIONS {
            let frame = request(number, partition);
            let admission = session.admit(&frame, false, &PRESENT, &mut |_| {});
            if let Admission::Forward(Some(pending)) = admission {
                answer(&mut session, pending, number, partition, id);
                continue;
            }
            // True, although it may have fallen out of the window by now: then it is not given (T22).
            let Admission::Answer(local) = admission else { panic!("{number} of {partition}: {admission:?}") };
            assert_eq!(local.frame(), response(number, partition), "batch {number} of partition {partition}");
        }
    }
}

fn answer(session: &mut Session<ClusterRef>, pending: Pending, number: i32, partition: i32, id: u32) {
    let is_last = number + 1 == BATCHES;
    if !is_last && (number.cast_unsigned() + id).is_multiple_of(7) {
        return session.abandon(pending, NOW);
    }
    let settled = session.settle(pending, &response(number, partition), NOW, &mut |_| {});
    assert!(matches!(settled, Settled::Unchanged));
}

/// A produce request v3 of one batch with one record.
fn request(number: i32, partition: i32) -> Vec<u8> {
    let records = batch::encode(BatchContent {
        producer_id: ProducerId::new(7),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(number).expect("not negative"),
        timestamp_ms: 1_000,
        values: &[Bytes::from_static(b"value")],
    });
    let length = i32::try_from(records.len()).expect("a small batch");
    framed(&[
        &[0, 0, 0, 3][..],
        &number.to_be_bytes(),
        // No client id, no transactional id, acks=-1, thirty seconds, one topic "t", one partition.
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1],
        &partition.to_be_bytes(),
        &length.to_be_bytes(),
        &records,
    ])
}

/// Its answer: success, at the offset that is the batch's number.
fn response(number: i32, partition: i32) -> Vec<u8> {
    framed(&[
        &number.to_be_bytes()[..],
        &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1],
        &partition.to_be_bytes(),
        &[0, 0],
        &i64::from(number).to_be_bytes(),
        &[0xff; 8],
        &[0; 4],
    ])
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&u32::try_from(body.len()).expect("a small frame").to_be_bytes()[..], &body].concat()
}

/// A broker leads every so-manieth partition, and its connections must not all wait for one lock.
#[test]
fn partitions_that_are_any_number_apart_are_spread_over_the_shards() {
    let counts = |partitions: &mut dyn Iterator<Item = i32>| {
        let mut counts = [0; SHARDS];
        partitions.for_each(|partition| counts[shard_of(partition)] += 1);
        counts
    };
    for apart in 1..=64 {
        let counts = counts(&mut (0..64).map(|n| n * apart));
        let (used, most) = (counts.iter().filter(|count| **count > 0).count(), counts.iter().max());
        assert!(used >= SHARDS * 3 / 4 && most <= Some(&10), "{apart} apart: {counts:?}");
    }
    for first in [0, 16, 1_024] {
        assert_eq!(counts(&mut (first..first + 16)), [1; SHARDS]);
    }
    assert!([i32::MIN, -1, i32::MAX].iter().all(|partition| shard_of(*partition) < SHARDS));
}
