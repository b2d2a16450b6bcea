//! Which clusters there are, and which of them each place leads to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use seqgate_protocol::sequencing::TrackerLimits;

use super::cluster::{Cluster, lock};
use super::home::Home;

/// Clusters remembered by id; above, the one learnt first is forgotten.
const CLUSTERS_MAX: usize = 64;

/// All clusters that something is known of, and where each place leads.
#[derive(Debug)]
pub(super) struct Clusters {
    limits: TrackerLimits,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<Box<[u8]>, Arc<Cluster>>,
    order: VecDeque<Box<[u8]>>,
    homes: HashMap<String, Arc<Home>>,
    /// All that somebody still holds: those above, and those that connections were led away from.
    all: Vec<Weak<Cluster>>,
}

impl Clusters {
    pub(super) fn new(limits: TrackerLimits) -> Self {
        Self { limits, known: Mutex::default() }
    }

    /// Where the connections of this place lead.
    pub(super) fn home(&self, place: &str) -> Arc<Home> {
        let mut known = lock(&self.known);
        if let Some(home) = known.homes.get(place) {
            return Arc::clone(home);
        }
        let home = Arc::new(Home::new(known.create(self.limits)));
        known.homes.insert(place.to_owned(), Arc::clone(&home));
        home
    }

    /// A connection that was taken to lead to `current`, as those of its `home` do or because it was told so before,
    /// is told the id of its cluster. Returns that cluster, to which the home has moved.
    pub(super) fn identify(&self, home: &Home, current: &Arc<Cluster>, id: &[u8]) -> Arc<Cluster> {
        let mut known = lock(&self.known);
        let cluster = known.by_id.get(id).map(Arc::clone).unwrap_or_else(|| {
            // The first to have this id: what was learnt without one stays.
            let cluster = if current.takes(id) { Arc::clone(current) } else { known.create(self.limits) };
            cluster.takes(id);
            known.remember(id, Arc::clone(&cluster));
            cluster
        });
        let left = home.move_to(&cluster);
        drop(known);
        if !Arc::ptr_eq(current, &cluster) {
            current.leave_for(&cluster, id);
        }
        if let Some(left) = left.filter(|left| !Arc::ptr_eq(left, current)) {
            left.leave_for(&cluster, id);
        }
        cluster
    }

    /// Every cluster that something is known of, each once.
    pub(super) fn all(&self) -> Vec<Arc<Cluster>> {
        lock(&self.known).all.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Known {
    fn create(&mut self, limits: TrackerLimits) -> Arc<Cluster> {
        let cluster = Arc::new(Cluster::new(limits));
        self.all.retain(|other| other.strong_count() > 0);
        self.all.push(Arc::downgrade(&cluster));
        cluster
    }

    fn remember(&mut self, id: &[u8], cluster: Arc<Cluster>) {
        if self.order.len() >= CLUSTERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id.into());
        self.by_id.insert(id.into(), cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> Clusters {
        Clusters::new(TrackerLimits::default())
    }

    #[test]
    fn places_of_one_cluster_meet_once_its_id_is_seen() {
        let clusters = clusters();
        let (a, b) = (clusters.home("a"), clusters.home("b"));
        let (first, second) = (a.now().1, b.now().1);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&clusters.identify(&a, &first, b"X"), &first), "a is X from now on");
        assert!(!a.has_moved(0));
        assert!(Arc::ptr_eq(&clusters.identify(&b, &second, b"X"), &first), "b is X as well");
        assert!(b.has_moved(0) && Arc::ptr_eq(&b.now().1, &first));
        // Somebody who has not heard of it yet.
        assert!(Arc::ptr_eq(&clusters.identify(&b, &second, b"X"), &first));
        assert!(!Arc::ptr_eq(&clusters.identify(&b, &second, b"Y"), &second), "what was left takes no other id");
    }

    #[test]
    fn another_id_leads_to_another_cluster() {
        let clusters = clusters();
        let home = clusters.home("a");
        let first = home.now().1;
        for _ in 0..2 {
            assert!(Arc::ptr_eq(&clusters.identify(&home, &first, b"X"), &first));
        }
        let second = clusters.identify(&home, &first, b"Y");
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&home.now().1, &second));
        // What was left is counted for as long as somebody holds it.
        assert_eq!(clusters.all().len(), 2);
    }

    #[test]
    fn ids_of_clusters_are_bounded() {
        let clusters = clusters();
        let home = clusters.home("a");
        for n in 0..200_u32 {
            clusters.identify(&home, &home.now().1, &n.to_be_bytes());
        }
        assert_eq!(lock(&clusters.known).by_id.len(), CLUSTERS_MAX);
        assert_eq!(clusters.all().len(), CLUSTERS_MAX);
    }
}
