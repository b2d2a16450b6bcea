//! Producer ids that the cluster was seen to hand out.

use std::collections::VecDeque;

use super::allowance::allocated;
use super::index::Index;
use super::sequence::{ProducerEpoch, ProducerId};
use super::slab::Slab;

/// How many are remembered. An entry that has not been held against a forgotten one counts as ended by it.
const HANDED_MAX: usize = 16_384;

#[derive(Clone, Copy, Debug)]
struct Handed {
    id: ProducerId,
    serial: u32,
    epoch: ProducerEpoch,
    /// The lowest epoch that it was handed out with: a later, higher one does not take back what that has ended.
    lowest: ProducerEpoch,
    /// Nothing of the id was evicted or dropped since, so "never seen" still means "never used".
    fresh: bool,
    /// Something that was acknowledged of it, perhaps, is not known any more.
    forgotten: bool,
}

/// An `InitProducerId` answer hands out an id that nobody else has: what was known under it, at its epoch or above,
/// belongs to a cluster that is no more.
#[derive(Debug)]
pub(super) struct HandedOut {
    handed: Slab<Handed>,
    by_id: Index,
    order: VecDeque<(ProducerId, u32)>,
    serial: u32,
    /// Everything up to this serial may be forgotten.
    floor: u32,
    /// Ids up to this serial may have been used on a topic that is gone.
    used: u32,
    /// Of which ids that are not among these something that was acknowledged, perhaps, is not known any more.
    others_forgotten: Few,
}

/// Ids of which it is remembered for ever, roughly, that they were noted: some others count as noted, too.
#[derive(Debug)]
struct Few([u64; FEW_BITS / 64]);

/// Half a KiB for each tracker. A thousand ids of a million let one in five of the others count as noted.
const FEW_BITS: usize = 4096;

impl Few {
    fn note(&mut self, id: ProducerId) {
        let (word, bit) = Self::place(id);
        self.0[word] |= bit;
    }

    fn has(&self, id: ProducerId) -> bool {
        let (word, bit) = Self::place(id);
        self.0[word] & bit != 0
    }

    /// Ids come one after the other: their lowest bits say most.
    const fn place(id: ProducerId) -> (usize, u64) {
        let bit = (id.get() as u64 % FEW_BITS as u64) as usize;
        (bit / 64, 1 << (bit % 64))
    }
}

impl HandedOut {
    pub(super) fn new() -> Self {
        Self {
            handed: Slab::new(),
            by_id: Index::new(),
            order: VecDeque::new(),
            serial: 0,
            floor: 0,
            used: 0,
            others_forgotten: Few([0; FEW_BITS / 64]),
        }
    }

    /// `may_grow`: otherwise the oldest makes room.
    pub(super) fn add(&mut self, id: ProducerId, epoch: ProducerEpoch, may_grow: bool) {
        self.insert(Handed { id, serial: 0, epoch, lowest: epoch, fresh: true, forgotten: false }, may_grow);
    }

    /// As if the id had been handed out anew, but it is in use: its entries start from nothing.
    pub(super) fn end(&mut self, id: ProducerId, may_grow: bool) {
        let epoch = ProducerEpoch::new(i16::MIN);
        self.insert(Handed { id, serial: 0, epoch, lowest: epoch, fresh: false, forgotten: true }, may_grow);
    }

    /// How many were handed out so far.
    pub(super) const fn serial(&self) -> u32 {
        self.serial
    }

    /// Whether what was known of `id` at `epoch`, when `seen` ids had been handed out, has ended since.
    #[inline]
    pub(super) fn has_ended(&self, id: ProducerId, epoch: ProducerEpoch, seen: u32) -> bool {
        (seen != self.serial || seen == u32::MAX) && self.has_ended_since(id, epoch, seen)
    }

    #[cold]
    fn has_ended_since(&self, id: ProducerId, epoch: ProducerEpoch, seen: u32) -> bool {
        if seen < self.floor || seen == u32::MAX {
            return true;
        }
        self.get(id).is_some_and(|handed| handed.serial > seen && epoch >= handed.lowest)
    }

