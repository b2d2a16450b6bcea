//! Scenes: a producer, something that goes wrong, and what then stands in the log, with or without a proxy in between.
//!
//! The way of a record: producer, a relay that makes the trouble, the proxy if there is one, a relay that counts, broker.

mod gap;
mod lost_acks;
mod report;
mod restart;
mod stage;
#[cfg(test)]
pub(crate) mod stand_in;

use std::future::Future;
use std::net::SocketAddr;

pub use gap::scene_gap;
pub use lost_acks::scene_lost_acks;
pub use report::{SceneReport, SceneVerdict};
pub use restart::scene_restart;

/// What is between the producer and the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Nothing.
    Direct,
    /// The proxy.
    Seqgate,
}

/// What a proxy has done, as far as the scenes ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounters {
    /// Batches that it answered itself.
    pub answered: u64,
    /// Gaps that it flagged.
    pub gaps: u64,
}

/// Starts proxies for scenes.
pub trait StartProxy {
    /// A running proxy.
    type Proxy: RunningProxy;

    /// Starts a proxy in front of `upstream`, on a free port of the loopback interface.
    fn start(&self, upstream: SocketAddr) -> impl Future<Output = anyhow::Result<Self::Proxy>> + Send;
}

/// A proxy that a scene talks through.
pub trait RunningProxy {
    /// Where clients connect.
    fn address(&self) -> SocketAddr;

    /// What it has done so far.
    fn counters(&self) -> ProxyCounters;

    /// Ends it and its connections.
    fn stop(self) -> impl Future<Output = ()> + Send;
}

/// What the scenes have in common.
#[derive(Clone, Debug)]
pub struct SceneConfig {
    /// How many records are sent.
    pub records: usize,
    /// What chance is made from.
    pub seed: u64,
    /// A broker to use in place of the sandbox's.
    pub bootstrap: Option<SocketAddr>,
    /// Where the records go; the topic must hold nothing else.
    pub topic: String,
    /// To which partition of it; the broker leads it.
    pub partition: i32,
    /// The records' timestamp: brokers forget producers whose newest record is old.
    pub timestamp_ms: i64,
}

/// Told how many records have been acknowledged, each time that it changes.
pub type Progress<'a> = &'a (dyn Fn(usize) + Sync);

#[cfg(test)]
mod tests;
