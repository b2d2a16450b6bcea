//! Which cluster is behind a listener.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use seqgate_protocol::sequencing::{Allowance, TrackerLimits};

use super::cluster::{Cluster, lock};

/// Clusters remembered by id; above, the one learnt first is forgotten.
const CLUSTERS_MAX: usize = 64;

/// Clusters that are there at all, also those that only connections know of still.
const CLUSTERS_ALIVE_MAX: usize = 256;

/// Which cluster a listener leads to.
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
    /// What stands in until an id is seen: by `cluster_name`, else by listener.
    by_place: HashMap<String, Arc<Cluster>>,
}

impl Clusters {
    /// What is known of all of them together takes no more than `allowance`.
    pub(super) fn new(limits: TrackerLimits, allowance: Arc<Allowance>) -> Self {
        Self { limits, allowance, alive: Arc::default(), known: Mutex::default() }
    }

    fn cluster(&self) -> Arc<Cluster> {
        Arc::new(Cluster::new(self.limits, &self.allowance, &self.alive))
    }

    /// The cluster that listeners of this place led to last.
    pub(super) fn at(&self, place: &str) -> Arc<Cluster> {
        let mut known = lock(&self.known);
        if let Some(cluster) = known.by_place.get(place) {
            return Arc::clone(cluster);
        }
        let cluster = self.cluster();
        known.by_place.insert(place.to_owned(), Arc::clone(&cluster));
        cluster
    }

    /// A connection of `place`, taken to lead to `current`, was told the cluster's id. Returns the cluster that it
    /// leads to, if that is another one.
    ///
    /// # Errors
    /// When there are more clusters than that one can be kept.
    pub(super) fn identify(
        &self,
        place: &str,
        current: &Arc<Cluster>,
        id: &[u8],
    ) -> Result<Option<Arc<Cluster>>, TooMany> {
        if current.id.get().is_some_and(|known| **known == *id) {
            return Ok(None);
        }
        let mut known = lock(&self.known);
        let found = known.by_id.get(id).cloned();
        if found.is_none() && current.id.set(id.into()).is_ok() {
            known.remember(id, Arc::clone(current));
            return Ok(None);
        }
        if current.id.get().is_some_and(|was| **was != *id) {
            // Another cluster stands where this one stood: nothing that is known of it holds (T15).
            current.end();
        }
        let cluster = match found {
            Some(cluster) => cluster,
            None if Arc::strong_count(&self.alive) > CLUSTERS_ALIVE_MAX => return Err(TooMany),
            None => {
                let cluster = self.cluster();
                cluster.id.set(id.into()).ok();
                known.remember(id, Arc::clone(&cluster));
                cluster
            }
        };
        known.by_place.insert(place.to_owned(), Arc::clone(&cluster));
        Ok((!Arc::ptr_eq(&cluster, current)).then_some(cluster))
    }

    /// Every cluster that something is known of, each once.
    pub(super) fn all(&self) -> Vec<Arc<Cluster>> {
        let known = lock(&self.known);
        let mut all: Vec<Arc<Cluster>> = Vec::new();
        for cluster in known.by_id.values().chain(known.by_place.values()) {
            if !all.iter().any(|other| Arc::ptr_eq(other, cluster)) {
                all.push(Arc::clone(cluster));
            }
        }
        all
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
    fn listeners_of_one_cluster_meet_once_its_id_is_seen() {
        let clusters = clusters();
        let (a, b) = (clusters.at("a"), clusters.at("b"));
        assert!(!Arc::ptr_eq(&a, &b));
        assert!(clusters.identify("a", &a, b"X").unwrap().is_none(), "a is X from now on");
        let joined = clusters.identify("b", &b, b"X").unwrap().expect("b is X as well");
        assert!(Arc::ptr_eq(&joined, &a));
        assert!(Arc::ptr_eq(&clusters.at("b"), &a));
    }

    #[test]
    fn another_id_leads_to_another_cluster() {
        let clusters = clusters();
        let first = clusters.at("a");
        assert!(clusters.identify("a", &first, b"X").unwrap().is_none());
        assert!(clusters.identify("a", &first, b"X").unwrap().is_none());
        let second = clusters.identify("a", &first, b"Y").unwrap().expect("another cluster");
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&clusters.at("a"), &second));
    }

    #[test]
    fn ids_of_clusters_are_bounded() {
        let clusters = clusters();
        let mut current = clusters.at("a");
        for n in 0..200_u32 {
            if let Some(next) = clusters.identify("a", &current, &n.to_be_bytes()).unwrap() {
                current = next;
            }
        }
        assert_eq!(lock(&clusters.known).by_id.len(), CLUSTERS_MAX);
    }

    #[test]
    fn clusters_that_connections_hold_are_bounded() {
        let clusters = clusters();
        let mut held = vec![clusters.at("a")];
        let refused = (0..1000_u32).find(|n| match clusters.identify("a", held.last().unwrap(), &n.to_be_bytes()) {
            Ok(next) => {
                held.extend(next);
                false
            }
            Err(TooMany) => true,
        });
        assert_eq!((refused, held.len()), (Some(256), CLUSTERS_ALIVE_MAX));
        let last = held.pop().unwrap();
        held.clear();
        assert!(clusters.identify("a", &last, b"another").is_ok(), "those that nobody holds are gone");
    }
}
