//! A tracker without a session around it.

use std::hint::black_box;

use seqgate_protocol::sequencing::{
    Acks, Answer, Batch, BatchId, ConnectionId, ErrorCode, Fingerprint, Millis, Outcome, ProducerEpoch, ProducerId,
    Sender, SequenceRange, TopicRef, Tracker,
};

use super::frames::{RECORDS, TOPIC};
use super::single::{BROKER, NOW};

/// One batch in order, and its acknowledgement.
pub(crate) fn step(tracker: &mut Tracker, (partition, producer): (i32, i64), sequence: i32, offset: &mut i64) {
    let range = SequenceRange::from_wire(sequence, RECORDS - 1).expect("not negative");
    let batch = Batch {
        id: BatchId { producer_id: ProducerId::new(producer), epoch: ProducerEpoch::new(0), range },
        fingerprint: Fingerprint { crc: sequence.cast_unsigned(), length: 16_384, codec: 0, stored: false },
        transactional: false,
    };
    let topic = TopicRef::Name(TOPIC);
    let observation = tracker.observe(topic, partition, black_box(&batch), &SENDER, false, NOW).expect("introduced");
    let ticket = observation.ticket.expect("a batch in order is sent");
    let answer =
        Answer { error: ErrorCode::NONE, base_offset: *offset, log_append_time: -1, log_start_offset: Some(0) };
    *offset += i64::from(RECORDS);
    let settlement = tracker.settle(ticket, Outcome::Answered(answer), NOW);
    debug_assert!(settlement.ended.is_none());
    black_box(settlement);
}

/// Who sends everything.
pub(crate) const SENDER: Sender = Sender {
    connection: ConnectionId(0),
    since: Millis(0),
    broker: BROKER,
    acks: Acks::All,
    authoritative: false,
    tainted: false,
    may_look: false,
    confirms: false,
    by_end: false,
    guards: false,
    enforces: false,
};
