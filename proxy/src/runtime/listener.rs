//! One bound address and the broker behind it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::upstream::Upstream;
use crate::config::{HostPort, ListenerConfig};
use crate::telemetry::limiter::Limiter;

/// Advertised addresses that are remembered as judged; a cluster has fewer brokers.
const ADVERTISED_MAX: usize = 1_024;
/// Addresses around the proxy, and as many that may be, that status shows.
pub(super) const BYPASS_MAX: usize = 16;

/// Serves one broker on one address.
#[derive(Debug)]
pub struct Listener {
    /// Name in logs, metrics and status.
    pub name: String,
    /// The address that is bound; its port is never 0.
    pub address: SocketAddr,
    /// The broker; listeners of one broker share it.
    pub upstream: Arc<Upstream>,
    /// Listeners of one name share what is known before the cluster's id is seen.
    pub cluster_name: Option<String>,
    /// Keeps warnings about this listener rare.
    pub warnings: Limiter,
    /// Keeps those about what came in through it rare.
    pub refusals: Limiter,
    advertised: Mutex<Advertised>,
}

#[derive(Debug, Default)]
struct Advertised {
    seen: HashSet<HostPort>,
    bypass: Vec<HostPort>,
    unclear: Vec<HostPort>,
}

impl Listener {
    /// Describes a listener that is bound to `address`.
    pub fn new(config: &ListenerConfig, address: SocketAddr, upstream: Arc<Upstream>) -> Self {
        Self {
            name: config.name.clone(),
            address,
            upstream,
            cluster_name: config.cluster_name.clone(),
            warnings: Limiter::rare(),
            refusals: Limiter::rare(),
            advertised: Mutex::default(),
        }
    }

    /// Returns the advertised addresses that lead around the proxy.
    pub fn bypass(&self) -> Vec<HostPort> {
        self.with(|advertised| advertised.bypass.clone())
    }

    /// Returns the advertised addresses of which nobody here can tell where they lead.
    pub fn unclear(&self) -> Vec<HostPort> {
        self.with(|advertised| advertised.unclear.clone())
    }

    /// Remembers an address that the broker advertises; true the first time.
    pub(super) fn is_new_advertised(&self, address: &HostPort) -> bool {
        self.with(|advertised| {
            let room = advertised.seen.len() < ADVERTISED_MAX;
            room && !advertised.seen.contains(address) && advertised.seen.insert(address.clone())
        })
    }

    /// Remembers an address that leads around the proxy; true for the first of this listener.
    pub(super) fn note_bypass(&self, address: HostPort) -> bool {
        self.with(|advertised| {
            let bypass = &mut advertised.bypass;
            if bypass.len() < BYPASS_MAX {
                bypass.push(address);
            }
            bypass.len() == 1
        })
    }

    /// Remembers an address that may lead around the proxy; true while there is room.
    pub(super) fn note_unclear(&self, address: HostPort) -> bool {
        self.with(|advertised| {
            let room = advertised.unclear.len() < BYPASS_MAX;
            if room {
                advertised.unclear.push(address);
            }
            room
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Advertised) -> T) -> T {
        f(&mut self.advertised.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
