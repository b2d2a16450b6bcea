//! Which topic name stands for which topic id, as Metadata answers say it.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use super::topic::TopicId;

/// Topics remembered; a cluster with more of them loses only the join of name and id for the oldest.
const TOPICS_MAX: usize = 100_000;

/// Ids of deleted topics remembered, so that a broker that lags behind cannot bring one back.
const RETIRED_MAX: usize = 4_096;

/// What a Metadata answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing: the pair was known, or the id is that of a deleted topic.
    Nothing,
    /// The name has an id now.
    Linked,
    /// The name has another id now: the topic was re-created, and the old id is retired for good.
    Recreated {
        /// The id that the name had.
        old: TopicId,
    },
}

/// The names and ids of one cluster's topics.
#[derive(Debug, Default)]
pub struct Directory {
    by_name: HashMap<Box<[u8]>, TopicId>,
    by_id: HashMap<TopicId, Box<[u8]>>,
    order: VecDeque<TopicId>,
    retired: HashSet<TopicId>,
    retired_order: VecDeque<TopicId>,
}

impl Directory {
    /// Takes in one pair from a Metadata answer.
    pub fn learn(&mut self, name: &[u8], id: TopicId) -> Learned {
        if id == TopicId::ZERO || self.retired.contains(&id) {
            return Learned::Nothing;
        }
        match self.by_name.get(name).copied() {
            Some(known) if known == id => Learned::Nothing,
            Some(old) => {
                self.retire(old);
                self.insert(name, id);
                Learned::Recreated { old }
            }
            None => {
                self.insert(name, id);
                Learned::Linked
            }
        }
    }

    /// The topic is deleted: its id stands for nothing from now on.
    pub fn delete(&mut self, name: Option<&[u8]>, id: Option<TopicId>) {
        let id = id.filter(|id| *id != TopicId::ZERO).or_else(|| self.by_name.get(name?).copied());
        if let Some(id) = id {
            self.retire(id);
        }
    }

    /// The id of the topic called `name`.
    #[must_use]
    pub fn id_of(&self, name: &[u8]) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    /// The name of the topic with this id.
    #[must_use]
    pub fn name_of(&self, id: TopicId) -> Option<&[u8]> {
        self.by_id.get(&id).map(|name| &**name)
    }

    /// Forgets everything, as for another cluster.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// An upper estimate of what the directory takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const PAIR: usize = 2 * (size_of::<(Box<[u8]>, TopicId)>() + 16) + size_of::<TopicId>();
        self.by_id.values().map(|name| PAIR + 2 * name.len()).sum::<usize>()
            + self.retired.len() * 2 * size_of::<TopicId>()
    }

    fn insert(&mut self, name: &[u8], id: TopicId) {
        if self.by_id.len() >= TOPICS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest);
        }
        // An id that moves to another name leaves the old one without.
        self.remove(id);
        self.by_name.insert(name.into(), id);
        self.by_id.insert(id, name.into());
        self.order.push_back(id);
        self.drop_stale_order();
    }

    fn retire(&mut self, id: TopicId) {
        self.remove(id);
        if self.retired.insert(id) {
            self.retired_order.push_back(id);
        }
        if self.retired_order.len() > RETIRED_MAX
            && let Some(oldest) = self.retired_order.pop_front()
        {
            self.retired.remove(&oldest);
        }
    }

    fn remove(&mut self, id: TopicId) {
        if let Some(name) = self.by_id.remove(&id)
            && self.by_name.get(&name) == Some(&id)
        {
            self.by_name.remove(&name);
        }
    }

    /// `order` names removed ids too; it is thinned before they outnumber the rest.
    fn drop_stale_order(&mut self) {
        if self.order.len() > 2 * self.by_id.len() + 16 {
            let by_id = &self.by_id;
            self.order.retain(|id| by_id.contains_key(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicId = TopicId([1; 16]);
    const B: TopicId = TopicId([2; 16]);

    #[test]
    fn another_id_for_a_name_retires_the_old_one_for_good() {
        let mut directory = Directory::default();
        assert_eq!(directory.learn(b"t", A), Learned::Linked);
        assert_eq!(directory.learn(b"t", A), Learned::Nothing);
        assert_eq!(directory.learn(b"t", B), Learned::Recreated { old: A });
        assert_eq!(directory.learn(b"t", A), Learned::Nothing, "a broker that lags behind");
        assert_eq!(directory.id_of(b"t"), Some(B));
        assert_eq!(directory.name_of(A), None);
    }

    #[test]
    fn a_deleted_topic_is_forgotten_by_name_and_by_id() {
        let mut directory = Directory::default();
        directory.learn(b"t", A);
        directory.delete(Some(b"t"), None);
        assert_eq!(directory.id_of(b"t"), None);
        assert_eq!(directory.learn(b"t", A), Learned::Nothing);
        assert_eq!(directory.learn(b"t", B), Learned::Linked);
    }

    #[test]
    fn the_directory_is_bounded() {
        let mut directory = Directory::default();
        for n in 0..(TOPICS_MAX + 10) {
            let mut id = [9; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            directory.learn(n.to_string().as_bytes(), TopicId(id));
        }
        assert_eq!(directory.by_id.len(), TOPICS_MAX);
        assert_eq!(directory.by_name.len(), TOPICS_MAX);
        assert_eq!(directory.id_of(b"0"), None);
    }
}
