//! What is known of one cluster, for all connections to it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use seqgate_protocol::sequencing::{Directory, Evictions, Millis, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;
use tokio::sync::Notify;

use super::budget::Waiting;
use super::home::Home;

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

    /// Whether this is its id.
    pub(super) fn is(&self, id: &[u8]) -> bool {
        self.id.get().is_some_and(|known| **known == *id)
    }

    /// Takes the id if it has none. Whether this is its id then.
    fn takes(&self, id: &[u8]) -> bool {
        self.id.get_or_init(|| id.into());
        self.is(id)
    }

    /// Another cluster stands where this one stood, or this one was `cluster` all the time and nobody knew: either way
    /// nothing in it holds any more (T15).
    fn leave_for(&self, cluster: &Self, id: &[u8]) {
        if self.takes(id) {
            cluster.inherit(self);
        }
        lock(&self.directory).clear();
        for shard in &self.shards {
            lock(shard).end_cluster();
        }
        self.notify_settled();
    }

    /// What cannot be known of batches that were sent while `other` was taken for another cluster: whether they are the
    /// first of their producers (D5a), and whether they were all that there was (T11).
    fn inherit(&self, other: &Self) {
        if other.tainted.load(Ordering::Relaxed) {
            self.tainted.store(true, Ordering::Relaxed);
        }
        for (to, from) in self.shards.iter().zip(&other.shards) {
            let mut next = Some(0);
            while let Some(at) = next {
                let mut used = Vec::new();
                next = lock(from).report(at, INHERIT_STEPS, Millis(0), |report| {
                    used.push(report.producer_id);
                    true
                });
                let mut to = lock(to);
                used.into_iter().for_each(|id| to.note_used(id));
            }
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

/// Places looked at under one lock for what another cluster inherits.
const INHERIT_STEPS: u32 = 1_000;

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

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
