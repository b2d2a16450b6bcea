//! Ids of topics that are no more.

use super::allowance::allocated;
use super::index::Index;
use super::topic::TopicId;

/// Ids remembered, so that a broker that lags behind cannot bring one back.
const RETIRED_MAX: usize = 4_096;

/// The ids that were retired last.
#[derive(Debug)]
pub(super) struct Retired {
    ids: Vec<TopicId>,
    by_id: Index,
    /// The oldest, once there are as many as there may be.
    oldest: usize,
}

impl Retired {
    pub(super) fn new() -> Self {
        Self { ids: Vec::new(), by_id: Index::new(), oldest: 0 }
    }

    pub(super) fn contains(&self, id: TopicId) -> bool {
        self.by_id.find(&id, |at| self.ids[at as usize] == id).is_some()
    }

    /// Adds an id; the oldest makes room when there are enough of them, or when they may not grow.
    pub(super) fn insert(&mut self, id: TopicId, may_grow: bool) {
        if self.contains(id) {
            return;
        }
        let is_full = !self.ids.is_empty() && self.ids.len() == self.ids.capacity();
        let at = if self.ids.len() == RETIRED_MAX || is_full && !may_grow {
            let at = self.oldest % self.ids.len();
            self.by_id.remove(&self.ids[at], at as u32);
            self.ids[at] = id;
            self.oldest = at + 1;
            at
        } else {
            self.ids.push(id);
            self.ids.len() - 1
        };
        self.by_id.insert(&id, at as u32);
    }

    /// What they take in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        allocated(self.ids.capacity() * size_of::<TopicId>()) + self.by_id.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nth(n: u32) -> TopicId {
        let mut id = [9; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        TopicId(id)
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut retired = Retired::new();
        (0..5_000).for_each(|n| retired.insert(nth(n), true));
        assert_eq!(retired.ids.len(), RETIRED_MAX);
        assert!(!retired.contains(nth(5_000 - 4_097)) && retired.contains(nth(5_000 - 4_096)));
        assert!(retired.bytes() >= RETIRED_MAX * size_of::<TopicId>(), "{}", retired.bytes());
    }

    #[test]
    fn without_room_to_grow_the_oldest_makes_room() {
        let mut retired = Retired::new();
        (0..100).for_each(|n| retired.insert(nth(n), true));
        let (bytes, room) = (retired.bytes(), retired.ids.capacity() as u32);
        (100..5_000).for_each(|n| retired.insert(nth(n), false));
        assert!(retired.bytes() <= 2 * bytes, "{} and {bytes}", retired.bytes());
        assert!(!retired.contains(nth(5_000 - room - 1)) && retired.contains(nth(5_000 - room)));
    }
}
