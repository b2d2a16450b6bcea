//! Making, finding and dropping partitions and entries within the limits.

use std::sync::atomic::Ordering;

use super::super::attempts::{Attempt, Millis, State};
use super::super::entry::Entry;
use super::super::intervals::Intervals;
use super::super::reach::Reach;
use super::super::sequence::ProducerId;
use super::super::slab::CHUNK;
use super::super::topic::{TopicId, TopicRef};
use super::super::topics::Twins;
use super::{Partition, Tracker};

/// How many entries are looked at for the longest idle one.
const CANDIDATES: usize = 64;

/// One of this many parts of the limit is a tracker's own.
const OWN_SHARE: u32 = 64;

/// How many entries one operation visits at most.
const STEPS_MAX: u32 = 1_000;

/// How many chunks of places are given back for one step at most: together an entry, a partition and a batch that are new take less.
const GIVEN_BACK_MAX: usize = 3;

impl Tracker {
    /// Gives a topic a place, with its other name where that is known: `name` for one named by id, `id` for one
    /// named by name. Without room for it, it has none.
    pub fn introduce(&mut self, topic: TopicRef<'_>, name: Option<&[u8]>, id: Option<TopicId>, now: Millis) {
        if !self.make_room(|tracker| tracker.topics.growth(), now) {
            return;
        }
        let before = self.topics.retirements();
        match topic {
            TopicRef::Name(own) => self.topics.insert(Some(own), id),
            TopicRef::Id(own) => self.topics.insert(name, Some(own)),
        };
        self.note_retirements(before);
        self.charge();
    }

    /// Takes in what the state has come to.
    pub(super) fn charge(&mut self) {
        self.share.set(self.bytes());
    }

    /// Whether more ids may be remembered as handed out than are now.
    pub(super) fn handed_may_grow(&self) -> bool {
        self.share.is_roomy() && self.share.has(self.handed.bytes())
    }

    /// Whether there is room to grow by so much; the longest idle make it. Entries may be gone afterwards, or stand in other places.
    pub(super) fn make_room(&mut self, growth: impl Fn(&Self) -> usize, now: Millis) -> bool {
        self.share.has(growth(self)) || self.forget_for(&growth, now)
    }

    /// What an entry takes comes back with its chunk: as many are forgotten as it takes to give one back.
    #[cold]
    fn forget_for(&mut self, growth: &impl Fn(&Self) -> usize, now: Millis) -> bool {
        for _ in 0..GIVEN_BACK_MAX {
            let idle = self.longest_idle(now);
            if self.entries.free_places() + idle.len() < CHUNK {
                return self.forget_few(&idle, growth);
            }
            for at in idle {
                if self.entries.free_places() >= CHUNK {
                    break;
                }
                self.evict(at);
                if self.share.has(growth(self)) {
                    return true;
                }
            }
            if !self.give_back_places() {
                return false;
            }
            if self.share.has(growth(self)) {
                return true;
            }
        }
        false
    }

    /// Too few are idle for a chunk to come back. What comes back is what they own elsewhere, and a place for another entry where there is
    /// none: nobody is forgotten where that would not do.
    fn forget_few(&mut self, idle: &[u32], growth: &impl Fn(&Self) -> usize) -> bool {
        let mut owned: usize = idle.iter().map(|at| self.entries[*at].window.bytes()).sum();
        for at in idle {
            if self.entries.free_places() > 0 && !self.share.has(growth(self).saturating_sub(owned)) {
                return false;
            }
            owned -= self.entries[*at].window.bytes();
            self.evict(*at);
            if self.share.has(growth(self)) {
                return true;
            }
        }
        false
    }

    /// Gives a chunk of places back; the entries in it move. False when there are not as many free places.
    fn give_back_places(&mut self) -> bool {
        let Self { entries, entry_index, partitions, attempts, .. } = self;
        let is_given = entries.give_back(|entry, from, to| {
            let Partition { topic, index, .. } = partitions[entry.partition];
            let key = (topic, index, entry.producer);
            entry_index.remove(&key, from);
            entry_index.insert(&key, to);
            attempts.for_each_mut(entry.attempts, |attempt| attempt.entry = to);
        });
        self.moves = self.moves.wrapping_add(u32::from(is_given));
        self.charge();
        is_given
    }

    /// Whether one more batch can be noted as sent. Ask before anything is looked up: it may be evicted for it.
    pub(super) fn has_room_to_send(&mut self, now: Millis) -> bool {
        self.attempts.growth() == 0 || self.make_room(|tracker| tracker.attempts.growth(), now)
    }

    /// As `has_room_to_send`, once the topic has been looked up: it is there afterwards if there is room.
    pub(super) fn has_room_to_send_to(&mut self, topic: u32, now: Millis) -> bool {
        self.attempts.growth() == 0 || self.holding(topic, |tracker| tracker.has_room_to_send(now))
    }

    /// Keeps the topic from being taken away by an eviction, and lets go of it when there is no room.
    fn holding(&mut self, topic: u32, has_room: impl FnOnce(&mut Self) -> bool) -> bool {
        self.topics.get_mut(topic).partitions += 1;
        let has_room = has_room(self);
        if has_room {
            self.topics.get_mut(topic).partitions -= 1;
        } else {
            self.release_topic(topic);
        }
        has_room
    }

