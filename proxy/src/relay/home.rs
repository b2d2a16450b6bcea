//! Where the connections of a place lead.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cluster::Cluster;

/// The cluster that connections of one place are taken to lead to until they are told otherwise themselves: that of
/// the id last seen on any of them, and before that one without an id (T15). A place is a listener, or all listeners
/// of one `cluster_name`.
#[derive(Debug)]
pub(super) struct Home {
    cluster: Mutex<Arc<Cluster>>,
    /// How often it moved. Read by every connection for every request, and hardly ever written.
    moves: AtomicU32,
}

impl Home {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster: Mutex::new(cluster), moves: AtomicU32::new(0) }
    }

    /// Whether it has moved since there were so many moves.
    pub(super) fn has_moved(&self, moves: u32) -> bool {
        self.moves.load(Ordering::Relaxed) != moves
    }

    /// The number of moves so far, and where it is now.
    pub(super) fn now(&self) -> (u32, Arc<Cluster>) {
        let cluster = self.lock();
        (self.moves.load(Ordering::Relaxed), Arc::clone(&cluster))
    }

    /// Moves to `cluster`, unless it is there; returns where it was.
    pub(super) fn move_to(&self, cluster: &Arc<Cluster>) -> Option<Arc<Cluster>> {
        let mut at = self.lock();
        if Arc::ptr_eq(&at, cluster) {
            return None;
        }
        // Under the lock: who sees the count finds the cluster.
        self.moves.fetch_add(1, Ordering::Relaxed);
        Some(std::mem::replace(&mut *at, Arc::clone(cluster)))
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Cluster>> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