    /// Whether who had `id` at `epoch` may have it still, although what was known of it has ended: it was handed out
    /// with a higher epoch last, so with `epoch` it goes on where it was.
    pub(super) fn may_go_on(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.get(id).is_none_or(|handed| handed.epoch > epoch)
    }

    /// Whether `id` was handed out with a later epoch than `epoch`: what was known under that may have been forgotten before.
    pub(super) fn has_moved_on(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.get(id).is_some_and(|handed| handed.epoch > epoch)
    }

    /// Whether `id` was handed out with `epoch` and is not known to have been used.
    pub(super) fn is_fresh(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.get(id).is_some_and(|handed| handed.fresh && handed.serial > self.used && handed.epoch == epoch)
    }

    /// Whether something that was acknowledged of `id`, perhaps, is not known any more.
    pub(super) fn was_forgotten(&self, id: ProducerId) -> bool {
        let of_known = |handed: &Handed| handed.forgotten || handed.serial <= self.used;
        self.get(id).map_or_else(|| self.others_forgotten.has(id), of_known)
    }

    /// Something that was acknowledged of `id`, perhaps, is not known any more.
    pub(super) fn is_forgotten(&mut self, id: ProducerId) {
        match self.find(id) {
            Some(at) => {
                self.handed[at].fresh = false;
                self.handed[at].forgotten = true;
            }
            None => self.others_forgotten.note(id),
        }
    }

    /// Something was sent of `id`.
    pub(super) fn is_used(&mut self, id: ProducerId) {
        if let Some(at) = self.find(id) {
            self.handed[at].fresh = false;
        }
    }

    /// What is known of any id may be known of a topic that nothing leads to any more.
    pub(super) const fn are_used(&mut self) {
        self.used = self.serial;
    }

    /// What it takes in memory, in bytes; no step makes it more than twice as large.
    pub(super) fn bytes(&self) -> usize {
        let order = allocated(self.order.capacity() * size_of::<(ProducerId, u32)>());
        self.handed.bytes() + self.by_id.bytes() + order
    }

    fn find(&self, id: ProducerId) -> Option<u32> {
        self.by_id.find(&id, |at| self.handed[at].id == id)
    }

    fn get(&self, id: ProducerId) -> Option<&Handed> {
        Some(&self.handed[self.find(id)?])
    }

    fn insert(&mut self, handed: Handed, may_grow: bool) {
        // After 2^32 of them nothing is held as proven any more, until the next start: everything is forwarded.
        self.serial = self.serial.saturating_add(1);
        let (id, serial) = (handed.id, self.serial);
        let is_full = self.order.len() == self.order.capacity() || self.handed.growth() > 0;
        if self.order.len() == HANDED_MAX || is_full && !may_grow {
            self.forget_oldest();
        }
        let lowest = self.get(id).map_or(handed.lowest, |known| known.lowest.min(handed.lowest));
        let handed = Handed { serial, lowest, ..handed };
        match self.find(id) {
            Some(at) => self.handed[at] = handed,
            None => self.by_id.insert(&id, self.handed.insert(handed)),
        }
        self.order.push_back((id, serial));
    }

