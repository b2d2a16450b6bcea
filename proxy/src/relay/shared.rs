//! What the connections of one process share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seqgate_protocol::sequencing::{Allowance, Evictions, Millis, ProducerReport, TopicRef, TrackerLimits};
use seqgate_protocol::session::Auth;
use seqgate_protocol::wire::produce::OwnedTopic;

use super::budget::Budget;
use super::cluster::Cluster;
use super::clusters::Clusters;
use super::home::Home;
use super::pipes::Pipes;
use super::spares::{SPARES_BYTES_MAX, Spares};
use crate::config::Config;
use crate::runtime::{Listener, ProducerQuery, ProducerRow};
use crate::telemetry::labels::Eviction;
use crate::telemetry::limiter::Limiter;
use crate::telemetry::metrics::Metrics;

/// Warnings about gaps per interval; the metrics have them all.
const GAP_WARNINGS: u32 = 10;
const GAP_INTERVAL: Duration = Duration::from_secs(10);

/// Topics that are remembered as not to be read: their names take some 250 KiB.
const UNREADABLE_MAX: usize = 1_000;

/// Of four parts of the memory that is not spare, so many are for the state; buffers have the rest, and what the state
/// does not take.
const STATE_QUARTERS: usize = 3;

/// What connections share.
#[derive(Debug)]
pub struct Shared {
    pub(super) clusters: Clusters,
    /// What the clusters may take.
    allowance: Arc<Allowance>,
    pub(super) budget: Budget,
    pub(super) spares: Spares,
    pub(super) pipes: Pipes,
    pub(super) gap_warnings: Limiter,
    /// Topics that a client may not read: that is said once of each.
    unreadable: Mutex<HashSet<OwnedTopic>>,
    started: Instant,
    connections: AtomicU32,
    places: Mutex<HashMap<String, Arc<Place>>>,
    counted: Mutex<Evictions>,
}

/// One listener, as far as its connections learn something for each other.
#[derive(Debug)]
pub(super) struct Place {
    /// Listeners of one `cluster_name` have one.
    pub(super) home: Arc<Home>,
    /// The number of its broker in attempts and proofs.
    pub(super) broker: u32,
    /// The broker has served a request of a connection without SASL.
    pub(super) serves_without_sasl: AtomicBool,
}

impl Place {
    /// What the broker has told a connection may show that it asks for no SASL here (T33).
    pub(super) fn note_served(&self, auth: &Auth) {
        // Read first: nobody writes what everybody reads for every request.
        if auth.is_served_without_sasl() && !self.serves_without_sasl.load(Ordering::Relaxed) {
            self.serves_without_sasl.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// Knows nothing yet.
    pub fn new(config: &Config) -> Self {
        let limits = TrackerLimits {
            window: config.sequencing.window,
            producers_max: u32::try_from(config.sequencing.producers_max).unwrap_or(u32::MAX - 1),
            proof_ttl_ms: millis(config.sequencing.proof_ttl),
            idle_ms_max: millis(config.sequencing.producer_expiration),
        };
        // What lies spare is memory too.
        let memory_max = config.limits.memory_max.saturating_sub(SPARES_BYTES_MAX);
        let allowance = Arc::new(Allowance::new(memory_max / 4 * STATE_QUARTERS));
        Self {
            clusters: Clusters::new(limits, Arc::clone(&allowance)),
            budget: Budget::new(memory_max, Arc::clone(&allowance)),
            allowance,
            spares: Spares::default(),
            pipes: Pipes::new(config.limits.pipes_max),
            gap_warnings: Limiter::new(GAP_WARNINGS, GAP_INTERVAL),
            unreadable: Mutex::default(),
            started: Instant::now(),
            connections: AtomicU32::new(0),
            places: Mutex::default(),
            counted: Mutex::default(),
        }
    }

    /// The time as the trackers count it.
    pub(super) fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    /// A moment since the start, as the trackers count it.
    pub(super) fn at(&self, moment: Instant) -> Millis {
        Millis(millis(moment.duration_since(self.started)))
    }

    /// Whether it is new that a client may not read this topic. Of very many no more is noted.
    pub(super) fn is_newly_unreadable(&self, topic: TopicRef<'_>) -> bool {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.len() < UNREADABLE_MAX && unreadable.insert(topic.into())
    }

    /// A number for a connection that no other open one has.
    pub(super) fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// What is shared by the connections of a listener.
    pub(super) fn place(&self, listener: &Listener) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&listener.name) {
            return Arc::clone(place);
        }
        // The name keeps apart what a listener and a cluster of the same name would share by accident.
        let name = match &listener.cluster_name {
            Some(cluster) => format!("cluster {cluster}"),
            None => format!("listener {}", listener.name),
        };
        let broker = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let home = self.clusters.home(&name);
        let place = Arc::new(Place { home, broker, serves_without_sasl: AtomicBool::new(false) });
        places.insert(listener.name.clone(), Arc::clone(&place));
        place
    }

