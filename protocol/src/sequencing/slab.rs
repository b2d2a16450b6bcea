//! Values in numbered places that stay where they are: growing adds one chunk and moves nothing, and a chunk that has
//! become empty is given back. One that has not is only given back by whoever can have its values stand elsewhere.
//!
//! A look takes ten instructions or so. It is inlined wherever it stands, for what several of them in one function load is
//! loaded once then.

use super::allowance::allocated;

/// Values per chunk, and so the most that one growth step has to prepare.
pub(super) const CHUNK: usize = 128;

/// No place: the end of a list of places.
pub(super) const NOWHERE: u32 = u32::MAX;

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    /// `next` is the next free place of the same chunk.
    Free {
        next: u32,
    },
}

/// What is known of a chunk beside its values, so that those who look for one meet only these.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// The first of its free places.
    free: u32,
    len: u32,
    /// The chunk before it in the list that this one is in. Among those that were given back there is none.
    before: u32,
    next: u32,
}

const NO_CHUNK: Chunk = Chunk { free: NOWHERE, len: 0, before: NOWHERE, next: NOWHERE };

/// A slab of values addressed by `u32`.
#[derive(Debug)]
pub(super) struct Slab<T> {
    /// `None`: given back.
    places: Vec<Option<Box<[Place<T>; CHUNK]>>>,
    chunks: Vec<Chunk>,
    /// The first of the chunks with a free place.
    open: u32,
    /// The first of those that were given back.
    gone: u32,
    /// Chunks that are there.
    held: usize,
    /// Those of them that are empty: one is kept, for a slab that goes up and down.
    empty: u32,
    len: u32,
    bytes: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            chunks: Vec::new(),
            open: NOWHERE,
            gone: NOWHERE,
            held: 0,
            empty: 0,
            len: 0,
            bytes: 0,
        }
    }

    /// Puts `value` into a free place.
    #[inline(always)]
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if self.free_places() == 0 {
            self.add_chunk();
        }
        let here = self.open as usize;
        let chunk = &mut self.chunks[here];
        let at = chunk.free;
        let place = &mut self.places[here].as_mut().expect("a chunk with a free place is there")[at as usize];
        let Place::Free { next } = *place else { unreachable!("the free list holds only free places") };
        *place = Place::Taken(value);
        self.empty -= u32::from(chunk.len == 0);
        chunk.free = next;
        chunk.len += 1;
        if next == NOWHERE {
            self.unlink(here);
        }
        self.len += 1;
        here as u32 * CHUNK as u32 + at
    }

    /// Takes the value at `at` out; the place may be given to another value.
    #[inline(always)]
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let here = at as usize / CHUNK;
        let chunk = self.chunks.get_mut(here)?;
        let place = &mut self.places[here].as_mut()?[at as usize % CHUNK];
        if matches!(place, Place::Free { .. }) {
            return None;
        }
        // The place holds the rest of its chunk's free list, and now begins it.
        let Place::Taken(value) = std::mem::replace(place, Place::Free { next: chunk.free }) else { return None };
        let was_full = chunk.free == NOWHERE;
        chunk.free = at % CHUNK as u32;
        chunk.len -= 1;
        let is_empty = chunk.len == 0;
        self.len -= 1;
        if was_full {
            self.link(here);
        }
        if is_empty {
            self.note_empty(here);
        }
        Some(value)
    }

    #[inline(always)]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        match &self.places.get(at as usize / CHUNK)?.as_ref()?[at as usize % CHUNK] {
            Place::Taken(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.place_mut(at)? {
            Place::Taken(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    #[inline(always)]
    fn place_mut(&mut self, at: u32) -> Option<&mut Place<T>> {
        Some(&mut self.places.get_mut(at as usize / CHUNK)?.as_mut()?[at as usize % CHUNK])
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// How many there can be in what is taken for them.
    pub(super) const fn capacity(&self) -> u32 {
        (self.held * CHUNK) as u32
    }

    /// How many more would take no more memory.
    pub(super) const fn free_places(&self) -> usize {
        (self.capacity() - self.len) as usize
    }

    /// Whether more than half of what is taken, a chunk aside, is for values that are not there.
    pub(super) const fn is_sparse(&self) -> bool {
        2 * self.len as usize + CHUNK < self.held * CHUNK
    }

    /// One more than the highest place ever used, or more.
    pub(super) fn places(&self) -> u32 {
        u32::try_from(self.places.len() * CHUNK).expect("limits keep slabs below 2^32 places")
    }

    /// The first place from `at` on whose chunk is there; `at` itself as a rule.
    pub(super) fn present_from(&self, at: u32) -> u32 {
        let (from, is_there) = (at as usize / CHUNK, |chunk: &Option<_>| chunk.is_some());
        match self.places.get(from..).and_then(|rest| rest.iter().position(is_there)) {
            Some(0) => at,
            Some(skipped) => ((from + skipped) * CHUNK) as u32,
            None => self.places(),
        }
    }

    /// What the next insertion adds to what the places take.
    pub(super) const fn growth(&self) -> usize {
        if self.free_places() == 0 { Self::CHUNK_BYTES } else { 0 }
    }

    /// What the places take in memory, in bytes; what their values own elsewhere is not in it.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back the chunk with the fewest values, which stand in free places of others from then on: `moved` is told of each
    /// where it stood and where it stands. False when the others have not as many.
    pub(super) fn give_back(&mut self, mut moved: impl FnMut(&T, u32, u32)) -> bool {
        if self.free_places() < CHUNK {
            return false;
        }
        let there = (0..self.chunks.len()).filter(|at| self.places[*at].is_some());
        let Some(here) = there.min_by_key(|at| self.chunks[*at].len) else { return false };
        let len = self.chunks[here].len;
        self.empty -= u32::from(len == 0);
        self.len -= len;
        let Some(places) = self.take_chunk(here) else { return false };
        let places: Box<[Place<T>]> = places;
        for (at, place) in places.into_vec().into_iter().enumerate() {
            if let Place::Taken(value) = place {
                let to = self.insert(value);
                moved(&self[to], (here * CHUNK + at) as u32, to);
            }
        }
        true
    }

    /// All values.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.places()).filter_map(|at| self.get(at))
    }

    const CHUNK_BYTES: usize = allocated(size_of::<[Place<T>; CHUNK]>());

    #[cold]
    fn add_chunk(&mut self) {
        let here = self.gone;
        let here = if here == NOWHERE {
            self.places.push(None);
            self.chunks.push(NO_CHUNK);
            self.places.len() - 1
        } else {
            self.gone = self.chunks[here as usize].next;
            here as usize
        };
        let last = CHUNK as u32 - 1;
        let free = |at| Place::Free { next: if at == last { NOWHERE } else { at + 1 } };
        self.places[here] = Some(Box::new(std::array::from_fn(|at| free(at as u32))));
        self.chunks[here] = Chunk { free: 0, ..NO_CHUNK };
        self.link(here);
        self.held += 1;
        self.empty += 1;
        self.count();
    }

    #[cold]
    fn note_empty(&mut self, here: usize) {
        if self.empty == 0 {
            self.empty = 1;
        } else {
            self.take_chunk(here);
        }
    }

    /// Takes a chunk that has a free place out, with what is in it.
    fn take_chunk(&mut self, here: usize) -> Option<Box<[Place<T>; CHUNK]>> {
        self.unlink(here);
        self.chunks[here] = Chunk { next: self.gone, ..NO_CHUNK };
        self.gone = here as u32;
        self.held -= 1;
        let places = self.places[here].take();
        self.count();
        places
    }

    /// The chunk has a free place from now on.
    #[cold]
    fn link(&mut self, here: usize) {
        let at = u32::try_from(here).expect("limits keep slabs below 2^32 places");
        let next = std::mem::replace(&mut self.open, at);
        let chunk = &mut self.chunks[here];
        (chunk.before, chunk.next) = (NOWHERE, next);
        if let Some(next) = self.chunks.get_mut(next as usize) {
            next.before = at;
        }
    }

    /// It has none from now on, or goes.
    #[cold]
    fn unlink(&mut self, here: usize) {
        let Chunk { before, next, .. } = self.chunks[here];
        match self.chunks.get_mut(before as usize) {
            Some(before) => before.next = next,
            None => self.open = next,
        }
        if let Some(next) = self.chunks.get_mut(next as usize) {
            next.before = before;
        }
    }

    fn count(&mut self) {
        let tables = self.places.capacity() * size_of::<Option<Box<T>>>() + self.chunks.capacity() * size_of::<Chunk>();
        self.bytes = self.held * Self::CHUNK_BYTES + tables;
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, at: u32) -> &T {
        self.get(at).expect("a place is kept as long as something points at it")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline(always)]
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.get_mut(at).expect("a place is kept as long as something points at it")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_place_takes_no_more_than_an_entry() {
        use super::super::entry::Entry;
        assert_eq!((size_of::<Place<Entry>>(), size_of::<Entry>()), (224, 224));
    }

    #[test]
    fn a_freed_place_is_used_again_and_the_rest_stays() {
        let mut slab = Slab::new();
        let places: Vec<u32> = (0..3000).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.len(), 3000);
        assert_eq!(slab.remove(places[1500]), Some(1500));
        assert_eq!(slab.remove(places[1500]), None);
        assert_eq!(slab.get(places[1500]), None);
        assert_eq!(slab.insert(7), places[1500]);
        assert_eq!(slab[places[2999]], 2999);
    }

    #[test]
    fn what_is_empty_is_given_back_but_for_one_chunk() {
        let mut slab = Slab::new();
        let places: Vec<u32> = (0..6400).map(|n| slab.insert(n)).collect();
        let full = slab.bytes();
        for at in &places[CHUNK..] {
            slab.remove(*at);
        }
        assert_eq!((slab.held, slab.present_from(2 * CHUNK as u32 + 5)), (2, slab.places()));
        assert!(slab.bytes() < full / 8, "{} of {full}", slab.bytes());
        // Up and down at the edge of a chunk, nothing is given back and taken again.
        let before = slab.bytes();
        let again: Vec<u32> = (0..CHUNK as u32).map(|n| slab.insert(n)).collect();
        assert_eq!((slab.growth() > 0, slab.bytes()), (true, before));
        again.into_iter().for_each(|at| assert!(slab.remove(at).is_some()));
        assert_eq!(slab.bytes(), before);
    }

    #[test]
    fn the_tables_of_what_was_given_back_count() {
        let mut slab = Slab::new();
        (0..6400).for_each(|n| _ = slab.insert(n));
        (0..6400).for_each(|at| _ = slab.remove(at));
        let (counted, tables) = (slab.bytes() - Slab::<u32>::CHUNK_BYTES, 50 * (8 + size_of::<Chunk>()));
        assert!((tables..2 * tables).contains(&counted), "{counted} for {tables}");
    }

    #[test]
    fn who_looks_for_values_skips_what_was_given_back() {
        const ONE: u32 = CHUNK as u32;
        let mut slab = Slab::new();
        (0..7 * ONE).for_each(|n| _ = slab.insert(n));
        // The first that becomes empty is kept.
        (ONE..5 * ONE).for_each(|at| _ = slab.remove(at));
        let from = [7, ONE + 3, 2 * ONE + 5, 5 * ONE, 6 * ONE + 9, 7 * ONE];
        let found = from.map(|at| slab.present_from(at));
        assert_eq!(found, [7, ONE + 3, 5 * ONE, 5 * ONE, 6 * ONE + 9, 7 * ONE]);
    }

    #[test]
    fn the_fewest_values_move_to_give_a_chunk_back() {
        const ONE: u32 = CHUNK as u32;
        let mut slab = Slab::new();
        (0..3 * ONE).for_each(|n| _ = slab.insert(n));
        assert!(!slab.give_back(|_, _, _| panic!("nothing is free")));
        (ONE..2 * ONE - 2).for_each(|at| _ = slab.remove(at));
        (5..7).for_each(|at| _ = slab.remove(at));
        let (full, mut moves) = (slab.bytes(), Vec::new());
        assert!(slab.give_back(|value, from, to| moves.push((*value, from, to))));
        assert_eq!(moves, [(2 * ONE - 2, 2 * ONE - 2, 6), (2 * ONE - 1, 2 * ONE - 1, 5)]);
        assert_eq!((slab.len(), slab.free_places(), full - slab.bytes()), (2 * ONE, 0, Slab::<u32>::CHUNK_BYTES));
        assert_eq!((slab.get(2 * ONE - 1), slab.present_from(ONE)), (None, 2 * ONE));
    }

    #[test]
    fn a_slab_is_sparse_when_most_of_it_is_for_values_that_are_not_there() {
        const ONE: u32 = CHUNK as u32;
        let mut slab = Slab::new();
        assert!(!slab.is_sparse());
        (0..5 * ONE).for_each(|n| _ = slab.insert(n));
        // Half of each chunk, one of them aside.
        (0..5 * ONE).filter(|at| at % 2 == 1 && *at < 4 * ONE).for_each(|at| _ = slab.remove(at));
        (4 * ONE..5 * ONE - 1).for_each(|at| _ = slab.remove(at));
        assert!(!slab.is_sparse());
        slab.remove(5 * ONE - 1);
        assert!(!slab.is_sparse(), "as much as all but one of its chunks");
        slab.remove(0);
        assert!(slab.is_sparse() && slab.give_back(|_, _, _| {}) && !slab.is_sparse());
    }

    proptest! {
        /// In waves, so that chunks fill, empty, come back, and are emptied by moving what is in them.
        #[test]
        fn a_slab_agrees_with_a_map(waves in prop::collection::vec((0_usize..300, 0_usize..300), 0..12)) {
            let (mut slab, mut model, mut order) = (Slab::new(), HashMap::new(), Vec::new());
            for (n, (added, removed)) in waves.into_iter().enumerate() {
                for value in 0..added {
                    let at = slab.insert((n, value));
                    prop_assert_eq!(model.insert(at, (n, value)), None);
                    order.push(at);
                }
                for _ in 0..removed.min(order.len()) {
                    let at = order.swap_remove(order.len() * 7 / 11 % order.len());
                    prop_assert_eq!(slab.remove(at), model.remove(&at));
                }
                let (has_room, before) = (slab.free_places() >= CHUNK, slab.bytes());
                let given = n % 3 == 2 && slab.give_back(|value, from, to| {
                    assert_eq!(model.remove(&from).as_ref(), Some(value));
                    assert_eq!(model.insert(to, *value), None);
                    order.iter_mut().filter(|at| **at == from).for_each(|at| *at = to);
                });
                prop_assert_eq!(given, n % 3 == 2 && has_room);
                prop_assert_eq!(before - slab.bytes(), usize::from(given) * Slab::<(usize, usize)>::CHUNK_BYTES);
                prop_assert_eq!(slab.len() as usize, model.len());
                for at in 0..slab.places() {
                    prop_assert_eq!(slab.get(at), model.get(&at));
                }
            }
        }
    }
}
