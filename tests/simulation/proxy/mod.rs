//! A proxy: seqgate's sessions and trackers, with queues where its relay has sockets.

mod answers;
mod connection;
mod requests;
mod witness;

use seqgate_protocol::sequencing::{BrokerGeneration, ConnectionId, Millis, TrackerLimits};
use seqgate_protocol::session::{Ledger, Policy, Present, Session};

use crate::memory::Handle;
pub(crate) use connection::{Api, Connection, Frame, Settle, Slot};
pub(crate) use requests::SMALL;
pub(crate) use witness::{Asked, IDLE_MS_MAX, Witness};

/// One instance.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) ledger: Handle,
    pub(crate) limits: TrackerLimits,
    pub(crate) policy: Policy,
    /// Goes up when a connection to a broker ends in a way that the proxy did not cause, and when the last one ends.
    generations: Vec<u32>,
    open: Vec<u32>,
    serves_without_sasl: bool,
    pub(crate) witness: Witness,
    next_connection: u32,
    /// It began after others had produced.
    pub(crate) has_restarted: bool,
}

impl Proxy {
    pub(crate) fn new(limits: TrackerLimits, policy: Policy, brokers: usize) -> Self {
        Self {
            ledger: Handle::new(limits),
            limits,
            policy,
            generations: vec![0; brokers],
            open: vec![0; brokers],
            serves_without_sasl: false,
            witness: Witness::new(limits.proof_ttl_ms, limits.window),
            next_connection: 0,
            has_restarted: false,
        }
    }

    /// The process ends and another begins.
    pub(crate) fn restart(&mut self) {
        *self = Self { has_restarted: true, ..Self::new(self.limits, self.policy, self.generations.len()) };
    }

    pub(crate) fn connect(&mut self, broker: usize) -> Session<Handle> {
        self.open[broker] += 1;
        self.next_connection += 1;
        Session::new(ConnectionId(self.next_connection - 1), self.ledger.clone())
    }

    /// The connection to a broker has ended.
    pub(crate) fn disconnect(&mut self, broker: usize, by_broker: bool) {
        self.open[broker] = self.open[broker].saturating_sub(1);
        if by_broker || self.open[broker] == 0 {
            self.generations[broker] += 1;
        }
    }

    pub(crate) fn generation(&self, broker: usize) -> (usize, u32) {
        (broker, self.generations[broker])
    }

    pub(crate) fn present(&self, broker: usize, now_ms: u64) -> Present {
        Present {
            now: Millis(now_ms),
            broker: BrokerGeneration { broker: broker as u32, generation: self.generations[broker] },
            policy: self.policy,
            serves_without_sasl: self.serves_without_sasl,
            keep_bytes_max: usize::MAX,
        }
    }

    pub(crate) fn note_served(&mut self) {
        self.serves_without_sasl = true;
    }

    pub(crate) fn serves_without_sasl(&self) -> bool {
        self.serves_without_sasl
    }

    /// What idles for too long is forgotten.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.ledger.each_tracker(|tracker| tracker.sweep(1_000, Millis(now_ms)));
    }

    /// Producers, batches in flight, of unknown outcome and open altogether, and bytes.
    pub(crate) fn usage(&self, now_ms: u64) -> Usage {
        let mut usage = Usage::default();
        self.ledger.each_tracker(|tracker| {
            usage.producers += tracker.producers();
            usage.open += tracker.open_attempts();
            usage.bytes += tracker.bytes();
            tracker.report(0, 10_000, Millis(now_ms), |report| {
                usage.pending += u32::from(report.pending);
                usage.unknown += u32::from(report.unknown);
                true
            });
        });
        usage
    }
}

/// What a proxy's trackers hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) producers: u32,
    pub(crate) pending: u32,
    pub(crate) unknown: u32,
    pub(crate) open: u32,
    pub(crate) bytes: usize,
}
