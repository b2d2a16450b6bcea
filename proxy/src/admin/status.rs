//! The state of the proxy as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::units::{display_duration, display_size};
use crate::config::{Backend, Config, Limits, Mixed, Mode};
use crate::runtime::advertised::unclear;
use crate::runtime::{ConnectionRecord, Listener, Runtime};
use crate::telemetry::labels::{Action, Direction, Label, Verdict};
use crate::telemetry::metrics::{REVISION, VERSION};

/// Shows the proxy at a glance.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    revision: &'static str,
    mode: Mode,
    uptime_seconds: u64,
    draining: bool,
    listeners: Vec<ListenerRow>,
    sequencing: SequencingRow,
    limits: LimitRows,
    totals: TotalRows,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ListenerRow {
    listener: String,
    address: String,
    upstream: UpstreamRow,
    cluster_name: Option<String>,
    bypass: Vec<String>,
    unclear: Vec<String>,
}

#[derive(Debug, Serialize)]
struct UpstreamRow {
    address: String,
    /// Null before the first dial.
    reachable: Option<bool>,
    error: Option<String>,
    generation: u32,
    connections: usize,
}

/// Shows what is known and asked, and what the mode `enforce` would need beside it.
#[derive(Debug, Serialize)]
struct SequencingRow {
    look_up: bool,
    authoritative: bool,
    backend: Backend,
    mixed: Mixed,
    proof_ttl: String,
    window: usize,
    producers_max: usize,
    producer_expiration: String,
    missing_to_enforce: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct LimitRows {
    connections_max: usize,
    frame_bytes_max: String,
    hold_bytes_max: String,
    memory_max: String,
    in_flight_max: usize,
    pipes_max: usize,
    drain: String,
    dial_timeout: String,
}

#[derive(Debug, Serialize)]
struct TotalRows {
    connections_open: usize,
    requests: u64,
    responses: u64,
    bytes_to_broker: u64,
    bytes_to_client: u64,
    gaps: u64,
    duplicates_answered: u64,
    batches: BTreeMap<&'static str, u64>,
}

/// Shows one connection; fields are named as in the journal.
#[derive(Debug, Serialize)]
pub(super) struct ConnectionRow {
    connection: u64,
    listener: String,
    client_addr: String,
    client_id: Option<String>,
    requests: BTreeMap<&'static str, u64>,
    age_ms: u64,
}

impl Status {
    pub(super) fn of(runtime: &Runtime, draining: bool) -> Self {
        Self {
            version: VERSION,
            revision: REVISION,
            mode: runtime.mode.load(),
            uptime_seconds: runtime.started.elapsed().as_secs(),
            draining,
            listeners: runtime.listeners.iter().map(|listener| ListenerRow::of(listener)).collect(),
            sequencing: SequencingRow::of(&runtime.config),
            limits: LimitRows::of(&runtime.config.limits),
            totals: TotalRows::of(runtime),
            warnings: runtime.listeners.iter().flat_map(|listener| warnings(listener)).collect(),
        }
    }
}

/// What is to be known of `listener`, at most a line each.
fn warnings(listener: &Listener) -> impl Iterator<Item = String> {
    let cannot_tell = listener.unclear().into_iter().map(|address| {
        format!(
            "listener {}: broker {} advertises {address}: {}",
            listener.name,
            listener.upstream.address,
            unclear(&address)
        )
    });
    bypass_warning(listener).into_iter().chain(cannot_tell)
}

fn bypass_warning(listener: &Listener) -> Option<String> {
    let around: Vec<String> = listener.bypass().iter().map(ToString::to_string).collect();
    (!around.is_empty()).then(|| {
        format!(
            "clients of listener {} go around the proxy: broker {} advertises {}, which no listener serves; \
             set the broker's advertised.listeners to an address of this proxy",
            listener.name,
            listener.upstream.address,
            around.join(", ")
        )
    })
}

impl ListenerRow {
    fn of(listener: &Listener) -> Self {
        let (upstream, health) = (&listener.upstream, listener.upstream.health());
        Self {
            listener: listener.name.clone(),
            address: listener.address.to_string(),
            upstream: UpstreamRow {
                address: upstream.address.to_string(),
                reachable: health.reachable,
                error: health.error,
                generation: upstream.generation(),
                connections: upstream.open(),
            },
            cluster_name: listener.cluster_name.clone(),
            bypass: listener.bypass().iter().map(ToString::to_string).collect(),
            unclear: listener.unclear().iter().map(ToString::to_string).collect(),
        }
    }
}

impl SequencingRow {
    fn of(config: &Config) -> Self {
        let sequencing = &config.sequencing;
        Self {
            look_up: sequencing.look_up,
            authoritative: sequencing.authoritative,
            backend: sequencing.backend,
            mixed: config.mixed,
            proof_ttl: display_duration(sequencing.proof_ttl),
            window: sequencing.window,
            producers_max: sequencing.producers_max,
            producer_expiration: display_duration(sequencing.producer_expiration),
            missing_to_enforce: sequencing.missing_to_enforce(),
        }
    }
}

impl LimitRows {
    fn of(limits: &Limits) -> Self {
        Self {
            connections_max: limits.connections_max,
            frame_bytes_max: display_size(limits.frame_bytes_max),
            hold_bytes_max: display_size(limits.hold_bytes_max),
            memory_max: display_size(limits.memory_max),
            in_flight_max: limits.in_flight_max,
            pipes_max: limits.pipes_max,
            drain: display_duration(limits.drain),
            dial_timeout: display_duration(limits.dial_timeout),
        }
    }
}

impl TotalRows {
    fn of(runtime: &Runtime) -> Self {
        let metrics = &runtime.metrics;
        Self {
            connections_open: runtime.connections.len(),
            requests: metrics.requests.total(),
            responses: metrics.responses.total(),
            bytes_to_broker: metrics.bytes.count(Direction::ToBroker),
            bytes_to_client: metrics.bytes.count(Direction::ToClient),
            gaps: metrics.gaps.get(),
            duplicates_answered: metrics.batches.count(Verdict::Duplicate, Action::Answered)
                + metrics.batches.count(Verdict::Duplicate, Action::Stripped),
            batches: Verdict::NAMES.iter().copied().zip(metrics.batches.rows()).collect(),
        }
    }
}

impl ConnectionRow {
    pub(super) fn of(record: &ConnectionRecord) -> Self {
        Self {
            connection: record.id,
            listener: record.listener.name.clone(),
            client_addr: record.client_addr.to_string(),
            client_id: record.client_id().map(str::to_owned),
            requests: record.requests().map(|(api, count)| (api.name(), count)).collect(),
            age_ms: u64::try_from(record.age().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::config::HostPort;
    use crate::runtime::{ProducerRow, Upstream};

    const README: &str = include_str!("../../../README.md");

    /// The fields of a value, by path; what is listed shows as one of its kind.
    fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        match value {
            // By verdict and by kind of request: no fields, but counts.
            Value::Object(_) if ["batches", "requests"].iter().any(|counts| path.ends_with(counts)) => {}
            Value::Object(object) => object.iter().for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                found.insert(path.clone());
                fields(value, &path, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| fields(value, path, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The fields that the README explains of an answer: the names in its row, those of further rows below theirs.
    fn explained(answer: &str) -> BTreeSet<String> {
        let rows = README.lines().filter_map(|line| line.strip_prefix(&format!("| `{answer}`")));
        let named = rows.flat_map(|row| {
            let (place, text) = row.split_once('|').unwrap();
            let below = place.trim().trim_matches(['.', '`', ' ']);
            let names = text.split('`').skip(1).step_by(2).map(str::to_owned);
            names.map(move |name| if below.is_empty() { name } else { format!("{below}.{name}") }).collect::<Vec<_>>()
        });
        named.collect()
    }

    #[test]
    fn the_readme_explains_each_field_of_each_answer_and_no_other() {
        let at = HostPort::new("127.0.0.1", 9092);
        let config = Config::pipe(at.clone(), at.clone());
        let upstream = Arc::new(Upstream::new(at));
        let listener = Arc::new(Listener::new(&config.listeners[0], "127.0.0.1:1".parse().unwrap(), upstream));
        let record = ConnectionRecord::new(7, Arc::clone(&listener), "127.0.0.1:5000".parse().unwrap());
        let (runtime, _queue) = Runtime::new(config, vec![listener]);
        let producer = ProducerRow {
            topic: Some("orders".to_owned()),
            topic_id: Some("id".to_owned()),
            partition: 0,
            producer_id: 0,
            producer_epoch: Some(0),
            expected_sequence: Some(0),
            base_offset: 0,
            batches: 0,
            proofs: 0,
            in_flight: 0,
            unknown: 0,
            idle_ms: 0,
        };
        for (answer, value) in [
            ("status", serde_json::to_value(Status::of(&runtime, false))),
            ("connections", serde_json::to_value([ConnectionRow::of(&record)])),
            ("producers", serde_json::to_value([producer])),
        ] {
            let mut found = BTreeSet::new();
            fields(&value.unwrap(), "", &mut found);
            assert_eq!(explained(answer), found, "{answer}");
        }
    }
}
