//! A proxy: seqgate's sessions and trackers, with queues where its relay has sockets.

mod answers;
mod back;
mod connection;
mod look;
mod requests;
mod witness;

use std::collections::HashSet;

use seqgate_protocol::sequencing::{BrokerGeneration, ConnectionId, Millis, TrackerLimits};
use seqgate_protocol::session::{Ledger, Policy, Present, Session};

use crate::memory::Handle;
pub(crate) use connection::{Api, Connection, Frame, Settle, Slot};
pub(crate) use look::Look;
use look::Place;
pub(crate) use requests::{GUARD_PATIENCE, SMALL};
pub(crate) use witness::{Asked, IDLE_MS_MAX, Witness};

/// One instance.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// One for each cluster that its connections were taken to lead to, with what was shown to it.
    ledgers: Vec<(Handle, Witness)>,
    /// Where connections lead that were told nothing.
    current: usize,
    pub(crate) limits: TrackerLimits,
    pub(crate) policy: Policy,
    /// Goes up when a connection to a broker ends in a way that the proxy did not cause, and when the last one ends.
    generations: Vec<u32>,
    open: Vec<u32>,
    serves_without_sasl: bool,
    next_connection: u32,
    /// Partitions whose logs are looked into.
    looked_into: HashSet<Place>,
    /// It began after others had produced.
    pub(crate) has_restarted: bool,
}

impl Proxy {
    pub(crate) fn new(limits: TrackerLimits, policy: Policy, brokers: usize) -> Self {
        Self {
            ledgers: vec![(Handle::new(limits), Witness::new(&limits))],
            current: 0,
            limits,
            policy,
            generations: vec![0; brokers],
            open: vec![0; brokers],
            serves_without_sasl: false,
            next_connection: 0,
            looked_into: HashSet::new(),
            has_restarted: false,
        }
    }

    /// The process ends and another begins.
    pub(crate) fn restart(&mut self) {
        *self = Self { has_restarted: true, ..Self::new(self.limits, self.policy, self.generations.len()) };
    }

    /// A session, and the ledger that it begins with.
    pub(crate) fn connect(&mut self, broker: usize) -> (Session<Handle>, usize) {
        self.open[broker] += 1;
        self.next_connection += 1;
        (Session::new(ConnectionId(self.next_connection - 1), self.ledgers[self.current].0.clone()), self.current)
    }

    pub(crate) fn witness(&mut self, ledger: usize) -> &mut Witness {
        &mut self.ledgers[ledger].1
    }

    pub(crate) fn witnesses(&mut self) -> impl Iterator<Item = &mut Witness> {
        self.ledgers.iter_mut().map(|(_, witness)| witness)
    }

    /// Whether a batch of the producer was ever answered here.
    pub(crate) fn has_answered(&self, producer_id: i64) -> bool {
        self.ledgers.iter().any(|(_, witness)| witness.has_given(producer_id))
    }

    /// Where a connection leads that was told nothing.
    pub(crate) fn home(&self) -> (usize, &Handle) {
        (self.current, &self.ledgers[self.current].0)
    }

    /// A connection that was taken to lead to `from` is told the id of its cluster, and where that is kept (T15):
    /// what is left ends.
    pub(crate) fn identify(&mut self, from: usize, id: &str, step: u64) -> (usize, Handle) {
        let has = |(handle, _): &(Handle, Witness)| handle.0.id.borrow().as_deref() == Some(id);
        let found = match self.ledgers.iter().position(has) {
            Some(found) => found,
            None if self.ledgers[from].0.0.id.borrow().is_none() => from,
            None => {
                let witness = Witness::new(&self.limits);
                self.ledgers.push((Handle::new(self.limits), witness));
                self.ledgers.len() - 1
            }
        };
        *self.ledgers[found].0.0.id.borrow_mut() = Some(id.into());
        let home = std::mem::replace(&mut self.current, found);
        for left in [from, home].into_iter().filter(|left| *left != found) {
            self.ledgers[left].0.each_tracker(|tracker| tracker.end_cluster());
            self.ledgers[left].1.ends(step);
        }
        (found, self.ledgers[found].0.clone())
    }

    /// The connection to a broker has ended.
    pub(crate) fn disconnect(&mut self, broker: usize, by_broker: bool) {
        self.open[broker] = self.open[broker].saturating_sub(1);
        if by_broker || self.open[broker] == 0 {
            self.generations[broker] += 1;
        }
    }

    /// Whether nobody else looks into the log of a partition; then somebody does.
    pub(crate) fn take_turn(&mut self, place: &Place) -> bool {
        self.looked_into.insert(place.clone())
    }

    pub(crate) fn end_turn(&mut self, place: &Place) {
        self.looked_into.remove(place);
    }

    pub(crate) fn generation(&self, broker: usize) -> (usize, u32) {
        (broker, self.generations[broker])
    }

    /// `may_look`: requests of our own may go. `guards`: what is first may wait for what should be.
    pub(crate) fn present(&self, broker: usize, now_ms: u64, may_look: bool, guards: bool) -> Present {
        Present {
            now: Millis(now_ms),
            broker: BrokerGeneration { broker: broker as u32, generation: self.generations[broker] },
            policy: self.policy,
            serves_without_sasl: self.serves_without_sasl,
            keep_bytes_max: usize::MAX,
            may_look,
            guards,
            // The world's clock begins long after its records were made.
            unix_ms: now_ms as i64,
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
        for (handle, _) in &self.ledgers {
            handle.each_tracker(|tracker| tracker.sweep(1_000, Millis(now_ms)));
        }
    }

    /// Producers, batches in flight, of unknown outcome and open altogether, and bytes.
    pub(crate) fn usage(&self, now_ms: u64) -> Usage {
        let mut usage = Usage { ledgers: self.ledgers.len() as u32, ..Usage::default() };
        for (handle, _) in &self.ledgers {
            handle.each_tracker(|tracker| {
                usage.producers += tracker.producers();
                usage.open += tracker.open_attempts();
                usage.bytes += tracker.bytes();
                tracker.report(0, 10_000, Millis(now_ms), |report| {
                    usage.pending += u32::from(report.pending);
                    usage.unknown += u32::from(report.unknown);
                    true
                });
            });
        }
        usage
    }
}

/// What a proxy's trackers hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) ledgers: u32,
    pub(crate) producers: u32,
    pub(crate) pending: u32,
    pub(crate) unknown: u32,
    pub(crate) open: u32,
    pub(crate) bytes: usize,
}
