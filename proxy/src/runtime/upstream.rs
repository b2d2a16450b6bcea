//! One broker: how often it was lost, and whether it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::config::HostPort;

/// Holds what is known of one broker.
#[derive(Debug)]
pub struct Upstream {
    /// Its address as configured.
    pub address: HostPort,
    generation: AtomicU32,
    open: AtomicUsize,
}

impl Upstream {
    /// Knows nothing of the broker yet.
    pub fn new(address: HostPort) -> Self {
        Self { address, generation: AtomicU32::new(0), open: AtomicUsize::new(0) }
    }

    /// Counts a connection to the broker until the lease is dropped.
    pub fn lease(self: &Arc<Self>) -> UpstreamLease {
        self.open.fetch_add(1, Ordering::SeqCst);
        UpstreamLease(Arc::clone(self))
    }

    /// Notes that a connection ended in a way the proxy did not cause; returns the new generation.
    pub fn lost(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// Returns how often the broker was lost: raised by [`Self::lost`] and when its last connection closes.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Returns the connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// Stands for one open connection to a broker.
#[derive(Debug)]
pub struct UpstreamLease(Arc<Upstream>);

impl Drop for UpstreamLease {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.lost();
        }
    }
}
