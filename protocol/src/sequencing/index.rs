//! A hash index in many small tables, so that growing one moves a small part of the whole.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;

use super::allowance::allocated;
use super::slab::NOWHERE;

/// Enough that a million keys in one index leave at most some 16,000 to move when a table grows.
const TABLES: usize = 64;

/// From keys, which live with the values, to places in a slab.
///
/// Own code because a look costs one cache miss here: hash and place stand side by side, and all that a look for a key that is
/// there meets is in one line, as a rule. A general table keeps its tags apart. With a million entries that is what a look is made of.
#[derive(Debug)]
pub(super) struct Index {
    /// None before the first key.
    tables: Box<[Table]>,
    /// Producer ids come one after the other: a hash that does less would lay some of them into few of the tables.
    hasher: RandomState,
    len: u32,
    bytes: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { tables: Box::default(), hasher: RandomState::default(), len: 0, bytes: 0 }
    }

    /// The place whose key `is_key` recognises.
    pub(super) fn find(&self, key: &impl Hash, is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        let (table, hash) = self.locate(key);
        self.tables.get(table)?.find(hash, is_key)
    }

    /// Adds a key that is not in the index yet.
    pub(super) fn insert(&mut self, key: &impl Hash, at: u32) {
        if self.tables.is_empty() {
            self.tables = (0..TABLES).map(|_| Table::default()).collect();
            self.bytes = TABLES * size_of::<Table>();
        }
        let (table, hash) = self.locate(key);
        let table = &mut self.tables[table];
        let before = table.bytes();
        table.insert(hash, at);
        self.bytes = self.bytes + table.bytes() - before;
        self.len += 1;
    }

    /// Removes the key that leads to `at`, if there is one.
    pub(super) fn remove(&mut self, key: &impl Hash, at: u32) {
        let (table, hash) = self.locate(key);
        if self.tables.get_mut(table).is_some_and(|table| table.remove(hash, at)) {
            self.len -= 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the tables take in memory, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a hash are taken on purpose")]
    fn locate(&self, key: &impl Hash) -> (usize, u32) {
        let hash = self.hasher.hash_one(key);
        ((hash >> 58) as usize % TABLES, hash as u32)
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    at: u32,
}

const EMPTY: Slot = Slot { hash: 0, at: NOWHERE };

impl Slot {
    const fn is_empty(self) -> bool {
        self.at == NOWHERE
    }
}

/// What one read from memory brings. Its slots are taken from the front on.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([Slot; LINE_SLOTS]);

const LINE_SLOTS: usize = 64 / size_of::<Slot>();

impl Line {
    fn is_full(&self) -> bool {
        !self.0[LINE_SLOTS - 1].is_empty()
    }

    /// Whether there was room for it.
    fn push(&mut self, slot: Slot) -> bool {
        let free = self.0.iter_mut().find(|slot| slot.is_empty());
        free.map(|free| *free = slot).is_some()
    }

    fn remove(&mut self, place: usize) {
        let last = self.0.iter().rposition(|slot| !slot.is_empty()).unwrap_or(place);
        self.0.swap(place, last);
        self.0[last] = EMPTY;
    }
}

/// Open addressing, line by line: a key is in the line that its hash leads to or, as long as those were full, in one after
/// it. A removal closes the hole it leaves, so that there are no tombstones.
#[derive(Debug, Default)]
struct Table {
    lines: Box<[Line]>,
    len: usize,
}

impl Table {
    fn find(&self, hash: u32, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.lines.is_empty() {
            return None;
        }
        let mut here = self.home(hash);
        loop {
            let line = &self.lines[here];
            if let Some(slot) = line.0.iter().find(|slot| slot.hash == hash && !slot.is_empty() && is_key(slot.at)) {
                return Some(slot.at);
            }
            if !line.is_full() {
                return None;
            }
            here = self.after(here);
        }
    }

    fn insert(&mut self, hash: u32, at: u32) {
        // An eighth stays empty: looks stay short, and always end.
        if (self.len + 1) * 8 > self.lines.len() * LINE_SLOTS * 7 {
            self.grow();
        }
        self.len += 1;
        self.put(Slot { hash, at });
    }

    fn remove(&mut self, hash: u32, at: u32) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        let mut here = self.home(hash);
        let mut place = loop {
            if let Some(place) = self.lines[here].0.iter().position(|slot| slot.at == at) {
                break place;
            }
            if !self.lines[here].is_full() {
                return false;
            }
            here = self.after(here);
        };
        self.len -= 1;
        loop {
            let was_full = self.lines[here].is_full();
            self.lines[here].remove(place);
            // Who stands behind it because it was full is looked for there no more.
            let Some((next, moved)) = was_full.then(|| self.who_passed(here)).flatten() else { return true };
            let slot = self.lines[next].0[moved];
            self.lines[here].push(slot);
            (here, place) = (next, moved);
        }
    }

    /// The first slot behind `here` whose key is looked for there on the way.
    fn who_passed(&self, here: usize) -> Option<(usize, usize)> {
        let mut next = self.after(here);
        while next != here {
            let passed = |slot: &Slot| {
                !slot.is_empty() && self.distance(self.home(slot.hash), next) >= self.distance(here, next)
            };
            if let Some(place) = self.lines[next].0.iter().position(passed) {
                return Some((next, place));
            }
            if !self.lines[next].is_full() {
                return None;
            }
            next = self.after(next);
        }
        None
    }

    /// By an eighth, or a line: doubled, tables would be more empty than full on average, and a million keys take as much as they have
    /// slots.
    fn grow(&mut self) {
        let size = (self.lines.len() + self.lines.len().div_ceil(8)).max(1);
        let old = std::mem::replace(&mut self.lines, vec![Line([EMPTY; LINE_SLOTS]); size].into_boxed_slice());
        for slot in old.iter().flat_map(|line| line.0).filter(|slot| !slot.is_empty()) {
            self.put(slot);
        }
    }

    fn put(&mut self, slot: Slot) {
        let mut here = self.home(slot.hash);
        while !self.lines[here].push(slot) {
            here = self.after(here);
        }
    }

    /// Lines begin where lines of the cache do: the allocator loses as much as one of them for it.
    fn bytes(&self) -> usize {
        if self.lines.is_empty() { 0 } else { allocated(size_of_val(&*self.lines)) + align_of::<Line>() }
    }

    /// The hash's part of the table: sizes are no powers of two.
    const fn home(&self, hash: u32) -> usize {
        ((hash as u64 * self.lines.len() as u64) >> 32) as usize
    }

    const fn after(&self, here: usize) -> usize {
        let next = here + 1;
        if next == self.lines.len() { 0 } else { next }
    }

    /// Steps forward from `from` to `to`.
    const fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.lines.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn keys_are_found_until_they_are_removed() {
        let keys: Vec<(u32, i64)> = (0..10_000).map(|n| (n % 7, i64::from(n))).collect();
        let mut index = Index::new();
        for (at, key) in keys.iter().enumerate() {
            index.insert(key, u32::try_from(at).unwrap());
        }
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(index.find(key, |p| keys[p as usize] == *key), Some(u32::try_from(at).unwrap()));
        }
        index.remove(&keys[5], 5);
        assert_eq!(index.find(&keys[5], |p| keys[p as usize] == keys[5]), None);
        assert!(index.find(&keys[6], |p| keys[p as usize] == keys[6]).is_some());
    }

    #[test]
    fn what_the_tables_take_is_counted_and_grows_by_little() {
        let mut index = Index::new();
        assert_eq!((index.bytes(), index.is_empty()), (0, true));
        let mut before = 0;
        for at in 0..20_000_u32 {
            index.insert(&at, at);
            let lines = index.tables.iter().map(|table| size_of_val(&*table.lines)).filter(|bytes| *bytes > 0);
            let bytes: usize = lines.map(|bytes| allocated(bytes) + 64).sum();
            assert_eq!(index.bytes(), TABLES * size_of::<Table>() + bytes);
            assert!(at < 1_000 || index.bytes() < before + before / 8, "{at}: {before}");
            before = index.bytes();
        }
        (0..20_000_u32).for_each(|at| index.remove(&at, at));
        assert!(index.is_empty() && !Index::new().tables.iter().any(|table| table.len > 0));
    }

    /// Whatever the seed, and as old ones make room for new ones: a table that once had more than its part stays large.
    #[test]
    fn neighbouring_ids_are_spread_over_the_tables() {
        const KEPT: u32 = 2_048;
        for _ in 0..40 {
            let mut index = Index::new();
            for n in 0..20 * KEPT {
                index.insert(&i64::from(n), n);
                if let Some(oldest) = n.checked_sub(KEPT) {
                    index.remove(&i64::from(oldest), oldest);
                }
            }
            let largest = index.tables.iter().map(|table| table.lines.len() * LINE_SLOTS).max();
            assert!(largest < Some(3 * KEPT as usize / TABLES), "{largest:?} where {KEPT} are in {TABLES}");
        }
    }

    #[test]
    fn keys_are_spread_over_a_table() {
        let mut table = Table::default();
        (0..1_000_u32).for_each(|n| table.insert(n * 4_294_967, n));
        let homes: std::collections::HashSet<usize> = (0..1_000_u32).map(|n| table.home(n * 4_294_967)).collect();
        assert_eq!(homes.len(), table.lines.len());
    }

    proptest! {
        /// Few hashes, so that runs of neighbours form and are broken up again.
        #[test]
        fn a_table_agrees_with_a_map(steps in prop::collection::vec((0_u32..16, 0_u32..40, any::<bool>()), 0..400)) {
            let mut table = Table::default();
            let mut model: HashMap<u32, u32> = HashMap::new();
            for (hash, at, adds) in steps {
                let hash = hash << 28;
                match (adds, model.get(&at).copied()) {
                    (true, None) => {
                        model.insert(at, hash);
                        table.insert(hash, at);
                    }
                    (false, Some(known)) => {
                        model.remove(&at);
                        table.remove(known, at);
                    }
                    (true, Some(_)) | (false, None) => {}
                }
                for at in 0..40 {
                    let found = model.get(&at).and_then(|hash| table.find(*hash, |p| p == at));
                    prop_assert_eq!(found, model.contains_key(&at).then_some(at));
                }
                prop_assert_eq!(table.len, model.len());
                // Or what is not there would be looked for without an end.
                prop_assert!(table.len == 0 || table.lines.iter().any(|line| !line.is_full()));
            }
        }
    }
}
