//! What is known of one cluster, for all connections to it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use seqgate_protocol::sequencing::{Directory, Evictions, Millis, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;
use tokio::sync::Notify;

use super::budget::Waiting;

/// Trackers of one cluster. Partitions of one number share one, so that a topic's name and its id lead to the same.
const SHARDS: usize = 16;

/// Clusters remembered by id; above, the one learnt first is forgotten.
const CLUSTERS_MAX: usize = 64;

/// The trackers and topics of one cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Set when it is first seen in an answer.
    id: OnceLock<Box<[u8]>>,
    shards: Box<[Mutex<Tracker>]>,
    directory: Mutex<Directory>,
    tainted: AtomicBool,
    /// Connections that wait for a batch to be settled (T27), and what wakes them.
    waiting: AtomicUsize,
    settled: Notify,
}

impl Cluster {
    pub(super) fn new(limits: TrackerLimits) -> Self {
        let producers = Arc::default();
        Self {
            id: OnceLock::new(),
            shards: (0..SHARDS).map(|_| Mutex::new(Tracker::sharing(limits, Arc::clone(&producers)))).collect(),
            directory: Mutex::default(),
            tainted: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            settled: Notify::new(),
        }
    }

    /// Nothing that is known of the cluster holds any more.
    fn end(&self) {
        lock(&self.directory).clear();
        for shard in &self.shards {
            lock(shard).end_cluster();
        }
    }

    /// Wakes the connections that wait for a batch to be settled.
    pub(super) fn notify_settled(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.settled.notify_waiters();
        }
    }

    /// Calls `ready` now and after every settled batch until it returns a value.
    pub(super) async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // Before the question, so that no settlement after it is missed.
            settled.as_mut().enable();
            if let Some(value) = ready() {
                return value;
            }
            settled.await;
        }
    }

    /// Drops what has been idle for too long, a bounded number of entries at a time.
    pub(super) fn sweep(&self, now: Millis) {
        for shard in &self.shards {
            lock(shard).sweep(SWEEP_STEPS, now);
        }
    }

    /// Producers, bytes and evictions over all shards.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage { bytes: lock(&self.directory).bytes(), ..Usage::default() };
        for shard in &self.shards {
            let tracker = lock(shard);
            usage.producers += u64::from(tracker.producers());
            usage.bytes += tracker.bytes();
            let Evictions { limit, idle, evidence } = tracker.evictions();
            usage.evictions.limit += limit;
            usage.evictions.idle += idle;
            usage.evictions.evidence += evidence;
        }
        usage
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Tracker>> {
        self.shards.iter().map(lock)
    }

    fn shard(&self, partition: i32) -> &Mutex<Tracker> {
        &self.shards[partition.cast_unsigned() as usize % SHARDS]
    }
}

/// Entries that one sweep visits per shard: some microseconds under the lock.
const SWEEP_STEPS: u32 = 200;

/// What a cluster's state takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) producers: u64,
    pub(super) bytes: usize,
    pub(super) evictions: Evictions,
}

/// A session's way to its cluster.
#[derive(Clone, Debug)]
pub(super) struct ClusterRef(pub(super) Arc<Cluster>);

impl Ledger for ClusterRef {
    fn tracker<R>(&self, partition: i32, act: impl FnOnce(&mut Tracker) -> R) -> R {
        act(&mut lock(self.0.shard(partition)))
    }

    fn each_tracker(&self, mut act: impl FnMut(&mut Tracker)) {
        for shard in &self.0.shards {
            act(&mut lock(shard));
        }
    }

    fn directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut lock(&self.0.directory))
    }

    fn is_tainted(&self) -> bool {
        self.0.tainted.load(Ordering::Relaxed)
    }

    fn taint(&self) {
        self.0.tainted.store(true, Ordering::Relaxed);
    }

    fn settled(&self) {
        self.0.notify_settled();
    }
}

/// Which cluster a listener leads to.
#[derive(Debug)]
pub(super) struct Clusters {
    limits: TrackerLimits,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<Box<[u8]>, Arc<Cluster>>,
    order: VecDeque<Box<[u8]>>,
    /// What stands in until an id is seen: by `cluster_name`, else by listener.
    by_place: HashMap<String, Arc<Cluster>>,
}

impl Clusters {
    pub(super) fn new(limits: TrackerLimits) -> Self {
        Self { limits, known: Mutex::default() }
    }

    /// The cluster that listeners of this place led to last.
    pub(super) fn at(&self, place: &str) -> Arc<Cluster> {
        let mut known = lock(&self.known);
        if let Some(cluster) = known.by_place.get(place) {
            return Arc::clone(cluster);
        }
        let cluster = Arc::new(Cluster::new(self.limits));
        known.by_place.insert(place.to_owned(), Arc::clone(&cluster));
        cluster
    }

    /// A connection of `place`, taken to lead to `current`, was told the cluster's id. Returns the cluster that it
    /// leads to, if that is another one.
    pub(super) fn identify(&self, place: &str, current: &Arc<Cluster>, id: &[u8]) -> Option<Arc<Cluster>> {
        if current.id.get().is_some_and(|known| **known == *id) {
            return None;
        }
        let mut known = lock(&self.known);
        let found = known.by_id.get(id).cloned();
        if found.is_none() && current.id.set(id.into()).is_ok() {
            known.remember(id, Arc::clone(current));
            return None;
        }
        if current.id.get().is_some_and(|was| **was != *id) {
            // Another cluster stands where this one stood: nothing that is known of it holds (T15).
            current.end();
        }
        let cluster = found.unwrap_or_else(|| {
            let cluster = Arc::new(Cluster::new(self.limits));
            cluster.id.set(id.into()).ok();
            known.remember(id, Arc::clone(&cluster));
            cluster
        });
        known.by_place.insert(place.to_owned(), Arc::clone(&cluster));
        (!Arc::ptr_eq(&cluster, current)).then_some(cluster)
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

/// No panic under these locks leaves a state half changed that matters more than going on: proofs are checked again
/// before use, and a broker judges whatever is forwarded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> Clusters {
        Clusters::new(TrackerLimits::default())
    }

    #[test]
    fn listeners_of_one_cluster_meet_once_its_id_is_seen() {
        let clusters = clusters();
        let (a, b) = (clusters.at("a"), clusters.at("b"));
        assert!(!Arc::ptr_eq(&a, &b));
        assert!(clusters.identify("a", &a, b"X").is_none(), "a is X from now on");
        let joined = clusters.identify("b", &b, b"X").expect("b is X as well");
        assert!(Arc::ptr_eq(&joined, &a));
        assert!(Arc::ptr_eq(&clusters.at("b"), &a));
    }

    #[test]
    fn another_id_leads_to_another_cluster() {
        let clusters = clusters();
        let first = clusters.at("a");
        assert!(clusters.identify("a", &first, b"X").is_none());
        assert!(clusters.identify("a", &first, b"X").is_none());
        let second = clusters.identify("a", &first, b"Y").expect("another cluster");
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&clusters.at("a"), &second));
    }

    #[test]
    fn ids_of_clusters_are_bounded() {
        let clusters = clusters();
        let mut current = clusters.at("a");
        for n in 0..200_u32 {
            if let Some(next) = clusters.identify("a", &current, &n.to_be_bytes()) {
                current = next;
            }
        }
        assert_eq!(lock(&clusters.known).by_id.len(), CLUSTERS_MAX);
    }
}
