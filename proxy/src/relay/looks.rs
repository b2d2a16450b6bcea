//! Who looks into which partition's log: one at a time, for what one finds the others need not look for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use seqgate_protocol::wire::produce::OwnedTopic;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

type Place = (OwnedTopic, i32);

/// The looks that go on in one cluster: as many as connections at most.
#[derive(Debug, Default)]
pub(super) struct Looks(Arc<Mutex<HashMap<Place, Arc<Notify>>>>);

/// Whose turn it is.
pub(super) enum Turn {
    /// Ours, until this is dropped.
    Ours(Look),
    /// Somebody else's, until then.
    Theirs(OwnedNotified),
}

/// A look that goes on.
#[derive(Debug)]
pub(super) struct Look {
    looks: Arc<Mutex<HashMap<Place, Arc<Notify>>>>,
    place: Place,
}

impl Looks {
    /// Begins to look into the log of a partition, unless somebody does so already.
    pub(super) fn begin(&self, topic: OwnedTopic, partition: i32) -> Turn {
        let place = (topic, partition);
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(over) = looks.get(&place) {
            // Made while the end cannot come: it will be heard of.
            return Turn::Theirs(Arc::clone(over).notified_owned());
        }
        looks.insert(place.clone(), Arc::default());
        Turn::Ours(Look { looks: Arc::clone(&self.0), place })
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let over = self.looks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
        if let Some(over) = over {
            over.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_look_at_a_time_goes_into_a_partition() {
        let looks = Looks::default();
        let begin = |partition| looks.begin(OwnedTopic::Name(b"t"[..].into()), partition);
        let Turn::Ours(first) = begin(0) else { panic!("nobody looks") };
        let Turn::Theirs(over) = begin(0) else { panic!("somebody looks") };
        assert!(matches!(begin(1), Turn::Ours(_)), "another partition");
        drop(first);
        over.await;
        assert!(matches!(begin(0), Turn::Ours(_)));
    }
}