    /// The partition's place, made if need be, with evidence against its topic or cluster taken in.
    pub(super) fn partition(&mut self, topic: u32, index: i32) -> u32 {
        if let Some(at) = self.find_partition(topic, index) {
            self.refresh_partition(at);
            return at;
        }
        self.topics.get_mut(topic).partitions += 1;
        self.partition_serial = self.partition_serial.wrapping_add(1);
        let partition = Partition {
            topic,
            index,
            serial: self.partition_serial,
            stamp: 0,
            topic_stamp: self.topics.get(topic).stamp,
            cluster_stamp: self.cluster_stamp,
            log_start: -1,
            longest_taken: 0,
            keeps_times: false,
            refuses: false,
            reaches: Reach::default(),
            intervals: Intervals::new(),
            references: 0,
        };
        self.owned_bytes += partition.intervals.bytes();
        let at = self.partitions.insert(partition);
        self.partition_index.insert(&(topic, index), at);
        at
    }

    /// Gives a producer that has none an entry on the partition; `None` when a limit is reached and nothing can be evicted.
    #[inline(never)]
    pub(super) fn add_entry(&mut self, topic: u32, index: i32, producer: ProducerId, now: Millis) -> Option<u32> {
        if !self.has_room_for_entry(topic, index, now) {
            return None;
        }
        let partition = self.partition(topic, index);
        self.partitions[partition].references += 1;
        let has_twins = self.separate_twins(partition, producer);
        let stamp = self.partitions[partition].stamp;
        let mut entry = Entry::new(partition, producer, stamp, self.handed.serial());
        if has_twins {
            entry.note_twin();
        }
        if self.handed.was_forgotten(producer) || self.partitions[partition].intervals.has_any_of(producer) {
            entry.note_partial();
        }
        self.owned_bytes += entry.window.bytes();
        let at = self.entries.insert(entry);
        self.producers.fetch_add(1, Ordering::Relaxed);
        self.entry_index.insert(&(topic, index, producer), at);
        self.charge();
        Some(at)
    }

    fn has_room_for_entry(&mut self, topic: u32, index: i32, now: Millis) -> bool {
        let growth = |tracker: &Self| {
            let partition = match tracker.find_partition(topic, index) {
                Some(_) => 0,
                None => tracker.partitions.growth() + Intervals::BYTES_MIN,
            };
            // The entry is for a batch that is noted as sent then, or was found in the log.
            tracker.entries.growth() + tracker.attempts.growth() + partition
        };
        self.holding(topic, |tracker| (!tracker.is_full() || tracker.evict_one(now)) && tracker.make_room(growth, now))
    }

    /// Whether a new entry has to make room for itself. A small share of the limit is each tracker's own, so that one
    /// which has nothing to evict is not kept empty by the others.
    pub(super) fn is_full(&self) -> bool {
        let max = self.limits.producers_max;
        self.producers.load(Ordering::Relaxed) >= max && self.entries.len() >= max / OWN_SHARE
    }

    /// Drops what is idle for longer than the limit, visiting at most `steps` entries, and gives back what they took; for a timer to
    /// call.
    pub fn sweep(&mut self, steps: u32, now: Millis) {
        self.sweep_waiting(now);
        let before = self.entries.len();
        for _ in 0..steps.min(STEPS_MAX).min(self.entries.capacity()) {
            let at = self.next_place();
            let Some(entry) = self.entries.get(at) else { continue };
            let idle_ms = now.0.saturating_sub(u64::from(entry.used_s) * 1000);
            let partition = &self.partitions[entry.partition];
            let retired = self.topics.get(partition.topic).retired;
            if self.is_evictable(entry, now) && (idle_ms > self.limits.idle_ms_max || retired) {
                if retired {
                    self.evictions.evidence += 1;
                } else {
                    self.evictions.idle += 1;
                }
                self.drop_entry(at);
            }
        }
        let has_given = self.entries.is_sparse() && self.give_back_places();
        self.charge();
        if has_given || self.entries.len() < before {
            tidy_up();
        }
    }

    /// Drops the entry if nothing is known and nothing is open of its producer.
    pub(super) fn drop_if_forgettable(&mut self, at: u32) {
        if self.entries[at].is_forgettable() {
            self.drop_entry(at);
        }
    }

    /// Forgets an entry with everything that is open of it. Attempts in flight must not be among it.
    fn drop_entry(&mut self, at: u32) {
        let Some(mut entry) = self.entries.remove(at) else { return };
        self.producers.fetch_sub(1, Ordering::Relaxed);
        debug_assert_eq!(entry.pending, 0, "what is in flight keeps its entry");
        self.attempts.remove_where(&mut entry.attempts, |_, _| true, |_| {});
        let Partition { topic, index, .. } = self.partitions[entry.partition];
        self.entry_index.remove(&(topic, index, entry.producer), at);
        self.owned_bytes -= entry.window.bytes();
        // Of one whose batches were all refused there was nothing to be known.
        if entry.is_forgettable() && !entry.is_partial() {
            self.handed.is_used(entry.producer);
        } else {
            self.handed.is_forgotten(entry.producer);
        }
        self.release_partition(entry.partition);
    }

