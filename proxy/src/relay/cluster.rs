//! What is known of one cluster, for all connections to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use seqgate_protocol::sequencing::{Allowance, Directory, Evictions, Millis, ProducerReport, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::budget::Waiting;
use super::looks::Looks;

/// Trackers of one cluster. Partitions of one number share one, so that a topic's name and its id lead to the same.
const SHARDS: usize = 16;

/// The trackers and topics of one cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Set when it is first seen in an answer.
    pub(super) id: OnceLock<Box<[u8]>>,
    shards: Box<[Mutex<Tracker>]>,
    directory: Mutex<Directory>,
    tainted: AtomicBool,
    /// Connections that wait for a batch to be settled (T27), and what wakes them.
    waiting: AtomicUsize,
    settled: Notify,
    pub(super) looks: Looks,
    /// As many as there are clusters.
    _alive: Arc<()>,
}

impl Cluster {
    pub(super) fn new(limits: TrackerLimits, allowance: &Arc<Allowance>, alive: &Arc<()>) -> Self {
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
            looks: Looks::default(),
        }
    }

    /// Whether this is its id.
    pub(super) fn is(&self, id: &[u8]) -> bool {
        self.id.get().is_some_and(|known| **known == *id)
    }

    /// Takes the id if it has none. Whether this is its id then.
    pub(super) fn takes(&self, id: &[u8]) -> bool {
        self.id.get_or_init(|| id.into());
        self.is(id)
    }

    /// Another cluster stands where this one stood, or this one was `cluster` all the time and nobody knew: either way
    /// nothing in it holds any more (T15).
    pub(super) fn leave_for(&self, cluster: &Self, id: &[u8]) {
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
            let moves = lock(from).moves();
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
            if lock(from).moves() != moves {
                // Some were missed, perhaps.
                lock(to).note_all_used();
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
            // Whoever asks tells others to ask, and so itself, perhaps: those that are waited for have their turn.
            yield_now().await;
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
        &self.shards[shard_of(partition)]
    }
}

/// Which shard a partition is in. Neighbours are in different ones; and as a broker leads every so-manieth partition, and a
/// proxy may stand in front of few brokers, those that are any number apart are spread as well (by the finalizer of
/// MurmurHash3).
const fn shard_of(partition: i32) -> usize {
    let partition = partition.cast_unsigned();
    let mut mixed = partition / SHARDS as u32;
    mixed = (mixed ^ mixed >> 16).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    partition.wrapping_add(mixed ^ mixed >> 16) as usize % SHARDS
}

/// Places looked at under one lock for what another cluster inherits.
const INHERIT_STEPS: u32 = 1_000;

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

    fn settled(&self) {
        self.0.notify_settled();
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// No panic under these locks leaves a state half changed that matters more than going on: proofs are checked again
/// before use, and a broker judges whatever is forwarded.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
