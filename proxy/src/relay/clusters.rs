//! Which clusters there are, and which of them each place leads to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use seqgate_protocol::sequencing::{Allowance, TrackerLimits};

use super::cluster::{Cluster, lock};
use super::home::Home;

/// Clusters remembered by id; above, the one learnt first is forgotten.
const CLUSTERS_MAX: usize = 64;

/// Clusters that are there at all, also those that only connections know of still.
const CLUSTERS_ALIVE_MAX: usize = 256;

/// All clusters that something is known of, and where each place leads.
#[derive(Debug)]
pub(super) struct Clusters {
    limits: TrackerLimits,
    allowance: Arc<Allowance>,
    alive: Arc<()>,
    known: Mutex<Known>,
}

/// More clusters than anybody has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<Box<[u8]>, Arc<Cluster>>,
    order: VecDeque<Box<[u8]>>,
    homes: HashMap<String, Arc<Home>>,
    /// All that somebody still holds: those above, and those that connections were led away from.
    all: Vec<Weak<Cluster>>,
}

impl Clusters {
    /// What is known of all of them together takes no more than `allowance`.
    pub(super) fn new(limits: TrackerLimits, allowance: Arc<Allowance>) -> Self {
        Self { limits, allowance, alive: Arc::default(), known: Mutex::default() }
    }

    fn create(&self, known: &mut Known) -> Arc<Cluster> {
        let cluster = Arc::new(Cluster::new(self.limits, &self.allowance, &self.alive));
        known.all.retain(|other| other.strong_count() > 0);
        known.all.push(Arc::downgrade(&cluster));
        cluster
    }

    /// Where the connections of this place lead.
    pub(super) fn home(&self, place: &str) -> Arc<Home> {
        let mut known = lock(&self.known);
        if let Some(home) = known.homes.get(place) {
            return Arc::clone(home);
        }
        let home = Arc::new(Home::new(self.create(&mut known)));
        known.homes.insert(place.to_owned(), Arc::clone(&home));
        home
    }

    /// A connection that was taken to lead to `current`, as those of its `home` do or because it was told so before,
    /// is told the id of its cluster. Returns that cluster, to which the home has moved.
    ///
    /// # Errors
    /// When there are more clusters than that one can be kept.
    pub(super) fn identify(&self, home: &Home, current: &Arc<Cluster>, id: &[u8]) -> Result<Arc<Cluster>, TooMany> {
        let mut known = lock(&self.known);
        let found = known.by_id.get(id).cloned();
        let cluster = match found {
            Some(cluster) => cluster,
            // The first to have this id: what was learnt without one stays.
            None if current.takes(id) => Arc::clone(current),
            None if Arc::strong_count(&self.alive) > CLUSTERS_ALIVE_MAX => return Err(TooMany),
            None => self.create(&mut known),
        };
        if cluster.takes(id) && !known.by_id.contains_key(id) {
            known.remember(id, Arc::clone(&cluster));
        }
        let left = home.move_to(&cluster);
        drop(known);
        if !Arc::ptr_eq(current, &cluster) {
            current.leave_for(&cluster, id);
        }
        if let Some(left) = left.filter(|left| !Arc::ptr_eq(left, current)) {
            left.leave_for(&cluster, id);
        }
        Ok(cluster)
    }

    /// Every cluster that something is known of, each once.
    pub(super) fn all(&self) -> Vec<Arc<Cluster>> {
        lock(&self.known).all.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Known {
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
        Clusters::new(TrackerLimits::default(), Arc::default())
    }

    #[test]
    fn places_of_one_cluster_meet_once_its_id_is_seen() {
        let clusters = clusters();
        let (a, b) = (clusters.home("a"), clusters.home("b"));
        let (first, second) = (a.now().1, b.now().1);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&clusters.identify(&a, &first, b"X").unwrap(), &first), "a is X from now on");
        assert!(!a.has_moved(0));
        assert!(Arc::ptr_eq(&clusters.identify(&b, &second, b"X").unwrap(), &first), "b is X as well");
        assert!(b.has_moved(0) && Arc::ptr_eq(&b.now().1, &first));
        // Somebody who has not heard of it yet.
        assert!(Arc::ptr_eq(&clusters.identify(&b, &second, b"X").unwrap(), &first));
        assert!(
            !Arc::ptr_eq(&clusters.identify(&b, &second, b"Y").unwrap(), &second),
            "what was left takes no other id"
        );
    }

    #[test]
    fn another_id_leads_to_another_cluster() {
        let clusters = clusters();
        let home = clusters.home("a");
        let first = home.now().1;
        for _ in 0..2 {
            assert!(Arc::ptr_eq(&clusters.identify(&home, &first, b"X").unwrap(), &first));
        }
        let second = clusters.identify(&home, &first, b"Y").unwrap();
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
            clusters.identify(&home, &home.now().1, &n.to_be_bytes()).unwrap();
        }
        assert_eq!(lock(&clusters.known).by_id.len(), CLUSTERS_MAX);
        assert_eq!(clusters.all().len(), CLUSTERS_MAX);
    }

    #[test]
    fn clusters_that_connections_hold_are_bounded() {
        let clusters = clusters();
        let home = clusters.home("a");
        let mut held = vec![home.now().1];
        let refused = (0..1000_u32).find(|n| match clusters.identify(&home, held.last().unwrap(), &n.to_be_bytes()) {
            Ok(next) => {
                if !Arc::ptr_eq(&next, held.last().unwrap()) {
                    held.push(next);
                }
                false
            }
            Err(TooMany) => true,
        });
        assert_eq!((refused, held.len()), (Some(256), CLUSTERS_ALIVE_MAX));
        let last = held.pop().unwrap();
        held.clear();
        assert!(clusters.identify(&home, &last, b"another").is_ok(), "those that nobody holds are gone");
    }
}
