//! The acknowledged ranges of one producer on one partition, oldest first.

mod ring;

use std::collections::VecDeque;

use super::allowance::allocated;
use super::sequence::{Sequence, SequenceRange};
use ring::{OWN, Ring};

/// What is compared beside the range before a batch is taken for the one that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The batch's CRC-32C, as its header says.
    pub crc: u32,
    /// The batch's length in bytes, as its header says.
    pub length: u32,
    /// How it is compressed, as the attributes' three bits.
    pub codec: u8,
    /// Whether this is of the batch as it stands in a log, and not as its producer has sent it.
    pub stored: bool,
}

impl Fingerprint {
    /// Whether both can be of one batch, of the same producer, epoch and sequences. `stamped`: its topic stamps append
    /// times.
    ///
    /// A topic that compresses with a codec of its own stores other bytes than it was sent, and one that stamps append times
    /// another checksum (`LogValidator`).
    #[must_use]
    pub fn is_of_same(self, other: Self, stamped: bool) -> bool {
        let is_as_long = self.length.min(LENGTH_MAX) == other.length.min(LENGTH_MAX);
        let is_equal = self.crc == other.crc && self.codec == other.codec && is_as_long;
        is_equal || (self.stored != other.stored && (self.codec != other.codec || stamped && is_as_long))
    }
}

/// One acknowledged range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) range: SequenceRange,
    /// -1 when the answer named none.
    pub(super) base_offset: i64,
    pub(super) fingerprint: Fingerprint,
    /// Whether the cluster's answer is good for answering a retry.
    pub(super) proof: bool,
    /// Only the leader had it when it was acknowledged (acks=1).
    pub(super) leader_only: bool,
    /// It was acknowledged before the generation in which the broker last said anything of its producer.
    pub(super) older: bool,
    /// What the broker said the first time; -1 on topics that keep the producer's timestamps.
    pub(super) append_time: i64,
}

impl Acked {
    /// The offset of the range's last record.
    pub(super) fn last_offset(&self) -> i64 {
        last_offset(self.base_offset, self.range)
    }

    /// Whether a batch of the same epoch and range is this one; `append_time` is what the log says of that one.
    ///
    /// Only the log tells whether a topic stamps append times: brokers name some time in the answers to all duplicates.
    pub(super) fn is_same(&self, other: Fingerprint, append_time: i64) -> bool {
        let is_stamped = |fingerprint: Fingerprint, append_time| fingerprint.stored && append_time != -1;
        let stamped = is_stamped(self.fingerprint, self.append_time) || is_stamped(other, append_time);
        self.fingerprint.is_of_same(other, stamped)
    }
}

fn last_offset(base_offset: i64, range: SequenceRange) -> i64 {
    base_offset.saturating_add(i64::from(range.len()) - 1)
}

/// As `Acked`, in 24 bytes: a million windows are kept.
#[derive(Clone, Copy, Debug)]
struct Slot {
    first: Sequence,
    last: Sequence,
    base_offset: i64,
    crc: u32,
    /// Five flags, three bits of the codec, and the length, which says no more of batches of 16 MiB and above.
    length_and_flags: u32,
}

const PROOF: u32 = 1 << 31;
const LEADER_ONLY: u32 = 1 << 30;
const OLDER: u32 = 1 << 29;
const STORED: u32 = 1 << 28;
/// Of the newest: some ranges share sequences.
const OVERLAPS: u32 = 1 << 27;
const CODEC_AT: u32 = 24;
const LENGTH: u32 = (1 << CODEC_AT) - 1;

/// One less than the mask: that length is kept for the absent slot.
const LENGTH_MAX: u32 = LENGTH - 1;

/// No slot: no batch has this length.
const ABSENT: Slot =
    Slot { first: Sequence::ZERO, last: Sequence::ZERO, base_offset: 0, crc: 0, length_and_flags: u32::MAX };

/// The newest acknowledged ranges, at most as many as configured. Empty means that nothing is known.
///
/// They lie within half of the ring, so that all of them agree on which comes after which. Where none of them share a sequence,
/// as nearly everywhere, what lies between the newest and the oldest is none of theirs.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Window {
    /// Beside the entry itself, not behind a pointer: a batch in order is held against this one only.
    newest: Slot,
    /// Where a range began that was the oldest once: at or before the beginning of the present one, and less than half of the
    /// ring before the end of the newest. What follows the newest is held against this, for the oldest itself may lie elsewhere
    /// in memory.
    floor: Sequence,
    /// Of all slots, oldest first, but only where a topic stamps append times: most do not.
    #[expect(clippy::box_collection, reason = "8 bytes instead of 32 in a million windows that have none")]
    append_times: Option<Box<VecDeque<i64>>>,
    /// Oldest first. With the newest, the least that it has room for is as many batches as the broker remembers
    /// (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
    older: Ring,
}

