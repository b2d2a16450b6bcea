//! The topics that something is known of, each with one place, however a request names it.

use super::allowance::allocated;
use super::index::Index;
use super::slab::Slab;
use super::topic::{TopicId, TopicRef};

/// Kafka's own limit (`Topic.MAX_NAME_LENGTH`): longer names are refused by every broker and never kept here.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// One incarnation of a topic, as far as names and ids tell.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Option<Box<[u8]>>,
    pub(super) id: Option<TopicId>,
    /// Goes up when evidence ends the proofs of all its partitions.
    pub(super) stamp: u32,
    /// How many partitions point here; the topic goes with the last one.
    pub(super) partitions: u32,
    /// Deleted or re-created: nothing is learnt for it any more, and no request finds it.
    pub(super) retired: bool,
}

impl Topic {
    pub(super) fn answers_to(&self, topic: TopicRef<'_>) -> bool {
        match topic {
            TopicRef::Name(name) => self.name.as_deref() == Some(name),
            TopicRef::Id(id) => self.id == Some(id),
        }
    }

    fn is_linked(&self) -> bool {
        self.name.is_some() && self.id.is_some()
    }
}

/// The interner.
#[derive(Debug)]
pub(super) struct Topics {
    slab: Slab<Topic>,
    by_name: Index,
    by_id: Index,
    name_bytes: usize,
    /// How many have an id only.
    unnamed: u32,
    /// How often one was retired.
    retirements: u32,
}

/// The topics that may be another one under its other form.
pub(super) enum Twins<I> {
    /// One of these, perhaps.
    Among(I),
    /// More than there is time to look at.
    TooMany,
}

impl Topics {
    pub(super) fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_name: Index::new(),
            by_id: Index::new(),
            name_bytes: 0,
            unnamed: 0,
            retirements: 0,
        }
    }

    pub(super) fn find(&self, topic: TopicRef<'_>) -> Option<u32> {
        match topic {
            TopicRef::Name(name) => self.find_name(name),
            TopicRef::Id(id) => self.find_id(id),
        }
    }

    pub(super) fn get(&self, at: u32) -> &Topic {
        &self.slab[at]
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Topic {
        &mut self.slab[at]
    }

    /// What a topic that is not here yet adds to what they take, in bytes.
    pub(super) const fn growth(&self) -> usize {
        self.slab.growth() + TOPIC_NAME_BYTES_MAX
    }

    /// Gives a topic a place; `name` and `id` are as far as they are known, at least one of them.
    pub(super) fn insert(&mut self, name: Option<&[u8]>, id: Option<TopicId>) -> u32 {
        if let (Some(name), Some(id)) = (name, id) {
            self.link(name, id, true);
        }
        let known = name.and_then(|name| self.find_name(name)).or_else(|| self.find_id(id?));
        if let Some(at) = known {
            return at;
        }
        let at = self.slab.insert(Topic { name: None, id: None, stamp: 0, partitions: 0, retired: false });
        self.unnamed += 1;
        if let Some(name) = name {
            self.give_name(at, name);
        }
        if let Some(id) = id {
            self.give_id(at, id);
        }
        at
    }

    /// Takes in that `name` and `id` are one topic.
    ///
    /// What was known under the name without an id may belong to another incarnation: its proofs end. What was
    /// known under both, not knowing that they are one, is dropped, and so is what was known under an id for whose name
    /// there is no room: `may_grow` says.
    pub(super) fn link(&mut self, name: &[u8], id: TopicId, may_grow: bool) {
        match (self.find_name(name), self.find_id(id)) {
            (None, None) => {}
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                self.retire(a);
                self.retire(b);
            }
            (Some(at), None) if self.slab[at].id.is_some() => self.retire(at),
            (Some(at), None) => {
                let topic = &mut self.slab[at];
                topic.stamp = topic.stamp.wrapping_add(1);
                self.give_id(at, id);
            }
            (None, Some(at)) if self.slab[at].name.is_some() || !may_grow => self.retire(at),
            (None, Some(at)) => self.give_name(at, name),
        }
    }

    /// No request finds the topic any more; what points at it stays until it goes by itself.
    pub(super) fn retire(&mut self, at: u32) {
        self.retirements = self.retirements.wrapping_add(1);
        let topic = &mut self.slab[at];
        topic.retired = true;
        topic.stamp = topic.stamp.wrapping_add(1);
        let (name, id) = (topic.name.clone(), topic.id);
        self.unmap(at, name.as_deref(), id);
    }

    /// How often a topic was retired so far.
    pub(super) const fn retirements(&self) -> u32 {
        self.retirements
    }

    /// Frees the place of a topic that nothing points at.
    pub(super) fn remove(&mut self, at: u32) {
        if let Some(topic) = self.slab.remove(at) {
            self.unmap(at, topic.name.as_deref(), topic.id);
            self.unnamed -= u32::from(topic.name.is_none());
            self.name_bytes -= topic.name.map_or(0, |name| allocated(name.len()));
        }
    }

    /// The topics that are known only in the other form than `at` is, as long as `at` is known in one form only:
    /// any of them may be the same topic.
    pub(super) fn possible_twins(&self, at: u32, steps_max: u32) -> Twins<impl Iterator<Item = u32> + '_> {
        let topic = &self.slab[at];
        let by_name = topic.name.is_some();
        // In the usual case, every topic that has an id has a name as well, and nothing is looked at.
        let none_in_other_form = if by_name { self.unnamed == 0 } else { self.by_name.is_empty() };
        let places = if topic.is_linked() || none_in_other_form { 0 } else { self.slab.places() };
        if places > steps_max {
            return Twins::TooMany;
        }
        Twins::Among((0..places).filter(move |other| {
            self.slab.get(*other).is_some_and(|o| !o.retired && !o.is_linked() && o.name.is_some() != by_name)
        }))
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> u32 {
        self.slab.len()
    }

    /// What the topics take in memory, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.slab.bytes() + self.name_bytes + self.by_name.bytes() + self.by_id.bytes()
    }

    fn find_name(&self, name: &[u8]) -> Option<u32> {
        self.by_name.find(&name, |at| self.slab[at].name.as_deref() == Some(name))
    }

    fn find_id(&self, id: TopicId) -> Option<u32> {
        self.by_id.find(&id, |at| self.slab[at].id == Some(id))
    }

    fn give_name(&mut self, at: u32, name: &[u8]) {
        self.slab[at].name = Some(name.into());
        self.unnamed -= 1;
        self.name_bytes += allocated(name.len());
        self.by_name.insert(&name, at);
    }

    fn give_id(&mut self, at: u32, id: TopicId) {
        self.slab[at].id = Some(id);
        self.by_id.insert(&id, at);
    }

    fn unmap(&mut self, at: u32, name: Option<&[u8]>, id: Option<TopicId>) {
        if let Some(name) = name {
            self.by_name.remove(&name, at);
        }
        if let Some(id) = id {
            self.by_id.remove(&id, at);
        }
    }
}
