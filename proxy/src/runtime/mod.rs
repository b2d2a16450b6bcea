//! What all connections, the accept loops and the admin port share.

pub mod connections;
pub mod drain;
pub mod listener;
pub mod producers;
pub mod upstream;

use std::sync::Arc;
use std::time::Instant;

pub use connections::{ConnectionRecord, Connections};
pub use drain::{Drain, DrainSignal};
pub use listener::Listener;
pub use producers::{ProducerQuery, ProducerRow};
pub use upstream::{Upstream, UpstreamLease};

use crate::config::{AtomicMode, Config};
use crate::relay;
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
    /// The bound listeners, in the order of the configuration.
    pub listeners: Vec<Arc<Listener>>,
    /// The connections that are open.
    pub connections: Connections,
    /// What the relay shares between connections.
    pub shared: relay::Shared,
    /// When the proxy started.
    pub started: Instant,
}

impl Runtime {
    /// Puts together what `listeners` will share.
    pub fn new(config: Config, listeners: Vec<Arc<Listener>>) -> Self {
        Self {
            mode: AtomicMode::new(config.mode),
            metrics: Metrics::new(),
            connections: Connections::new(config.limits.connections_max),
            shared: relay::Shared::new(&config),
            started: Instant::now(),
            listeners,
            config,
        }
    }
}