    /// One reference to the partition less.
    pub(super) fn release_partition(&mut self, at: u32) {
        let partition = &mut self.partitions[at];
        partition.references -= 1;
        if partition.references > 0 {
            return;
        }
        let Some(partition) = self.partitions.remove(at) else { return };
        self.owned_bytes -= partition.intervals.bytes();
        self.partition_index.remove(&(partition.topic, partition.index), at);
        self.release_topic(partition.topic);
    }

    fn release_topic(&mut self, at: u32) {
        let topic = self.topics.get_mut(at);
        topic.partitions -= 1;
        if topic.partitions == 0 {
            self.topics.remove(at);
        }
    }

    /// Makes room by the longest idle of some candidates that have nothing in flight.
    fn evict_one(&mut self, now: Millis) -> bool {
        let mut longest: Option<(u32, u32)> = None;
        self.visit_idle(CANDIDATES, now, |used_s, at| {
            if longest.is_none_or(|(oldest_s, _)| used_s < oldest_s) {
                longest = Some((used_s, at));
            }
        });
        let Some((_, at)) = longest else { return false };
        self.evict(at);
        true
    }

    /// The longest idle of those that one operation visits, as many as a chunk has places; the longest idle comes first.
    fn longest_idle(&mut self, now: Millis) -> Vec<u32> {
        let mut idle = Vec::new();
        self.visit_idle(usize::MAX, now, |used_s, at| idle.push((used_s, at)));
        idle.sort_unstable();
        idle.truncate(CHUNK);
        idle.into_iter().map(|(_, at)| at).collect()
    }

    /// Shows so many of those that can be evicted at most, none of them twice, with when they were used.
    fn visit_idle(&mut self, mut count: usize, now: Millis, mut visit: impl FnMut(u32, u32)) {
        for _ in 0..STEPS_MAX.min(self.entries.capacity()) {
            let at = self.next_place();
            let Some(entry) = self.entries.get(at).filter(|entry| self.is_evictable(entry, now)) else { continue };
            visit(entry.used_s, at);
            count -= 1;
            if count == 0 {
                break;
            }
        }
    }

    fn evict(&mut self, at: u32) {
        self.evictions.limit += 1;
        self.drop_entry(at);
        self.charge();
    }

    /// Nothing in flight, and nothing of unknown outcome whose connection may still be there, unless its time has
    /// passed: nobody tells when that connection ends.
    fn is_evictable(&self, entry: &Entry, now: Millis) -> bool {
        let is_closed = |attempt: &Attempt| match attempt.state {
            State::Unknown { orphan: true } | State::Sent => true,
            State::Unknown { orphan: false } => now.since(attempt.since) >= self.limits.proof_ttl_ms,
            State::Pending => false,
        };
        entry.pending == 0 && self.attempts.list(entry.attempts).all(|(_, attempt)| is_closed(attempt))
    }

    fn next_place(&mut self) -> u32 {
        let mut at = self.entries.present_from(self.hand);
        if at >= self.entries.places() {
            at = self.entries.present_from(0);
        }
        self.hand = at + 1;
        at
    }

    /// A producer that appears under the name of one topic and under the id of another, which may be the same
    /// topic, starts from nothing under both, and nothing of it is proven until they are known to be one (T9).
    fn separate_twins(&mut self, partition: u32, producer: ProducerId) -> bool {
        let Partition { topic, index, .. } = self.partitions[partition];
        let found = self.possible_twins(topic, index, producer);
        let has_twins = found.as_ref().is_none_or(|entries| !entries.is_empty());
        if has_twins {
            let may_grow = self.handed_may_grow();
            self.handed.end(producer, may_grow);
        }
        for at in found.unwrap_or_default() {
            self.entries[at].note_twin();
        }
        has_twins
    }

    /// The producer's entries under the other form of what may be this topic; `None` if there is no time to tell.
    fn possible_twins(&self, topic: u32, index: i32, producer: ProducerId) -> Option<Vec<u32>> {
        let entry_in = |twin| self.find_partition(twin, index).and_then(|at| self.find_entry(at, producer));
        match self.topics.possible_twins(topic, STEPS_MAX) {
            Twins::Among(twins) => Some(twins.filter_map(entry_in).collect()),
            Twins::TooMany => None,
        }
    }

    /// Whether a new entry of the producer would have another one start from nothing (T9).
    pub(super) fn may_have_twins(&self, topic: u32, index: i32, producer: ProducerId) -> bool {
        self.possible_twins(topic, index, producer).is_none_or(|entries| !entries.is_empty())
    }
}

/// Has the allocator join what was given back in small pieces now: glibc puts that off until something large is given
/// back, and a hundred thousand windows at once take it milliseconds.
fn tidy_up() {
    /// More than `FASTBIN_CONSOLIDATION_THRESHOLD`, and less than what is mapped for itself.
    const LARGE: usize = 96 * 1024;
    std::hint::black_box(Vec::<u8>::with_capacity(LARGE));
}
