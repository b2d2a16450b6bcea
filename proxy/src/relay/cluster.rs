//! What is known of one cluster, for all connections to it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use seqgate_protocol::sequencing::{Allowance, Directory, Evictions, Millis, ProducerReport, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;
use tokio::sync::Notify;

use super::budget::Waiting;

/// Trackers of one cluster. Partitions of one number share one, so that a topic's name and its id lead to the same.
const SHARDS: usize = 16;

/// Clusters remembered by id; above, the one learnt first is forgotten.
const CLUSTERS_MAX: usize = 64;

/// Clusters that are there at all, also those that only connections know of still.
const CLUSTERS_ALIVE_MAX: usize = 256;

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
    /// As many as there are clusters.
    _alive: Arc<()>,
}

impl Cluster {
    fn new(limits: TrackerLimits, allowance: &Arc<Allowance>, alive: &Arc<()>) -> Self {
        let producers = Arc::default();
        let tracker = || Tracker::sharing(limits, Arc::clone(&producers), allowance);
        Self {
            _alive: Arc::clone(alive),
            id: OnceLock::new(),
            shards: (0..SHARDS).map(|_| Mutex::new(tracker())).collect(),
            directory: Mutex::new(Directory::sharing(allowance)),
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

    /// Producers and evictions over all shards.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for shard in &self.shards {
            let tracker = lock(shard);
            usage.producers += u64::from(tracker.producers());
            let Evictions { limit, idle, evidence } = tracker.evictions();
            usage.evictions.limit += limit;
            usage.evictions.idle += idle;
            usage.evictions.evidence += evidence;
        }
        usage
    }

    /// Reports on its pairs until `visit` has enough. No lock is held for more than a step.
    pub(super) fn report(&self, now: Millis, mut visit: impl FnMut(ProducerReport) -> bool) {
        let mut goes_on = true;
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next.filter(|_| goes_on) {
                next = lock(shard).report(from, REPORT_STEPS, now, |report| {
                    goes_on = visit(report);
                    goes_on
                });
            }
        }
    }

    fn shard(&self, partition: i32) -> &Mutex<Tracker> {
        &self.shards[partition.cast_unsigned() as usize % SHARDS]
    }
}

/// Entries that one sweep visits per shard: some microseconds under the lock.
const SWEEP_STEPS: u32 = 200;

/// Places looked at under one lock while producers are listed.
const REPORT_STEPS: u32 = 1_000;

/// What is known of a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) producers: u64,
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
}

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

/// No panic under these locks leaves a state half changed that matters more than going on: proofs are checked again
/// before use, and a broker judges whatever is forwarded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
