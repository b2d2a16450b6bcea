//! Which topic name stands for which topic id, as Metadata answers say it.

use std::sync::Arc;

use super::allowance::{Allowance, Share, allocated};
use super::index::Index;
use super::retired::Retired;
use super::slab::Slab;
use super::topic::TopicId;
use super::topics::TOPIC_NAME_BYTES_MAX;

/// Topics remembered; a cluster with more of them loses only the join of name and id for some.
const TOPICS_MAX: u32 = 100_000;

/// How many topics make room for a new one at most.
const FORGOTTEN_MAX: u32 = 32;

/// What a Metadata answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing: the pair was known, the id is that of a deleted topic, or there is no room.
    Nothing,
    /// The name has an id now.
    Linked,
    /// The name has another id now: the topic was re-created, and the old id is retired for good.
    Recreated {
        /// The id that the name had.
        old: TopicId,
    },
}

#[derive(Debug)]
struct Topic {
    name: Box<[u8]>,
    id: TopicId,
}

/// The names and ids of one cluster's topics.
#[derive(Debug)]
pub struct Directory {
    topics: Slab<Topic>,
    by_name: Index,
    by_id: Index,
    name_bytes: usize,
    /// Where the next one to be forgotten is looked for.
    hand: u32,
    retired: Retired,
    share: Share,
}

impl Default for Directory {
    fn default() -> Self {
        Self::sharing(&Arc::default())
    }
}

impl Directory {
    /// An empty one that takes its part of what all state may take.
    #[must_use]
    pub fn sharing(allowance: &Arc<Allowance>) -> Self {
        let mut directory = Self {
            topics: Slab::new(),
            by_name: Index::new(),
            by_id: Index::new(),
            name_bytes: 0,
            hand: 0,
            retired: Retired::new(),
            share: Share::new(allowance),
        };
        directory.charge();
        directory
    }

    /// Takes in one pair from a Metadata answer.
    pub fn learn(&mut self, name: &[u8], id: TopicId) -> Learned {
        if id == TopicId::ZERO || name.len() > TOPIC_NAME_BYTES_MAX || self.retired.contains(id) {
            return Learned::Nothing;
        }
        let learned = match self.id_of(name) {
            Some(known) if known == id => return Learned::Nothing,
            Some(old) => {
                self.retire(old);
                self.insert(name, id);
                Learned::Recreated { old }
            }
            None if self.insert(name, id) => Learned::Linked,
            None => Learned::Nothing,
        };
        self.charge();
        learned
    }

    /// The topic is deleted: its id stands for nothing from now on.
    pub fn delete(&mut self, name: Option<&[u8]>, id: Option<TopicId>) {
        let id = id.filter(|id| *id != TopicId::ZERO).or_else(|| self.id_of(name?));
        if let Some(id) = id {
            self.retire(id);
            self.charge();
        }
    }

    /// The id of the topic called `name`.
    #[must_use]
    pub fn id_of(&self, name: &[u8]) -> Option<TopicId> {
        let at = self.by_name.find(&name, |at| *self.topics[at].name == *name)?;
        Some(self.topics[at].id)
    }

    /// The name of the topic with this id.
    #[must_use]
    pub fn name_of(&self, id: TopicId) -> Option<&[u8]> {
        let at = self.find_id(id)?;
        Some(&self.topics[at].name)
    }

    /// Forgets everything, as for another cluster.
    pub fn clear(&mut self) {
        self.topics = Slab::new();
        (self.by_name, self.by_id) = (Index::new(), Index::new());
        self.retired = Retired::new();
        (self.name_bytes, self.hand) = (0, 0);
        self.charge();
    }

