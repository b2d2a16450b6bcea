//! A request that waits: nothing may overtake the first batches in it, and nothing in it is missing.

use super::observe::Observed;
use super::{Ledger, Mode, Present, Session};
use crate::sequencing::{Acks, BatchId, Millis, Sender};
use crate::wire::produce::{OwnedTopic, ProduceRequest};

/// A batch of the request that waits, as it is noted in its ledger.
#[derive(Debug)]
pub(super) struct Waiting {
    ledger: usize,
    topic: OwnedTopic,
    partition: i32,
    batch: BatchId,
}

impl<L: Ledger> Session<L> {
    /// The request at the front waits, for other batches or for what a log says.
    #[cold]
    pub(super) fn note_waiting(&mut self, body: &ProduceRequest<'_>, observed: &[Observed], present: &Present) {
        self.waits_since.get_or_insert(present.now);
        if !self.waiting.is_empty() {
            return;
        }
        let sender = Sender {
            guards: self.guards(present),
            enforces: present.policy.mode == Mode::Enforce,
            ..self.sender(Acks::from_wire(body.acks), present)
        };
        for (entry, observed) in body.entries().zip(observed) {
            let (topic, partition) = (entry.topic, entry.partition);
            let Some(batch) = observed.batch else { continue };
            // One that cannot be taken at its word may fill a gap, but nothing waits for it.
            let sender = Sender { guards: sender.guards && !observed.is_opaque(), ..sender };
            let is_noted =
                self.ledger().tracker(partition, |it| it.note_waiting(topic, partition, &batch, &sender, present.now));
            if is_noted {
                let (ledger, topic) = (self.current, topic.into());
                self.waiting.push(Waiting { ledger, topic, partition, batch: batch.id });
            }
        }
    }

    /// The request at the front waits no more: it has gone, or, with `is_lost`, will not. To be told also when the connection
    /// takes no more requests.
    #[cold]
    pub fn end_waiting(&mut self, is_lost: bool, now: Millis) {
        self.waits_since = None;
        if self.waiting.is_empty() {
            return;
        }
        let connection = self.connection;
        for Waiting { ledger, topic, partition, batch } in std::mem::take(&mut self.waiting) {
            self.ledgers[ledger].tracker(partition, |it| {
                it.end_waiting(topic.as_ref(), partition, batch, connection, is_lost, now);
            });
        }
        self.ledger().settled();
    }
}