    fn forget_oldest(&mut self) {
        let Some((oldest, serial)) = self.order.pop_front() else { return };
        self.floor = self.floor.max(serial);
        if let Some(at) = self.find(oldest).filter(|at| self.handed[*at].serial == serial) {
            if self.was_forgotten(oldest) {
                self.others_forgotten.note(oldest);
            }
            self.handed.remove(at);
            self.by_id.remove(&oldest, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProducerId = ProducerId::new(7);
    const ZERO: ProducerEpoch = ProducerEpoch::new(0);

    impl HandedOut {
        /// As if so many had been handed out.
        pub(in super::super) const fn count_from(&mut self, serial: u32) {
            self.serial = serial;
        }
    }

    #[test]
    fn what_was_known_below_the_handed_out_epoch_stays() {
        let mut handed = HandedOut::new();
        handed.add(ID, ProducerEpoch::new(3), true);
        assert!(!handed.has_ended(ID, ProducerEpoch::new(2), 0));
        assert!(handed.has_ended(ID, ProducerEpoch::new(3), 0));
        assert!(!handed.has_ended(ID, ProducerEpoch::new(3), 1), "held against it already");
        handed.add(ProducerId::new(8), ZERO, true);
        assert!(!handed.has_ended(ID, ProducerEpoch::new(3), 1), "another producer's business");
        assert!(handed.has_ended(ID, ProducerEpoch::new(3), 0));
    }

    #[test]
    fn a_second_hand_out_does_not_hide_the_first() {
        let mut handed = HandedOut::new();
        handed.add(ID, ZERO, true);
        handed.add(ID, ProducerEpoch::new(1), true);
        assert!(handed.has_ended(ID, ZERO, 0));
    }

    #[test]
    fn a_forgotten_id_counts_as_ended() {
        let mut handed = HandedOut::new();
        for n in 0..20_000 {
            handed.add(ProducerId::new(n), ZERO, true);
        }
        assert_eq!(handed.handed.len() as usize, HANDED_MAX);
        assert!(handed.has_ended(ProducerId::new(1_000_000), ZERO, 5));
        assert!(!handed.has_ended(ProducerId::new(1_000_000), ZERO, 19_000));
    }

    #[test]
    fn what_was_forgotten_of_an_id_that_is_not_remembered_is_noted() {
        let (mut unseen, mut gone, mut used) = (HandedOut::new(), HandedOut::new(), HandedOut::new());
        for handed in [&mut gone, &mut used] {
            handed.add(ID, ZERO, true);
            assert!(!handed.was_forgotten(ID));
        }
        unseen.is_forgotten(ID);
        gone.is_forgotten(ID);
        used.are_used();
        for handed in [&mut gone, &mut used] {
            assert!(handed.was_forgotten(ID));
            handed.forget_oldest();
        }
        for handed in [unseen, gone, used] {
            assert!(handed.was_forgotten(ID) && !handed.was_forgotten(ProducerId::new(8)));
        }
    }

    #[test]
    fn without_room_to_grow_the_oldest_is_forgotten() {
        let mut handed = HandedOut::new();
        (0..100).for_each(|n| handed.add(ProducerId::new(n), ZERO, true));
        let bytes = handed.bytes();
        (100..10_000).for_each(|n| handed.add(ProducerId::new(n), ZERO, false));
        // Which of the index's 64 tables have had to grow, by a few hundred bytes each, is chance; 9,900 ids more would
        // take ten times that.
        assert!(handed.bytes() <= bytes + 16 * 1024, "{} and {bytes}", handed.bytes());
        assert!(handed.has_ended(ID, ZERO, 7), "forgotten, and so counted as ended");
        assert!(!handed.has_ended(ID, ZERO, 9_990));
    }

    #[test]
    fn without_room_to_grow_none_is_forgotten_as_long_as_there_is_some_left() {
        let full = |handed: &HandedOut| handed.order.len() == handed.order.capacity() || handed.handed.growth() > 0;
        for count in [64, 100, 128, 200, 384, 500] {
            let mut handed = HandedOut::new();
            (0..count).for_each(|n| handed.add(ProducerId::new(n), ZERO, true));
            let before = (handed.order.capacity(), handed.handed.bytes());
            for n in count..2 * count {
                let forgotten = handed.floor + u32::from(full(&handed));
                handed.add(ProducerId::new(n), ZERO, false);
                assert_eq!(handed.floor, forgotten, "{count}, {n}");
            }
            assert_eq!((handed.order.capacity(), handed.handed.bytes()), before, "{count}");
        }
    }

    #[test]
    fn all_of_it_is_counted() {
        let mut handed = HandedOut::new();
        (0..10_000).for_each(|n| handed.add(ProducerId::new(n), ZERO, true));
        let each = size_of::<Handed>() + size_of::<(u32, u32)>() + size_of::<(ProducerId, u32)>();
        assert!((10_000 * each..20_000 * each).contains(&handed.bytes()), "{}", handed.bytes());
    }

    #[test]
    fn an_id_is_fresh_until_something_of_it_is_dropped() {
        let mut handed = HandedOut::new();
        handed.add(ID, ZERO, true);
        assert!(handed.is_fresh(ID, ZERO));
        assert!(!handed.is_fresh(ID, ProducerEpoch::new(1)));
        handed.is_used(ID);
        assert!(!handed.is_fresh(ID, ZERO));
    }
}