    /// What the directory takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.topics.bytes()
            + self.by_name.bytes()
            + self.by_id.bytes()
            + self.name_bytes
            + self.retired.bytes()
    }

    fn charge(&mut self) {
        self.share.set(self.bytes());
    }

    fn find_id(&self, id: TopicId) -> Option<u32> {
        self.by_id.find(&id, |at| self.topics[at].id == id)
    }

    /// Whether there was room.
    fn insert(&mut self, name: &[u8], id: TopicId) -> bool {
        // An id that moves to another name leaves the old one without.
        self.remove(id);
        if !self.make_room(name) {
            return false;
        }
        let at = self.topics.insert(Topic { name: name.into(), id });
        self.name_bytes += allocated(name.len());
        self.by_name.insert(&name, at);
        self.by_id.insert(&id, at);
        true
    }

    fn make_room(&mut self, name: &[u8]) -> bool {
        for _ in 0..FORGOTTEN_MAX {
            let fits = self.share.has(self.topics.growth() + allocated(name.len()));
            if fits && self.topics.len() < TOPICS_MAX {
                return true;
            }
            let Some(id) = self.next_to_forget() else { return false };
            self.remove(id);
            self.charge();
        }
        false
    }

    /// The one that was learnt first, as long as places are not used again.
    fn next_to_forget(&mut self) -> Option<TopicId> {
        // Twice around at most: a chunk that is there has a topic in it, but for one.
        for _ in 0..2 * self.topics.places() {
            let at = self.topics.present_from(self.hand);
            self.hand = if at < self.topics.places() { at + 1 } else { 0 };
            if let Some(topic) = self.topics.get(at) {
                return Some(topic.id);
            }
        }
        None
    }

    fn retire(&mut self, id: TopicId) {
        self.remove(id);
        self.retired.insert(id, self.share.is_roomy());
    }

    fn remove(&mut self, id: TopicId) {
        let Some(topic) = self.find_id(id).and_then(|at| Some((at, self.topics.remove(at)?))) else { return };
        let (at, Topic { name, id }) = topic;
        self.by_name.remove(&&*name, at);
        self.by_id.remove(&id, at);
        self.name_bytes -= allocated(name.len());
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
    fn nothing_is_kept_for_another_cluster() {
        let mut directory = Directory::default();
        let before = directory.bytes();
        directory.learn(b"t", A);
        directory.learn(b"t", B);
        directory.clear();
        assert_eq!((directory.id_of(b"t"), directory.name_of(B), directory.bytes()), (None, None, before));
        assert_eq!(directory.learn(b"t", A), Learned::Linked, "ids that were retired there may be used here");
    }

    #[test]
    fn the_directory_is_bounded() {
        let mut directory = Directory::default();
        (0..TOPICS_MAX + 10).for_each(|n| assert_eq!(learn_nth(&mut directory, n), Learned::Linked));
        assert_eq!(directory.topics.len(), TOPICS_MAX);
        assert_eq!((directory.id_of(b"0"), directory.id_of(b"10").is_some()), (None, true));
    }

    #[test]
    fn the_oldest_names_make_room_when_memory_is_short() {
        let allowance = Arc::new(Allowance::new(100_000));
        let mut directory = Directory::sharing(&allowance);
        (0..10_000).for_each(|n| assert_eq!(learn_nth(&mut directory, n), Learned::Linked));
        assert_eq!(allowance.taken(), directory.bytes());
        assert!(directory.bytes() <= 100_000, "{}", directory.bytes());
        assert_eq!((directory.id_of(b"0"), directory.id_of(b"9999").is_some()), (None, true));
        // Deleted ones are forgotten as well.
        (0..10_000).for_each(|n| directory.delete(None, Some(nth(20_000 + n))));
        assert!(directory.bytes() <= 100_000, "{}", directory.bytes());
    }

    #[test]
    fn a_deleted_topic_is_meant_by_its_name_where_no_id_is_told() {
        for told in [None, Some(TopicId::ZERO)] {
            let mut directory = Directory::default();
            assert_eq!(directory.learn(b"t", A), Learned::Linked);
            directory.delete(Some(b"t"), told);
            assert_eq!((directory.id_of(b"t"), directory.name_of(A)), (None, None), "{told:?}");
        }
    }

    #[test]
    fn no_longer_name_than_a_broker_takes_is_remembered() {
        let mut directory = Directory::default();
        let before = directory.bytes();
        assert_eq!(directory.learn(&[b'x'; TOPIC_NAME_BYTES_MAX + 1], A), Learned::Nothing);
        assert_eq!(directory.bytes(), before);
        assert_eq!(directory.learn(&[b'x'; TOPIC_NAME_BYTES_MAX], A), Learned::Linked);
    }

    fn nth(n: u32) -> TopicId {
        let mut id = [9; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        TopicId(id)
    }

    fn learn_nth(directory: &mut Directory, n: u32) -> Learned {
        directory.learn(n.to_string().as_bytes(), nth(n))
    }
}
