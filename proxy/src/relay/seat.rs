//! A connection's session, at the cluster that the connection leads to.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use seqgate_protocol::sequencing::ConnectionId;
use seqgate_protocol::session::Session;

use super::cluster::{Cluster, ClusterRef};
use super::clusters::{Clusters, TooMany};
use super::home::Home;

/// A session that leads where its home does until the connection itself is told an id (T15).
#[derive(Debug)]
pub(super) struct Seat {
    session: Session<ClusterRef>,
    home: Arc<Home>,
    /// The moves of the home that the session has been held against.
    moves: u32,
    /// The connection was told its cluster's id; what others are told does not concern it.
    is_told: bool,
}

/// A connection leads to more clusters than can be true.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooOften;

impl Seat {
    pub(super) fn new(id: ConnectionId, home: Arc<Home>) -> Self {
        let (moves, cluster) = home.now();
        Self { session: Session::new(id, ClusterRef(cluster)), home, moves, is_told: false }
    }

    /// Goes along if the home has moved. To be asked before every look at the session: what it finds, and what it
    /// leaves, must be where the others of its place find it.
    pub(super) fn follow(&mut self) -> Result<(), TooOften> {
        if self.is_told || !self.home.has_moved(self.moves) {
            return Ok(());
        }
        let (moves, cluster) = self.home.now();
        self.moves = moves;
        self.lead_to(cluster)
    }

    /// The connection is told its cluster's id, which is news to it or not.
    pub(super) fn be_told(&mut self, id: &[u8], clusters: &Clusters) -> Result<(), TooOften> {
        let current = Arc::clone(&self.session.ledger().0);
        if self.is_told && current.is(id) {
            return Ok(());
        }
        self.is_told = true;
        let cluster = clusters.identify(&self.home, &current, id).map_err(|TooMany| TooOften)?;
        self.lead_to(cluster)?;
        // A batch of this connection that is held back has to ask elsewhere.
        current.notify_settled();
        Ok(())
    }

    fn lead_to(&mut self, cluster: Arc<Cluster>) -> Result<(), TooOften> {
        if Arc::ptr_eq(&cluster, &self.session.ledger().0) || self.session.switch(ClusterRef(cluster)) {
            return Ok(());
        }
        Err(TooOften)
    }
}

impl Deref for Seat {
    type Target = Session<ClusterRef>;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl DerefMut for Seat {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

#[cfg(test)]
mod tests {
    use seqgate_protocol::sequencing::TrackerLimits;

    use super::*;

    #[test]
    fn who_was_told_an_id_does_not_follow_what_others_are_told() {
        let clusters = Clusters::new(TrackerLimits::default(), Arc::default());
        let home = clusters.home("a");
        let [mut told, mut other, mut silent] = [1, 2, 3].map(|id| Seat::new(ConnectionId(id), Arc::clone(&home)));
        let leads_to = |seat: &mut Seat, id: &[u8]| {
            seat.follow().unwrap();
            seat.ledger().0.is(id)
        };
        told.be_told(b"X", &clusters).unwrap();
        assert!(leads_to(&mut silent, b"X") && leads_to(&mut other, b"X"));
        other.be_told(b"Y", &clusters).unwrap();
        assert!(leads_to(&mut silent, b"Y") && leads_to(&mut told, b"X"));
        // What it knew already is no news of the place.
        told.be_told(b"X", &clusters).unwrap();
        assert!(leads_to(&mut silent, b"Y"));
        silent.be_told(b"X", &clusters).unwrap();
        assert!(leads_to(&mut silent, b"X") && leads_to(&mut other, b"Y"));
    }
}
