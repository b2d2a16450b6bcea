//! Values in numbered places that stay where they are: growing allocates one more chunk and moves nothing.

/// Values per chunk, and so the most that one growth step has to prepare.
const CHUNK: usize = 1024;

/// No place: the end of a list of places.
pub(super) const NOWHERE: u32 = u32::MAX;

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    Free { next: u32 },
}

/// A slab of values addressed by `u32`.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Place<T>>>,
    free: u32,
    len: u32,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NOWHERE, len: 0 }
    }

    /// Puts `value` into a free place.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free != NOWHERE {
            let at = self.free;
            let place = &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK];
            let Place::Free { next } = *place else { unreachable!("the free list holds only free places") };
            self.free = next;
            *place = Place::Taken(value);
            return at;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("pushed above");
        chunk.push(Place::Taken(value));
        u32::try_from(before + chunk.len() - 1).expect("limits keep slabs below 2^32 places")
    }

    /// Takes the value at `at` out; the place may be given to another value.
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let place = self.chunks.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)?;
        if matches!(place, Place::Free { .. }) {
            return None;
        }
        let taken = std::mem::replace(place, Place::Free { next: self.free });
        self.free = at;
        self.len -= 1;
        match taken {
            Place::Taken(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        match self.chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)? {
            Place::Taken(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.chunks.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)? {
            Place::Taken(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// One more than the highest place ever used.
    pub(super) fn places(&self) -> u32 {
        let last = self.chunks.last().map_or(0, Vec::len);
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        u32::try_from(full + last).expect("limits keep slabs below 2^32 places")
    }

    /// What the places take in memory, in bytes; what their values own elsewhere is not in it.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Place<T>>() + self.chunks.capacity() * size_of::<Vec<Place<T>>>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        self.get(at).expect("a place is kept as long as something points at it")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.get_mut(at).expect("a place is kept as long as something points at it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_no_more_than_an_entry() {
        assert_eq!(size_of::<Place<super::super::entry::Entry>>(), 128);
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
        assert_eq!(slab.places(), 3000);
    }
}
