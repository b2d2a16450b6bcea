//! The rules that scenarios cannot show, one test each.

mod alone;
mod bounds;
mod confirmed;
mod enforce;
mod evidence;
mod guard;
mod log;
mod looks;
mod memory;
mod open;
mod report;
mod topics;

use super::super::answer::{Answer, ErrorCode};
use super::super::attempts::{Acks, Batch, BrokerGeneration, ConnectionId, Millis, Outcome, Sender, Ticket};
use super::super::sequence::{BatchId, ProducerEpoch, ProducerId, SequenceRange};
use super::super::topic::{TopicId, TopicRef};
use super::super::verdict::Rule;
use super::super::window::Fingerprint;
use super::*;

const T: TopicRef<'static> = TopicRef::Name(b"t");
const NOW: Millis = Millis(1_000_000);

fn after(ms: u64) -> Millis {
    Millis(NOW.0 + ms)
}

fn tracker() -> Tracker {
    with(TrackerLimits::default())
}

fn with(limits: TrackerLimits) -> Tracker {
    Tracker::new(limits)
}

fn batch(producer: i64, epoch: i16, base: i32, count: i32) -> Batch {
    let id = BatchId {
        producer_id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        range: SequenceRange::from_wire(base, count - 1).unwrap(),
    };
    let crc = u32::try_from(base).unwrap();
    Batch { id, fingerprint: Fingerprint { crc, length: 100, codec: 0, stored: false }, transactional: false }
}

fn sender() -> Sender {
    Sender {
        connection: ConnectionId(1),
        since: NOW,
        broker: BrokerGeneration { broker: 1, generation: 0 },
        acks: Acks::All,
        authoritative: true,
        tainted: false,
        may_look: false,
        confirms: false,
        by_end: false,
        guards: false,
        enforces: false,
    }
}

fn restarted() -> Sender {
    Sender { connection: ConnectionId(2), broker: BrokerGeneration { broker: 1, generation: 1 }, ..sender() }
}

fn ok(base_offset: i64) -> Outcome {
    said(0, base_offset)
}

fn said(error: i16, base_offset: i64) -> Outcome {
    Outcome::Answered(Answer { error: ErrorCode(error), base_offset, log_append_time: -1, log_start_offset: Some(0) })
}

impl Tracker {
    fn look(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        sender: &Sender,
        now: Millis,
    ) -> Observation {
        if self.topics.find(topic).is_none() {
            self.introduce(topic, None, None, now);
        }
        self.observe(topic, partition, batch, sender, false, now).unwrap()
    }

    /// Sends a batch to partition 0 of `t`.
    fn send_one(&mut self, batch: &Batch) -> Ticket {
        self.look(T, 0, batch, &sender(), NOW).ticket.expect("it is sent")
    }

    /// Sends a batch to partition 0 of `t` and has it answered.
    fn give(&mut self, batch: &Batch, outcome: Outcome) -> Settlement {
        let ticket = self.send_one(batch);
        self.settle(ticket, outcome, NOW)
    }

    /// The rule for a batch that is not sent.
    fn rule(&mut self, batch: &Batch) -> Rule {
        let Observation { rule, ticket, .. } = self.look(T, 0, batch, &sender(), NOW);
        if let Some(ticket) = ticket {
            self.settle(ticket, Outcome::Withdrawn, NOW);
        }
        rule
    }

    fn is_empty(&self) -> bool {
        self.producers() == 0
            && self.open_attempts() == 0
            && self.partitions.len() == 0
            && self.topics.len() == 0
            && self.owned_bytes == 0
    }
}
