//! When a gap may be refused here.

use super::super::attempts::{Batch, Millis, Sender};
use super::super::entry::Entry;
use super::super::topic::TopicRef;
use super::super::verdict::Rule;
use super::Tracker;

impl Tracker {
    /// Whether everything that is known here says that the leader would refuse a batch that is ahead of what it expects
    /// (45), and for no other reason. That is not enough: it has to say so itself.
    ///
    /// Nothing else of the producer may be open anywhere, nor wait here, for it could fill the gap. The leader must have acknowledged
    /// something of it in its present generation, and have taken the partition's last batch, one as long as this one:
    /// or it would give another answer. Of whom something was forgotten, or more is open than is kept in mind, or another form
    /// of the topic may know more (T9), nothing is missing for certain (D17).
    pub(super) fn may_refuse(&self, entry: &Entry, batch: &Batch, sender: &Sender, now: Millis) -> bool {
        let partition = &self.partitions[entry.partition];
        let newest_is_proven =
            || entry.window.newest().is_some_and(|newest| self.proof_of(entry, newest.range, now).is_some());
        sender.authoritative
            && !batch.transactional
            && entry.has_nothing_open()
            && entry.is_known_to(sender.broker)
            && !partition.refuses
            && batch.fingerprint.length <= partition.longest_taken
            && newest_is_proven()
            && !self.may_wait_here(entry, batch.id, sender, now)
    }

    /// A batch that follows a gap is refused here: whether that gap was not counted yet, and where the log begins (-1 if no
    /// broker has said so).
    pub fn refuse(&mut self, topic: TopicRef<'_>, partition: i32, batch: &Batch, sender: &Sender) -> (bool, i64) {
        let at = self.topics.find(topic).and_then(|topic| self.find_entry_of(topic, partition, batch.id.producer_id));
        at.map_or((false, -1), |at| {
            let log_start = self.partitions[self.entries[at].partition].log_start;
            (self.is_new_gap(at, batch, Rule::D18, sender), log_start)
        })
    }
}