    /// Drops what has been idle for too long, and brings the gauges up to date. For a timer to call.
    pub fn maintain(&self, metrics: &Metrics) {
        let now = self.now();
        for cluster in self.clusters.all() {
            cluster.sweep(now);
        }
        self.publish(metrics);
    }

    /// Brings the gauges up to date.
    pub fn publish(&self, metrics: &Metrics) {
        // Held throughout: of two counts at a time the older one must not come last.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut producers, mut evictions) = (0, Evictions::default());
        for cluster in self.clusters.all() {
            let usage = cluster.usage();
            producers += usage.producers;
            evictions.limit += usage.evictions.limit;
            evictions.idle += usage.evictions.idle;
            evictions.evidence += usage.evictions.evidence;
        }
        self.budget.note_state();
        let bytes = self.allowance.taken();
        metrics.tracked_producers.set(producers.cast_signed());
        metrics.tracker_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        metrics.buffer_bytes.set(i64::try_from(self.budget.buffers()).unwrap_or(i64::MAX));
        count(metrics, evictions, &mut counted);
    }

    /// Returns the tracked producers that `query` selects, at most `query.limit`.
    pub fn producers(&self, query: &ProducerQuery) -> Vec<ProducerRow> {
        let mut rows = Vec::new();
        let now = self.now();
        for cluster in self.clusters.all() {
            list(&cluster, query, now, &mut rows);
        }
        rows
    }
}

/// Trackers count up; a cluster that is forgotten takes its count along, which must not count twice.
fn count(metrics: &Metrics, seen: Evictions, counted: &mut Evictions) {
    metrics.evictions.add(Eviction::Limit, seen.limit.saturating_sub(counted.limit));
    metrics.evictions.add(Eviction::Idle, seen.idle.saturating_sub(counted.idle));
    metrics.evictions.add(Eviction::Evidence, seen.evidence.saturating_sub(counted.evidence));
    *counted = seen;
}

fn list(cluster: &Cluster, query: &ProducerQuery, now: Millis, rows: &mut Vec<ProducerRow>) {
    let limit = query.limit.min(ProducerQuery::LIMIT_MAX);
    cluster.report(now, |report| {
        if rows.len() < limit && is_selected(&report, query) {
            rows.push(row_of(report));
        }
        rows.len() < limit
    });
}

fn is_selected(report: &ProducerReport, query: &ProducerQuery) -> bool {
    let topic = |name: &String| report.topic.as_deref() == Some(name.as_bytes());
    query.topic.as_ref().is_none_or(topic)
        && query.partition.is_none_or(|partition| partition == report.partition)
        && query.producer_id.is_none_or(|id| id == report.producer_id.get())
}

fn row_of(report: ProducerReport) -> ProducerRow {
    ProducerRow {
        topic: report.topic.map(|name| String::from_utf8_lossy(&name).into_owned()),
        topic_id: report.topic_id.map(|id| id.to_string()),
        partition: report.partition,
        producer_id: report.producer_id.get(),
        producer_epoch: report.epoch,
        expected_sequence: report.expected.map(seqgate_protocol::sequencing::Sequence::get),
        base_offset: report.base_offset,
        batches: report.acknowledged,
        proofs: report.proofs,
        in_flight: report.pending,
        unknown: report.unknown,
        idle_ms: report.idle_ms,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
