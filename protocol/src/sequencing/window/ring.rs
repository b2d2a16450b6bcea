//! A queue in a fixed array: the slots beside the newest.

use super::{ABSENT, Slot};
use crate::sequencing::allowance::allocated;

/// Slots, oldest first. Only `resize` changes how many it has room for.
///
/// Own code because the first few lie in the entry itself: a piece of memory of their own is a miss in the cache of its own, and
/// of a million entries few have more.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Ring {
    /// Where the oldest is, if there is one.
    head: u16,
    len: u16,
    /// Instead of its own, where these are too few.
    more: Box<[Slot]>,
    own: [Slot; OWN],
}

/// Slots that every ring has room for.
pub(super) const OWN: usize = 4;

impl Ring {
    /// With room for the least number of slots.
    pub(super) fn new() -> Self {
        Self { head: 0, len: 0, more: Box::default(), own: [ABSENT; OWN] }
    }

    fn places(&self) -> &[Slot] {
        if self.more.is_empty() { &self.own } else { &self.more }
    }

    fn places_mut(&mut self) -> &mut [Slot] {
        if self.more.is_empty() { &mut self.own } else { &mut self.more }
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    pub(super) fn capacity(&self) -> usize {
        self.places().len()
    }

    /// What the slots take in memory beside the ring itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        if self.more.is_empty() { 0 } else { allocated(size_of_val(&*self.more)) }
    }

    pub(super) fn get(&self, at: usize) -> Option<&Slot> {
        (at < self.len()).then(|| &self.places()[self.place(at)])
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Slot> {
        (at < self.len()).then(|| self.place(at)).map(|place| &mut self.places_mut()[place])
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Slot> + ExactSizeIterator {
        (0..self.len()).map(|at| &self.places()[self.place(at)])
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        let (head, len) = (self.head.into(), self.len.into());
        let (before, from_head) = self.places_mut().split_at_mut(head);
        from_head.iter_mut().chain(before).take(len)
    }

    /// Puts a slot behind all others; there must be room for it.
    pub(super) fn push(&mut self, slot: Slot) {
        assert!(self.len() < self.capacity(), "the caller makes room");
        let place = self.place(self.len());
        self.places_mut()[place] = slot;
        self.len += 1;
    }

    /// Puts a slot behind so many older ones, at most as many as there are; there must be room for it.
    pub(super) fn insert(&mut self, at: usize, slot: Slot) {
        assert!(self.len() < self.capacity(), "the caller makes room");
        // The shorter side moves.
        if at < self.len() / 2 {
            self.head = self.place(self.capacity() - 1) as u16;
            (0..at).for_each(|older| self.copy(older + 1, older));
        } else {
            (at..self.len()).rev().for_each(|newer| self.copy(newer, newer + 1));
        }
        let place = self.place(at);
        self.places_mut()[place] = slot;
        self.len += 1;
    }

    fn copy(&mut self, from: usize, to: usize) {
        let (from, to) = (self.place(from), self.place(to));
        let places = self.places_mut();
        places[to] = places[from];
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

    /// Makes room for so many slots in all, not fewer than there are; its own are there in any case. At most 65,535.
    pub(super) fn resize(&mut self, capacity: usize) {
        debug_assert!(capacity <= usize::from(u16::MAX));
        let mut other = Self::new();
        if capacity > OWN {
            other.more = vec![ABSENT; capacity].into_boxed_slice();
        }
        self.iter().for_each(|slot| other.push(*slot));
        *self = other;
    }

    /// Of the `at`th slot, or of the one that would follow the last.
    fn place(&self, at: usize) -> usize {
        let (place, capacity) = (usize::from(self.head) + at, self.capacity());
        if place < capacity { place } else { place - capacity }
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
            let (mut ring, mut queue) = (Ring::new(), VecDeque::new());
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
                    2 => ring.resize(queue.len()),
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
                let beside = if ring.capacity() > OWN { allocated(ring.capacity() * size_of::<Slot>()) } else { 0 };
                prop_assert_eq!(ring.bytes(), beside);
            }
        }
    }

    #[test]
    fn an_empty_ring_drops_nothing() {
        let mut ring = Ring::new();
        ring.drop_oldest();
        assert_eq!((ring.len(), ring.capacity()), (0, OWN));
    }
}
