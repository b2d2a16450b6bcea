//! Every metric, by name; `seqgate_` stands before each.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::api::Api;
use super::families::{Counters, Grid, SparseCounters};
use super::histogram::Durations;
use super::labels::{
    Action, Direction, Eviction, HeldFor, LookUpKind, LookUpOutcome, Outcome, Passthrough, UpstreamError, Verdict,
};
use super::lanes::Counter;
use super::logging;

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Revision of the sources, when the build was told or git knew.
pub const REVISION: &str = match option_env!("SEQGATE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Holds every counter, ready to be counted without a lookup.
#[derive(Debug)]
pub struct Metrics {
    /// Batches of records, by what they are and what was done.
    pub batches: Grid<Verdict, Action>,
    /// Sequence gaps.
    pub gaps: Counter,
    /// Requests read from clients.
    pub requests: SparseCounters<Api>,
    /// Responses written to clients.
    pub responses: SparseCounters<Api>,
    /// Bytes written, by direction.
    pub bytes: Counters<Direction>,
    /// Those of them that went by within the kernel.
    pub spliced_bytes: Counters<Direction>,
    /// Client connections that are open.
    pub connections_open: Gauge,
    /// Client connections that ended.
    pub connections_closed: Counters<Outcome>,
    /// Frames that went through without being understood.
    pub passthrough: Counters<Passthrough>,
    /// From a produce request read to its last byte written; one per write that carries any.
    pub added_latency: Durations,
    /// From a request written to its response.
    pub broker_latency: Durations,
    /// (Producer id, partition) pairs that are tracked.
    pub tracked_producers: Gauge,
    /// Bytes of what is tracked.
    pub tracker_bytes: Gauge,
    /// Bytes of buffers.
    pub buffer_bytes: Gauge,
    /// Looks into the log, by what they were for and what they came to.
    pub own_requests: Grid<LookUpKind, LookUpOutcome>,
    /// How long they took.
    pub look_latency: Durations,
    /// Batches that were made to wait here.
    pub held: Counters<HeldFor>,
    /// What was forgotten.
    pub evictions: Counters<Eviction>,
    /// Trouble with brokers.
    pub upstream_errors: Counters<UpstreamError>,
    /// Events that the journal had no room for.
    pub journal_dropped: Counter,
    /// Lines that the log could not write.
    pub log_dropped: Counter,
    registry: Registry,
}

impl Metrics {
    /// Returns every metric at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            batches: Grid::new(),
            gaps: Counter::default(),
            requests: SparseCounters::new(Api::PRODUCE),
            responses: SparseCounters::new(Api::PRODUCE),
            bytes: Counters::new(),
            spliced_bytes: Counters::new(),
            connections_open: Gauge::default(),
            connections_closed: Counters::new(),
            passthrough: Counters::new(),
            added_latency: Durations::default(),
            broker_latency: Durations::default(),
            tracked_producers: Gauge::default(),
            tracker_bytes: Gauge::default(),
            buffer_bytes: Gauge::default(),
            own_requests: Grid::new(),
            look_latency: Durations::default(),
            held: Counters::new(),
            evictions: Counters::new(),
            upstream_errors: Counters::new(),
            journal_dropped: Counter::default(),
            log_dropped: logging::dropped(),
            registry: Registry::with_prefix("seqgate"),
        };
        metrics.register_counters();
        metrics.register_gauges();
        metrics
    }

    /// Writes all metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn register_counters(&mut self) {
        let to = &mut self.registry;
        to.register("batches", "Batches of records, by verdict and action", self.batches.family());
        to.register("gaps", "Sequence gaps", self.gaps.clone());
        to.register("requests", "Requests read from clients", self.requests.family());
        to.register("responses", "Responses written to clients", self.responses.family());
        to.register("bytes", "Bytes written", self.bytes.family());
        let spliced = "Those of the bytes written that went from socket to socket within the kernel";
        to.register("spliced_bytes", spliced, self.spliced_bytes.family());
        to.register("connections_closed", "Client connections that ended", self.connections_closed.family());
        to.register("passthrough", "Frames that were not understood and went through", self.passthrough.family());
        to.register("own_requests", "Looks into partitions' logs by requests of our own", self.own_requests.family());
        to.register("batches_held", "Batches that were made to wait for another one", self.held.family());
        to.register("evictions", "Tracked producers that were forgotten", self.evictions.family());
        to.register("upstream_errors", "Trouble with brokers", self.upstream_errors.family());
        to.register("journal_dropped", "Events that are missing in the journal", self.journal_dropped.clone());
        to.register("log_dropped", "Lines that are missing in the log", self.log_dropped.clone());
    }

    fn register_gauges(&mut self) {
        let to = &mut self.registry;
        to.register("connections_open", "Client connections that are open", self.connections_open.clone());
        to.register("tracked_producers", "Producer and partition pairs tracked", self.tracked_producers.clone());
        to.register("tracker_bytes", "Bytes of what is tracked", self.tracker_bytes.clone());
        to.register("buffer_bytes", "Bytes of buffers", self.buffer_bytes.clone());
        let added =
            "Time between reading a produce request and writing it, one per write that carries produce requests";
        to.register_with_unit("added_latency", added, Unit::Seconds, self.added_latency.clone());
        let broker = "Time between writing a request and its response";
        to.register_with_unit("broker_latency", broker, Unit::Seconds, self.broker_latency.clone());
        let look = "Time that looking into a partition's log for a batch takes";
        to.register_with_unit("look_latency", look, Unit::Seconds, self.look_latency.clone());
        to.register("build", "What is running", Info::new([("version", VERSION), ("revision", REVISION)].to_vec()));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::Label;

    #[test]
    fn every_scrape_shows_the_samples_in_the_order_of_their_labels() {
        let metrics = Metrics::new();
        // Not in the order in which they come.
        metrics.requests.inc(Api::UNKNOWN);
        metrics.requests.inc(Api::from_key(3));
        let text = metrics.encode().unwrap();
        for (family, names) in [
            ("seqgate_requests_total", vec!["Produce", "Metadata", "unknown"]),
            ("seqgate_connections_closed_total", Outcome::NAMES.to_vec()),
        ] {
            let shown = text.lines().filter_map(|line| line.strip_prefix(family)?.split('"').nth(1));
            assert_eq!(shown.collect::<Vec<_>>(), names, "{text}");
        }
        let of_batches = text.lines().filter(|line| line.starts_with("seqgate_batches_total{"));
        let pairs = Verdict::NAMES.iter().flat_map(|verdict| Action::NAMES.iter().map(move |action| (verdict, action)));
        let pairs = pairs
            .map(|(verdict, action)| format!("seqgate_batches_total{{verdict=\"{verdict}\",action=\"{action}\"}} 0"));
        assert_eq!(of_batches.collect::<Vec<_>>(), pairs.collect::<Vec<_>>());
    }
}
