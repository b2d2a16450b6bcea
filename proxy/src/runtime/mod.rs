//! What all connections, the accept loops and the admin port share.

pub mod advertised;
pub mod connections;
pub mod drain;
pub mod listener;
pub mod loops;
pub mod producers;
pub mod upstream;

use std::sync::Arc;
use std::time::Instant;

pub use advertised::{Advertised, AdvertisedQueue};
pub use connections::{ConnectionRecord, Connections};
pub use drain::{Drain, DrainSignal};
pub use listener::Listener;
pub use producers::{ProducerQuery, ProducerRow};
pub use upstream::{Upstream, UpstreamLease};

use crate::config::{AtomicMode, Config, HostPort};
use crate::relay;
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;

/// Holds what one running proxy shares.
#[derive(Debug)]
pub struct Runtime {
    /// The configuration as validated at start.
    pub config: Config,
    /// The mode in force.
    pub mode: AtomicMode,
    /// Every counter, resolved.
    pub metrics: Metrics,
    /// What happened, in a file; nothing until one is opened.
    pub journal: Journal,
    /// The bound listeners, in the order of the configuration.
    pub listeners: Vec<Arc<Listener>>,
    /// The connections that are open.
    pub connections: Connections,
    /// What the relay shares between connections.
    pub shared: relay::Shared,
    /// When the proxy started.
    pub started: Instant,
    advertised: Advertised,
}

impl Runtime {
    /// Puts together what `listeners` will share; the queue is for [`advertised::judge_all`].
    pub fn new(config: Config, listeners: Vec<Arc<Listener>>) -> (Self, AdvertisedQueue) {
        let (advertised, queue) = Advertised::new();
        let runtime = Self {
            mode: AtomicMode::new(config.mode),
            metrics: Metrics::new(),
            journal: Journal::default(),
            connections: Connections::new(config.limits.connections_max),
            shared: relay::Shared::new(&config),
            started: Instant::now(),
            listeners,
            config,
            advertised,
        };
        (runtime, queue)
    }

    /// Tells that a broker behind `listener` advertises `host` and `port`; never waits, and may see the same often.
    pub fn note_advertised(&self, listener: &Arc<Listener>, host: &str, port: i32) {
        let Ok(port) = u16::try_from(port) else { return };
        if port > 0 && !host.is_empty() && host.len() <= HostPort::HOST_BYTES_MAX {
            self.advertised.note(listener, HostPort::new(host, port));
        }
    }

    /// Returns the brokers, each once.
    pub fn upstreams(&self) -> Vec<&Arc<Upstream>> {
        let mut upstreams: Vec<&Arc<Upstream>> = Vec::new();
        for listener in &self.listeners {
            if !upstreams.iter().any(|known| Arc::ptr_eq(known, &listener.upstream)) {
                upstreams.push(&listener.upstream);
            }
        }
        upstreams
    }
}
