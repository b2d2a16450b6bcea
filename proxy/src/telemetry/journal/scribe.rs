//! Takes down the events of one connection.

use std::sync::Arc;

use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::TopicId;

use super::Journal;
use super::entry::{Entry, Name};
use crate::runtime::ConnectionRecord;

/// Events kept back for their topic's name; those above are noted without it.
const UNNAMED_MAX: usize = 64;

/// Turns what one connection's session reports into the journal's events.
#[derive(Debug)]
pub struct Scribe<'a> {
    journal: &'a Journal,
    client: &'a Arc<ConnectionRecord>,
    /// Their requests name the topic by its id: people know it by name, which may be asked for once no lock is held.
    unnamed: Vec<Entry>,
}

impl<'a> Scribe<'a> {
    pub(super) const fn new(journal: &'a Journal, client: &'a Arc<ConnectionRecord>) -> Self {
        Self { journal, client, unnamed: Vec::new() }
    }

    /// Notes an event, if the journal tells of such; never waits.
    pub fn take(&mut self, event: &Event<'_>) {
        let Some(open) = &self.journal.0 else { return };
        let Some(entry) = Entry::of(event, self.client, open.every_batch) else { return };
        if entry.unnamed().is_some() && self.unnamed.len() < UNNAMED_MAX {
            self.unnamed.push(entry);
        } else {
            self.journal.note(entry);
        }
    }

    /// Notes what was kept back, with the names that `name_of` knows.
    pub fn finish(self, name_of: impl Fn(TopicId) -> Option<Box<[u8]>>) {
        for mut entry in self.unnamed {
            if let Some(name) = entry.unnamed().and_then(&name_of) {
                entry.topic = Name::new(&name);
            }
            self.journal.note(entry);
        }
    }
}
