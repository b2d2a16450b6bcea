//! What is known of one cluster, for all connections to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use seqgate_protocol::sequencing::{Allowance, Directory, Evictions, Millis, ProducerReport, Tracker, TrackerLimits};
use seqgate_protocol::session::Ledger;
use tokio::sync::Notify;

use super::budget::Waiting;

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
        }
    }

    /// Nothing that is known of the cluster holds any more.
    pub(super) fn end(&self) {
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

/// No panic under these locks leaves a state half changed that matters more than going on: proofs are checked again
/// before use, and a broker judges whatever is forwarded.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
