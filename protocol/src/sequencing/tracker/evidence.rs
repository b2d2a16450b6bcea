//! What ends proofs. Ending is a stamp, not a sweep: whatever is used next is held against the stamps first.

use super::super::answer::ErrorCode;
use super::super::attempts::Millis;
use super::super::entry::Entry;
use super::super::reach::Reach;
use super::super::sequence::{ProducerEpoch, ProducerId, SequenceRange};
use super::super::topic::{TopicId, TopicRef};
use super::{BatchId, Partition, Proof, Tracker, TrackerLimits};

impl Tracker {
    /// The cluster is not the one it was: nothing that is known holds.
    pub fn end_cluster(&mut self) {
        self.cluster_stamp = self.cluster_stamp.wrapping_add(1);
    }

    /// The topic was deleted: nothing that is known of it holds.
    pub fn end_topic(&mut self, topic: TopicRef<'_>) {
        if let Some(at) = self.topics.find(topic) {
            self.topics.retire(at);
            self.handed.are_used();
            self.charge();
        }
    }

    /// Metadata says that `name` and `id` are one topic.
    pub fn link(&mut self, name: &[u8], id: TopicId) {
        let has_room = self.share.has(name.len());
        let before = self.topics.retirements();
        self.topics.link(name, id, has_room);
        self.note_retirements(before);
        self.charge();
    }

    /// An `InitProducerId` answer handed this producer id out.
    pub fn hand_out(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        if id.is_idempotent() {
            let may_grow = self.handed_may_grow();
            self.handed.add(id, epoch, may_grow);
            self.charge();
        }
    }

    /// The producer is in use where nothing was seen of it here: what comes first of it need not be its first (D5a).
    pub fn note_used(&mut self, id: ProducerId) {
        self.handed.is_forgotten(id);
    }

    /// So may be every producer that was handed out so far.
    pub fn note_all_used(&mut self) {
        self.handed.are_used();
    }

    /// Whether a proof that a local answer was made from still stands, at the moment the answer leaves (T22).
    #[must_use]
    pub fn still_holds(&mut self, topic: TopicRef<'_>, partition: i32, proof: &Proof, now: Millis) -> bool {
        let Some(topic) = self.topics.find(topic) else { return false };
        let Some(partition) = self.find_partition(topic, partition) else { return false };
        self.refresh_partition(partition);
        let Some(at) = self.find_entry(partition, proof.batch.producer_id) else { return false };
        self.refresh_stamps(at);
        let entry = &self.entries[at];
        !self.limits.is_past_ttl(entry, now)
            && entry.find(proof.batch).is_some_and(|acked| {
                acked.proof && acked.base_offset == proof.base_offset && acked.is_same(proof.fingerprint, -1)
            })
    }

    /// All proofs of the partition end, whoever's they are.
    pub(super) fn end_partition(&mut self, at: u32) {
        let partition = &mut self.partitions[at];
        partition.stamp = partition.stamp.wrapping_add(1);
        let before = partition.intervals.bytes();
        partition.intervals.clear();
        partition.reaches = Reach::default();
        self.owned_bytes = self.owned_bytes + partition.intervals.bytes() - before;
        partition.log_start = -1;
        partition.keeps_times = false;
        self.evictions.evidence += 1;
    }

    /// The broker does not know the partition or its log any more (3, 56, 100), whoever it said that to.
    pub fn doubt_log(&mut self, topic: TopicRef<'_>, partition: i32) {
        let at = self.topics.find(topic).and_then(|topic| self.find_partition(topic, partition));
        if let Some(at) = at {
            self.doubt_partition(at);
        }
    }

    /// The broker has refused a batch of which nothing was noted down: what it would have said of others, too.
    pub fn note_error(&mut self, topic: TopicRef<'_>, partition: i32, error: ErrorCode) {
        let at = self.topics.find(topic).and_then(|topic| self.find_partition(topic, partition));
        let Some(at) = at else { return };
        if error.doubts_the_log() {
            self.doubt_partition(at);
        }
        self.partitions[at].refuses |= !error.is_of_the_sequence();
    }

    /// The broker has doubted the log of a partition. It speaks of what stands under the topic's name or id now, also
    /// when the batch was sent before these were known to be another's.
    pub(super) fn doubt_partition(&mut self, at: u32) {
        self.end_partition(at);
        let Partition { topic, index, .. } = self.partitions[at];
        let topic = self.topics.get(topic);
        if !topic.retired {
            return;
        }
        let by_name = topic.name.as_deref().and_then(|name| self.topics.find(TopicRef::Name(name)));
        let by_id = topic.id.and_then(|id| self.topics.find(TopicRef::Id(id)));
        let heirs = [by_name, by_id].map(|heir| heir.and_then(|heir| self.find_partition(heir, index)));
        for heir in heirs.into_iter().flatten() {
            self.end_partition(heir);
        }
    }

