//! A histogram of durations without a lock: it is fed once per request on every connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::lanes::Lanes;

/// Upper bounds of the buckets in microseconds; one more holds the rest.
const BOUNDS_US: [u64; 16] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000,
];

const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Counts durations by size, in seconds.
#[derive(Debug, Clone, Default)]
pub struct Durations(Arc<Lanes<Cells>>);

#[derive(Debug, Default)]
struct Cells {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Durations {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let us = duration.as_micros();
        let bucket = BOUNDS_US.partition_point(|bound| u128::from(*bound) < us);
        let cells = self.0.own();
        cells.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        cells.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Returns how many were counted.
    pub fn count(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// By bucket.
    fn counts(&self) -> [u64; BUCKETS] {
        let mut counts = [0; BUCKETS];
        for cells in self.0.iter() {
            for (count, bucket) in counts.iter_mut().zip(&cells.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
        }
        counts
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.counts()).collect();
        // From the buckets that are shown: the total never disagrees with them.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum_ns: u64 = self.0.iter().map(|cells| cells.sum_ns.load(Ordering::Relaxed)).sum();
        let sum = sum_ns as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let durations = Durations::default();
        for us in [0, 10, 11, 30_000_000, 30_000_001] {
            durations.observe(Duration::from_micros(us));
        }
        let counts = durations.counts();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(durations.count(), 5);
    }
}
