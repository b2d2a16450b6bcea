//! What is known, for people to look at.

use super::super::attempts::Millis;
use super::super::entry::Entry;
use super::super::sequence::{ProducerId, Sequence};
use super::super::topic::TopicId;
use super::Tracker;

/// What the admin port shows of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerReport {
    /// The topic's name, where it is known.
    pub topic: Option<Box<[u8]>>,
    /// The topic's id, where it is known.
    pub topic_id: Option<TopicId>,
    /// The partition.
    pub partition: i32,
    /// The producer id.
    pub producer_id: ProducerId,
    /// The epoch of what was acknowledged; absent while nothing was.
    pub epoch: Option<i16>,
    /// The sequence that comes next.
    pub expected: Option<Sequence>,
    /// The base offset of the newest acknowledged range, or -1.
    pub base_offset: i64,
    /// How many acknowledged ranges are remembered.
    pub acknowledged: usize,
    /// How many of them are proofs.
    pub proofs: usize,
    /// How many batches are in flight.
    pub pending: u16,
    /// How many are of unknown outcome.
    pub unknown: u16,
    /// Milliseconds since the last batch.
    pub idle_ms: u64,
}

impl Tracker {
    /// How often pairs have moved to other places: who goes on with a report meanwhile may miss some, or see them twice.
    #[must_use]
    pub const fn moves(&self) -> u32 {
        self.moves
    }

    /// Reports on the pairs at up to `steps` places from `from` on; returns where to go on, until there is no more.
    pub fn report(
        &self,
        from: u32,
        steps: u32,
        now: Millis,
        mut visit: impl FnMut(ProducerReport) -> bool,
    ) -> Option<u32> {
        let end = from.saturating_add(steps).min(self.entries.places());
        for at in from..end {
            let Some(entry) = self.entries.get(at) else { continue };
            if !visit(self.report_of(entry, now)) {
                return None;
            }
        }
        (end < self.entries.places()).then_some(end)
    }

    fn report_of(&self, entry: &Entry, now: Millis) -> ProducerReport {
        let partition = &self.partitions[entry.partition];
        let topic = self.topics.get(partition.topic);
        let proofs_hold = !self.proofs_have_ended(entry, partition, now);
        ProducerReport {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partition: partition.index,
            producer_id: entry.producer,
            epoch: (!entry.is_cold()).then_some(entry.epoch.get()),
            expected: entry.window.expected(),
            base_offset: entry.window.newest().map_or(-1, |newest| newest.base_offset),
            acknowledged: entry.window.iter().count(),
            proofs: if proofs_hold { entry.window.iter().filter(|acked| acked.proof).count() } else { 0 },
            pending: entry.pending,
            unknown: entry.unknown,
            idle_ms: now.0.saturating_sub(u64::from(entry.used_s) * 1000),
        }
    }
}
