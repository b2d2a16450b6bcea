//! What the broker has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use kafka_protocol::error::ResponseError;

use super::partition::Outcome;

/// The broker's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerCounters {
    /// Batches that reached the broker in Produce requests.
    pub batches_received: u64,
    /// Batches that were appended.
    pub batches_appended: u64,
    /// Records that were appended.
    pub records_appended: u64,
    /// Batches answered as duplicates.
    pub duplicates: u64,
    /// Batches refused with error 45.
    pub out_of_order: u64,
    /// Batches refused with error 47.
    pub stale_epochs: u64,
    /// Batches refused for any other reason.
    pub otherwise_refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    batches_received: AtomicU64,
    batches_appended: AtomicU64,
    records_appended: AtomicU64,
    duplicates: AtomicU64,
    out_of_order: AtomicU64,
    stale_epochs: AtomicU64,
    otherwise_refused: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, outcome: &Outcome) {
        let one = |counter: &AtomicU64| _ = counter.fetch_add(1, Ordering::Relaxed);
        one(&self.batches_received);
        match outcome {
            Outcome::Appended { records, .. } => {
                one(&self.batches_appended);
                self.records_appended.fetch_add(u64::from(*records), Ordering::Relaxed);
            }
            Outcome::Duplicate(_) => one(&self.duplicates),
            Outcome::RefusedByLog(ResponseError::OutOfOrderSequenceNumber) => one(&self.out_of_order),
            Outcome::RefusedByLog(ResponseError::InvalidProducerEpoch) => one(&self.stale_epochs),
            Outcome::RefusedByLog(_) | Outcome::Refused(_) => one(&self.otherwise_refused),
        }
    }

    pub(super) fn read(&self) -> BrokerCounters {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BrokerCounters {
            batches_received: value(&self.batches_received),
            batches_appended: value(&self.batches_appended),
            records_appended: value(&self.records_appended),
            duplicates: value(&self.duplicates),
            out_of_order: value(&self.out_of_order),
            stale_epochs: value(&self.stale_epochs),
            otherwise_refused: value(&self.otherwise_refused),
        }
    }
}
