//! A queue in a fixed array: the slots beside the newest.

use super::{ABSENT, Slot};
use crate::sequencing::allowance::allocated;

/// Slots, oldest first. Only `resize` changes how many it has room for.
///
/// Own code because it takes 24 bytes where `VecDeque` takes 32: the entry in which it lies fills two cache lines to the last
/// byte, and the rest of them is needed.
#[derive(Debug)]
pub(super) struct Ring {
    places: Box<[Slot]>,
    /// Where the oldest is, if there is one.
    head: u16,
    len: u16,
}

impl Ring {
    /// With room for so many slots, 1 to 65,535.
    pub(super) fn new(capacity: usize) -> Self {
        debug_assert!((1..=usize::from(u16::MAX)).contains(&capacity));
        Self { places: vec![ABSENT; capacity].into_boxed_slice(), head: 0, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    /// What the slots take in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        allocated(size_of_val(&*self.places))
    }

    pub(super) fn get(&self, at: usize) -> Option<&Slot> {
        (at < self.len()).then(|| &self.places[self.place(at)])
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Slot> {
        (at < self.len()).then(|| self.place(at)).map(|place| &mut self.places[place])
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Slot> + ExactSizeIterator {
        (0..self.len()).map(|at| &self.places[self.place(at)])
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        let (before, from_head) = self.places.split_at_mut(self.head.into());
        from_head.iter_mut().chain(before).take(self.len.into())
    }

    /// Puts a slot behind all others; there must be room for it.
    pub(super) fn push(&mut self, slot: Slot) {
        assert!(self.len() < self.capacity(), "the caller makes room");
        let place = self.place(self.len());
        self.places[place] = slot;
        self.len += 1;
    }

    /// Puts a slot behind so many older ones, at most as many as there are; there must be room for it.
    pub(super) fn insert(&mut self, at: usize, slot: Slot) {
        assert!(self.len() < self.capacity(), "the caller makes room");
        // The shorter side moves.
        if at < self.len() / 2 {
            self.head = self.place(self.capacity() - 1) as u16;
            for older in 0..at {
                self.places[self.place(older)] = self.places[self.place(older + 1)];
            }
        } else {
            for newer in (at..self.len()).rev() {
                self.places[self.place(newer + 1)] = self.places[self.place(newer)];
            }
        }
        self.places[self.place(at)] = slot;
        self.len += 1;
    }

    /// The oldest goes, if there is one.
    pub(super) fn drop_oldest(&mut self) {
        if self.len > 0 {
            self.head = self.place(1) as u16;
            self.len -= 1;
        }
    }

    /// All go; their room stays.
    pub(super) fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
    }

    /// Makes room for so many slots in all, not fewer than there are.
    pub(super) fn resize(&mut self, capacity: usize) {
        let mut other = Self::new(capacity);
        self.iter().for_each(|slot| other.push(*slot));
        *self = other;
    }

    /// Of the `at`th slot, or of the one that would follow the last.
    fn place(&self, at: usize) -> usize {
        let place = usize::from(self.head) + at;
        if place < self.places.len() { place } else { place - self.places.len() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ring_is_a_queue(steps in prop::collection::vec((0_u8..8, 0_usize..40), 0..100)) {
            let (mut ring, mut queue) = (Ring::new(4), VecDeque::new());
            for (n, (what, at)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        ring.drop_oldest();
                        queue.pop_front();
                    }
                    1 if at == 0 => {
                        ring.clear();
                        queue.clear();
                    }
                    1 => {
                        ring.iter_mut().for_each(|slot| slot.base_offset += 1);
                        queue.iter_mut().for_each(|offset| *offset += 1);
                    }
                    2 => ring.resize(queue.len().max(4)),
                    3 => {
                        let of_ring = ring.get_mut(at).map(|slot| std::mem::replace(&mut slot.base_offset, -1));
                        prop_assert_eq!(of_ring, queue.get_mut(at).map(|offset| std::mem::replace(offset, -1)));
                    }
                    _ => {
                        if ring.len() == ring.capacity() {
                            ring.resize(ring.len() * 2);
                        }
                        let (at, offset) = (at.min(queue.len()), n as i64);
                        ring.insert(at, Slot { base_offset: offset, ..ABSENT });
                        queue.insert(at, offset);
                    }
                }
                prop_assert!(ring.iter().map(|slot| slot.base_offset).eq(queue.iter().copied()));
                prop_assert!(ring.iter().rev().map(|slot| slot.base_offset).eq(queue.iter().rev().copied()));
                prop_assert_eq!(ring.get(at).map(|slot| slot.base_offset), queue.get(at).copied());
                prop_assert_eq!(ring.bytes(), allocated(ring.capacity() * size_of::<Slot>()));
            }
        }
    }

    #[test]
    fn a_ring_takes_24_bytes() {
        assert_eq!(size_of::<Ring>(), 24);
    }

    #[test]
    fn an_empty_ring_drops_nothing() {
        let mut ring = Ring::new(1);
        ring.drop_oldest();
        assert_eq!((ring.len(), ring.capacity()), (0, 1));
    }
}
