//! A hash index in many small tables, so that growing one moves a small part of the whole.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Enough that a million keys in one index leave at most some 16,000 to move when a table grows.
const TABLES: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Pointer {
    /// Kept beside the place, so that growing a table does not visit what it points at.
    hash: u32,
    at: u32,
}

/// From keys, which live with the values, to places in a slab.
#[derive(Debug)]
pub(super) struct Index {
    tables: Box<[HashTable<Pointer>]>,
    hasher: DefaultHashBuilder,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { tables: (0..TABLES).map(|_| HashTable::new()).collect(), hasher: DefaultHashBuilder::default() }
    }

    /// The place whose key `is_key` recognises.
    pub(super) fn find(&self, key: &impl Hash, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        let (table, hash) = self.locate(key);
        let found = self.tables[table].find(spread(hash), |p| p.hash == hash && is_key(p.at))?;
        Some(found.at)
    }

    /// Adds a key that is not in the index yet.
    pub(super) fn insert(&mut self, key: &impl Hash, at: u32) {
        let (table, hash) = self.locate(key);
        self.tables[table].insert_unique(spread(hash), Pointer { hash, at }, |p| spread(p.hash));
    }

    /// Removes the key that leads to `at`.
    pub(super) fn remove(&mut self, key: &impl Hash, at: u32) {
        let (table, hash) = self.locate(key);
        if let Ok(found) = self.tables[table].find_entry(spread(hash), |p| p.at == at) {
            found.remove();
        }
    }

    /// What the tables take in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.tables.iter().map(|t| t.allocation_size() + size_of::<HashTable<Pointer>>()).sum()
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a hash are taken on purpose")]
    fn locate(&self, key: &impl Hash) -> (usize, u32) {
        let hash = self.hasher.hash_one(key);
        ((hash >> 58) as usize % TABLES, hash as u32)
    }
}

/// The table looks at the highest and the lowest bits: both must come from the whole of the kept half.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
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
}
