//! What the broker's connections share.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::BrokerConfig;
use super::cluster::Cluster;
use super::counters::Counters;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: BrokerConfig,
    pub(super) counters: Counters,
    /// Where the broker listens.
    pub(super) listening: watch::Sender<SocketAddr>,
    /// What Metadata tells clients to dial instead.
    pub(super) advertised: watch::Sender<Option<SocketAddr>>,
    /// Whether answers to Produce wait.
    pub(super) held: watch::Sender<bool>,
    /// Changes with every append, for those who wait in Fetch.
    pub(super) appends: watch::Sender<u64>,
    cluster: Mutex<Cluster>,
}

impl Shared {
    pub(super) fn new(config: BrokerConfig) -> Self {
        let cluster = Mutex::new(Cluster::new(&config));
        Self {
            counters: Counters::default(),
            listening: watch::Sender::new(config.listen),
            advertised: watch::Sender::new(config.advertised),
            held: watch::Sender::new(false),
            appends: watch::Sender::new(0),
            cluster,
            config,
        }
    }

    /// The address that clients are told to dial.
    pub(super) fn node_address(&self) -> SocketAddr {
        self.advertised.borrow().unwrap_or_else(|| *self.listening.borrow())
    }

    /// Reaches the cluster's state; nothing in `act` waits.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Cluster) -> T) -> T {
        // A test that panics in here has failed already: the state is as good as it was.
        act(&mut self.cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