    /// Takes in what ended the partition's topic or cluster.
    pub(super) fn refresh_partition(&mut self, at: u32) {
        if !self.is_fresh(&self.partitions[at]) {
            self.renew_partition(at);
        }
    }

    #[inline]
    fn is_fresh(&self, partition: &Partition) -> bool {
        let topic = self.topics.get(partition.topic);
        partition.topic_stamp == topic.stamp && partition.cluster_stamp == self.cluster_stamp
    }

    #[cold]
    fn renew_partition(&mut self, at: u32) {
        self.end_partition(at);
        let partition = &mut self.partitions[at];
        partition.topic_stamp = self.topics.get(partition.topic).stamp;
        partition.cluster_stamp = self.cluster_stamp;
    }

    /// Takes in what ended the entry's proofs, or the entry, or its partition.
    #[inline(always)]
    pub(super) fn refresh_stamps(&mut self, at: u32) {
        let (entry, serial) = (&self.entries[at], self.handed.serial());
        let partition = &self.partitions[entry.partition];
        let is_of_now = entry.handed_serial == serial && serial != u32::MAX && entry.partition_stamp == partition.stamp;
        if !is_of_now || !self.is_fresh(partition) {
            self.renew_entry(at);
        }
    }

    #[cold]
    pub(super) fn renew_entry(&mut self, at: u32) {
        self.refresh_partition(self.entries[at].partition);
        let (entry, serial) = (&mut self.entries[at], self.handed.serial());
        let stamp = self.partitions[entry.partition].stamp;
        if entry.handed_serial != serial || serial == u32::MAX {
            if !entry.is_cold() && self.handed.has_ended(entry.producer, entry.epoch, entry.handed_serial) {
                let before = entry.window.bytes();
                let epoch = entry.epoch;
                entry.make_new();
                if self.handed.may_go_on(entry.producer, epoch) {
                    entry.note_partial();
                }
                self.owned_bytes = self.owned_bytes + entry.window.bytes() - before;
                self.evictions.evidence += 1;
            }
            entry.handed_serial = serial;
        }
        if entry.partition_stamp != stamp {
            entry.window.end_proofs();
            entry.partition_stamp = stamp;
        }
    }

    /// As `refresh_stamps`, and what time has ended.
    #[inline(always)]
    pub(super) fn refresh_entry(&mut self, at: u32, now: Millis) {
        self.refresh_stamps(at);
        let entry = &mut self.entries[at];
        if self.limits.is_past_ttl(entry, now) {
            // They do not come back with the next one.
            entry.window.end_proofs();
        }
        if entry.unknown > 0 {
            self.forget_old_unknowns(at, now);
        }
    }

    /// As the stamps and the clock say, without changing anything.
    pub(super) fn proofs_have_ended(&self, entry: &Entry, partition: &Partition, now: Millis) -> bool {
        entry.partition_stamp != partition.stamp
            || !self.is_fresh(partition)
            || self.handed.has_ended(entry.producer, entry.epoch, entry.handed_serial)
            || self.limits.is_past_ttl(entry, now)
    }

    /// A proof for `range`, if the cluster acknowledged it and nothing has ended that.
    pub(super) fn proof_of(&self, entry: &Entry, range: SequenceRange, now: Millis) -> Option<Proof> {
        let acked = entry.window.find(range).filter(|acked| acked.proof)?;
        if self.limits.is_past_ttl(entry, now) {
            return None;
        }
        Some(Proof {
            batch: BatchId { producer_id: entry.producer, epoch: entry.epoch, range },
            fingerprint: acked.fingerprint,
            base_offset: acked.base_offset,
            log_append_time: acked.append_time,
            log_start_offset: self.partitions[entry.partition].log_start,
        })
    }

    /// Makes an entry know nothing.
    pub(super) fn make_cold(&mut self, at: u32) {
        let entry = &mut self.entries[at];
        let before = entry.window.bytes();
        entry.make_cold();
        self.owned_bytes = self.owned_bytes + entry.window.bytes() - before;
        self.handed.is_forgotten(entry.producer);
    }
}

impl TrackerLimits {
    /// Whether the time to live of the entry's proofs has passed.
    pub(super) fn is_past_ttl(&self, entry: &Entry, now: Millis) -> bool {
        now.since(entry.proof_at) >= self.proof_ttl_ms
    }
}