const _: () = assert!(1 + OWN == 5);
// What is absent lies beyond nothing.
const _: () = assert!(ABSENT.length_and_flags & OVERLAPS != 0);

/// Beyond which least size a window may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// By slots for more ranges, up to so many in all; otherwise the oldest makes room.
    pub(super) slots: bool,
    /// By append times; a range whose append time finds no place is acknowledged, but cannot be answered for.
    pub(super) append_times: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { newest: ABSENT, floor: Sequence::ZERO, older: Ring::new(), append_times: None }
    }
}

impl Window {
    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_absent()
    }

    pub(super) fn newest(&self) -> Option<Acked> {
        self.at(self.len().checked_sub(1)?)
    }

    /// The offset of the newest range's last record, where it is known.
    pub(super) fn newest_end(&self) -> Option<i64> {
        let Slot { base_offset, .. } = self.newest;
        let is_known = !self.is_empty() && base_offset >= 0;
        is_known.then(|| last_offset(base_offset, self.newest.range()))
    }

    /// The sequence after the newest acknowledged range.
    pub(super) fn expected(&self) -> Option<Sequence> {
        (!self.is_empty()).then(|| self.newest.last.advance(1))
    }

    /// The slot that holds exactly `range`.
    #[inline]
    pub(super) fn find(&self, range: SequenceRange) -> Option<Acked> {
        if self.lies_outside(range) { None } else { self.find_within(range) }
    }

    /// As `find`, for a range that may be among the slots.
    #[inline(never)]
    fn find_within(&self, range: SequenceRange) -> Option<Acked> {
        self.at(self.place_within(range)?)
    }

    /// Has the place of the oldest range come in from memory beside all else that a batch is held against: once all places are
    /// taken the next range gets it, and a store that waits for its place keeps all later ones waiting.
    #[inline(always)]
    pub(super) fn fetch(&self) {
        std::hint::black_box(self.oldest().crc);
    }

    /// Whether any acknowledged range shares a sequence with `range`.
    pub(super) fn overlaps(&self, range: SequenceRange) -> bool {
        !self.lies_outside(range) && self.slots().any(|slot| slot.range().overlaps(range))
    }

    /// Whether `range` follows everything acknowledged so far.
    pub(super) fn is_newest(&self, range: SequenceRange) -> bool {
        self.is_empty() || range.first.is_after(self.newest.last)
    }

    /// Adds a range, or replaces what is known of the same one; the oldest makes room. Returns by how many bytes the
    /// window has grown.
    pub(super) fn insert(&mut self, acked: Acked, slots_max: usize, growth: Growth) -> usize {
        let before = self.bytes();
        self.put_in(acked, slots_max, growth);
        self.bytes() - before
    }

    #[inline]
    fn put_in(&mut self, mut acked: Acked, slots_max: usize, growth: Growth) {
        if acked.append_time != -1 && self.append_times.is_none() && !growth.append_times {
            acked.append_time = -1;
            acked.proof = false;
        }
        let slots_max = if growth.slots { slots_max } else { slots_max.min(self.older.capacity() + 1) };
        let lies_outside = self.lies_outside(acked.range);
        if !lies_outside && let Some(at) = self.place_within(acked.range) {
            self.replace(at, acked);
        } else if self.is_empty() || acked.range.first.is_after(self.newest.first) {
            self.append(acked, lies_outside, slots_max);
        } else {
            self.put_between(acked, slots_max);
        }
        debug_assert!(self.len() <= slots_max);
    }

    #[cold]
    fn replace(&mut self, at: usize, acked: Acked) {
        let slot = self.slot_mut(at);
        let overlaps = slot.length_and_flags & OVERLAPS;
        *slot = Slot::from(acked);
        slot.length_and_flags |= overlaps;
        self.set_append_time(at, acked.append_time);
    }

    /// Adds a range that begins behind all others, or is the first one: answers come nearly always in order.
    #[inline]
    fn append(&mut self, acked: Acked, lies_outside: bool, slots_max: usize) {
        let range = acked.range;
        // Nothing is beyond what is absent, so the first one always does.
        if !self.is_beyond(range, self.floor) || !is_near(self.floor, range.last) {
            self.raise_floor(range);
        }
        let mut slot = Slot::from(acked);
        if !lies_outside && self.overlaps(range) {
            slot.length_and_flags |= OVERLAPS;
        }
        if !self.is_empty() {
            if self.len() >= slots_max {
                self.drop_oldest();
            } else if self.older.len() == self.older.capacity() {
                self.grow(slots_max);
            }
            slot.length_and_flags |= self.newest.length_and_flags & OVERLAPS;
            self.older.push(self.newest);
        }
        self.newest = slot;
        if acked.append_time != -1 || self.append_times.is_some() {
            self.add_append_time(self.older.len(), acked.append_time);
        }
    }

    /// A range that is to be the newest is held against a floor that is the beginning of the oldest, or its own. Where that is
    /// too far behind, all others are forgotten.
    #[cold]
    fn raise_floor(&mut self, range: SequenceRange) {
        self.floor = self.oldest().first;
        if !is_near(self.floor, range.last) {
            self.empty();
        }
        if self.is_empty() {
            self.floor = range.first;
        }
    }

    /// Adds a range that begins before the newest one does.
    #[cold]
    fn put_between(&mut self, acked: Acked, slots_max: usize) {
        let range = acked.range;
        if !is_near(range.first, self.newest.last) {
            return;
        }
        let mut at = self.older.iter().rposition(|slot| range.first.is_after(slot.first)).map_or(0, |at| at + 1);
        let overlaps = self.overlaps(range);
        if self.len() >= slots_max {
            if at == 0 {
                return;
            }
            self.drop_oldest();
            at -= 1;
        } else if self.older.len() == self.older.capacity() {
            self.grow(slots_max);
        }
        self.older.insert(at, Slot::from(acked));
        if at == 0 {
            self.floor = range.first;
        }
        if overlaps {
            self.newest.length_and_flags |= OVERLAPS;
        }
        if acked.append_time != -1 || self.append_times.is_some() {
            self.add_append_time(at, acked.append_time);
        }
    }

    /// What was proven is merely acknowledged from now on.
    #[inline(never)]
    pub(super) fn end_proofs(&mut self) {
        for slot in self.older.iter_mut() {
            slot.length_and_flags &= !PROOF;
        }
        if !self.is_empty() {
            self.newest.length_and_flags &= !PROOF;
        }
    }

    /// Another generation begins: all that is known is of an older one from now on.
    #[inline(never)]
    pub(super) fn begin_generation(&mut self) {
        for slot in self.older.iter_mut() {
            slot.length_and_flags |= OLDER;
        }
        if !self.is_empty() {
            self.newest.length_and_flags |= OLDER;
        }
    }

    /// The range is of the present generation.
    pub(super) fn renew(&mut self, range: SequenceRange) {
        if let Some(at) = self.place_of(range) {
            self.slot_mut(at).length_and_flags &= !OLDER;
        }
    }

    /// Forgets all ranges, and keeps what room there is.
    fn empty(&mut self) {
        self.newest = ABSENT;
        self.older.clear();
        if let Some(times) = &mut self.append_times {
            times.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.empty();
        if self.older.capacity() > OWN {
            self.older.resize(OWN);
        }
        self.append_times = None;
    }

    /// What the slots take in memory beside the window itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of_times = |times: &VecDeque<i64>| {
            allocated(times.capacity() * size_of::<i64>()) + allocated(size_of::<VecDeque<i64>>())
        };
        let times = self.append_times.as_deref().map_or(0, of_times);
        self.older.bytes() + times
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Acked> + '_ {
        (0..self.len()).filter_map(|at| self.at(at))
    }

    fn len(&self) -> usize {
        if self.is_empty() { 0 } else { self.older.len() + 1 }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.older.iter().chain((!self.is_empty()).then_some(&self.newest))
    }

    /// The absent slot if there is none.
    fn oldest(&self) -> &Slot {
        self.older.get(0).unwrap_or(&self.newest)
    }

    fn slot(&self, at: usize) -> Option<&Slot> {
        self.older.get(at).or_else(|| (at + 1 == self.len()).then_some(&self.newest))
    }

    fn slot_mut(&mut self, at: usize) -> &mut Slot {
        self.older.get_mut(at).unwrap_or(&mut self.newest)
    }

    fn at(&self, at: usize) -> Option<Acked> {
        let slot = self.slot(at)?;
        let append_time = self.append_times.as_ref().and_then(|times| times.get(at).copied()).unwrap_or(-1);
        Some(Acked {
            range: slot.range(),
            base_offset: slot.base_offset,
            fingerprint: Fingerprint {
                crc: slot.crc,
                length: slot.length_and_flags & LENGTH,
                codec: (slot.length_and_flags >> CODEC_AT & 0x07) as u8,
                stored: slot.length_and_flags & STORED != 0,
            },
            proof: slot.length_and_flags & PROOF != 0,
            leader_only: slot.length_and_flags & LEADER_ONLY != 0,
            older: slot.length_and_flags & OLDER != 0,
            append_time,
        })
    }

    fn place_of(&self, range: SequenceRange) -> Option<usize> {
        if self.lies_outside(range) { None } else { self.place_within(range) }
    }

    /// As `place_of`, for a range that may be among the slots.
    #[inline(never)]
    fn place_within(&self, range: SequenceRange) -> Option<usize> {
        if self.newest.range() == range {
            return Some(self.older.len());
        }
        self.older.iter().rposition(|slot| slot.range() == range)
    }

    /// Whether `range` lies in the part of the ring between the newest and the oldest slot. What is in flight does, as a
    /// rule: it is held against none of them.
    #[inline]
    fn lies_outside(&self, range: SequenceRange) -> bool {
        self.is_empty() || self.is_beyond(range, self.floor) || self.is_beyond_oldest(range)
    }

    /// Out of line, for the oldest may lie elsewhere in memory and is hardly ever looked at.
    #[inline(never)]
    fn is_beyond_oldest(&self, range: SequenceRange) -> bool {
        self.is_beyond(range, self.oldest().first)
    }

    /// Whether `range` lies in the part of the ring between the newest slot and `from`, which the oldest begins at or after,
    /// and no slot lies there.
    fn is_beyond(&self, range: SequenceRange, from: Sequence) -> bool {
        let first = range.first.distance_from(from);
        let follows_newest = first > self.newest.last.distance_from(from) && range.last.distance_from(from) >= first;
        follows_newest && self.newest.length_and_flags & OVERLAPS == 0
    }

    fn drop_oldest(&mut self) {
        self.older.drop_oldest();
        if let Some(times) = &mut self.append_times {
            times.pop_front();
        }
    }

    #[cold]
    fn grow(&mut self, slots_max: usize) {
        let target = (self.older.len() * 2).min(slots_max.saturating_sub(1));
        self.older.resize(target);
    }

    /// Of a slot that has been put at its place.
    #[inline(never)]
    fn add_append_time(&mut self, at: usize, append_time: i64) {
        match &mut self.append_times {
            Some(times) => times.insert(at, append_time),
            None => self.set_append_time(at, append_time),
        }
    }

    fn set_append_time(&mut self, at: usize, append_time: i64) {
        if self.append_times.is_none() && append_time == -1 {
            return;
        }
        let len = self.len();
        let times = self.append_times.get_or_insert_with(|| Box::new(VecDeque::from(vec![-1; len])));
        times[at] = append_time;
    }
}

/// Whether `last` is `first`, or the shorter way from that to it goes forward.
fn is_near(first: Sequence, last: Sequence) -> bool {
    last == first || last.is_after(first)
}

impl Slot {
    const fn is_absent(&self) -> bool {
        self.length_and_flags == u32::MAX
    }

    const fn range(&self) -> SequenceRange {
        SequenceRange { first: self.first, last: self.last }
    }
}

impl From<Acked> for Slot {
    fn from(acked: Acked) -> Self {
        let proof = if acked.proof { PROOF } else { 0 };
        let leader_only = if acked.leader_only { LEADER_ONLY } else { 0 };
        let older = if acked.older { OLDER } else { 0 };
        let stored = if acked.fingerprint.stored { STORED } else { 0 };
        let codec = u32::from(acked.fingerprint.codec & 0x07) << CODEC_AT;
        let length = acked.fingerprint.length.min(LENGTH_MAX);
        Self {
            first: acked.range.first,
            last: acked.range.last,
            base_offset: acked.base_offset,
            crc: acked.fingerprint.crc,
            length_and_flags: length | codec | proof | leader_only | older | stored,
        }
    }
}

#[cfg(test)]
mod tests;
