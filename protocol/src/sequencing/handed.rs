//! Producer ids that the cluster was seen to hand out.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::sequence::{ProducerEpoch, ProducerId};

/// How many are remembered. An entry that has not been held against a forgotten one counts as ended by it.
const HANDED_MAX: usize = 16_384;

#[derive(Clone, Copy, Debug)]
struct Handed {
    serial: u32,
    epoch: ProducerEpoch,
    /// The serial of an earlier time at a lower epoch, and that epoch: it ended more than this one did.
    before: Option<(u32, ProducerEpoch)>,
    /// Nothing of the id was evicted or dropped since, so "never seen" still means "never used".
    fresh: bool,
}

impl Handed {
    /// Whether it ended what was known at `epoch`, when `seen` ids had been handed out.
    fn ends(&self, epoch: ProducerEpoch, seen: u32) -> bool {
        let ends = |(serial, lowest)| serial > seen && epoch >= lowest;
        ends((self.serial, self.epoch)) || self.before.is_some_and(ends)
    }

    /// What of it ends more than handing the id out once more, at `epoch`, will. Two earlier times are taken for one
    /// that ended what either did.
    fn below(&self, epoch: ProducerEpoch) -> Option<(u32, ProducerEpoch)> {
        if self.epoch < epoch {
            let lowest = self.before.map_or(self.epoch, |(_, lowest)| lowest);
            return Some((self.serial, lowest));
        }
        self.before.filter(|(_, lowest)| *lowest < epoch)
    }
}

/// An `InitProducerId` answer hands out an id that nobody else has: what was known under it, at its epoch or above,
/// belongs to a cluster that is no more.
#[derive(Debug, Default)]
pub(super) struct HandedOut {
    by_id: HashMap<ProducerId, Handed>,
    order: VecDeque<(ProducerId, u32)>,
    serial: u32,
    /// Everything up to this serial may be forgotten.
    floor: u32,
}

impl HandedOut {
    pub(super) fn add(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        self.insert(id, epoch, true);
    }

    /// As if the id had been handed out anew, but it is in use: its entries start from nothing.
    pub(super) fn end(&mut self, id: ProducerId) {
        self.insert(id, ProducerEpoch::new(i16::MIN), false);
    }

    /// How many were handed out so far.
    pub(super) const fn serial(&self) -> u32 {
        self.serial
    }

    /// Whether what was known of `id` at `epoch`, when `seen` ids had been handed out, has ended since.
    pub(super) fn has_ended(&self, id: ProducerId, epoch: ProducerEpoch, seen: u32) -> bool {
        if seen == self.serial && seen != u32::MAX {
            return false;
        }
        if seen < self.floor || seen == u32::MAX {
            return true;
        }
        self.by_id.get(&id).is_some_and(|handed| handed.ends(epoch, seen))
    }

    /// Whether `id` was handed out with `epoch` and is not known to have been used.
    pub(super) fn is_fresh(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.by_id.get(&id).is_some_and(|handed| handed.fresh && handed.epoch == epoch)
    }

    /// Something known of `id` was evicted or dropped.
    pub(super) fn is_used(&mut self, id: ProducerId) {
        if let Some(handed) = self.by_id.get_mut(&id) {
            handed.fresh = false;
        }
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.by_id.allocation_size() + self.order.capacity() * size_of::<(ProducerId, u32)>()
    }

    fn insert(&mut self, id: ProducerId, epoch: ProducerEpoch, fresh: bool) {
        // After 2^32 of them nothing is held as proven any more, until the next start: everything is forwarded.
        self.serial = self.serial.saturating_add(1);
        let serial = self.serial;
        let before = self.by_id.get(&id).and_then(|known| known.below(epoch));
        self.by_id.insert(id, Handed { serial, epoch, before, fresh });
        self.order.push_back((id, serial));
        if self.order.len() > HANDED_MAX
            && let Some((oldest, serial)) = self.order.pop_front()
        {
            self.floor = self.floor.max(serial);
            if self.by_id.get(&oldest).is_some_and(|handed| handed.serial == serial) {
                self.by_id.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProducerId = ProducerId::new(7);
    const ZERO: ProducerEpoch = ProducerEpoch::new(0);

    #[test]
    fn what_was_known_below_the_handed_out_epoch_stays() {
        let mut handed = HandedOut::default();
        handed.add(ID, ProducerEpoch::new(3));
        assert!(!handed.has_ended(ID, ProducerEpoch::new(2), 0));
        assert!(handed.has_ended(ID, ProducerEpoch::new(3), 0));
        assert!(!handed.has_ended(ID, ProducerEpoch::new(3), 1), "held against it already");
    }

    #[test]
    fn an_id_handed_out_again_and_then_at_a_higher_epoch_has_ended_since_the_first_time() {
        let epoch = ProducerEpoch::new;
        let mut handed = HandedOut::default();
        handed.add(ID, ZERO);
        handed.add(ID, epoch(1));
        assert!(handed.has_ended(ID, ZERO, 0));
        assert!(!handed.has_ended(ID, ZERO, 1), "known since the first time");
        handed.add(ID, epoch(2));
        assert!(handed.has_ended(ID, ZERO, 0) && handed.has_ended(ID, epoch(2), 2));
        assert!(!handed.has_ended(ID, epoch(1), 2), "known since the second time, at its epoch");
        handed.add(ID, epoch(1));
        assert!(handed.has_ended(ID, epoch(1), 3));
        assert!(handed.has_ended(ID, ZERO, 1) && !handed.has_ended(ID, ZERO, 2));
        handed.end(ID);
        assert!(handed.has_ended(ID, ZERO, 4));
    }

    #[test]
    fn a_forgotten_id_counts_as_ended() {
        let mut handed = HandedOut::default();
        for n in 0..20_000 {
            handed.add(ProducerId::new(n), ZERO);
        }
        assert_eq!(handed.by_id.len(), HANDED_MAX);
        assert!(handed.has_ended(ProducerId::new(1_000_000), ZERO, 5));
        assert!(!handed.has_ended(ProducerId::new(1_000_000), ZERO, 19_000));
    }

    #[test]
    fn an_id_is_fresh_until_something_of_it_is_dropped() {
        let mut handed = HandedOut::default();
        handed.add(ID, ZERO);
        assert!(handed.is_fresh(ID, ZERO));
        assert!(!handed.is_fresh(ID, ProducerEpoch::new(1)));
        handed.is_used(ID);
        assert!(!handed.is_fresh(ID, ZERO));
    }
}
