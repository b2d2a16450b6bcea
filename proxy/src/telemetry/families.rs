//! Counters by label that are resolved before the hot path needs them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::labels::Label;
use super::lanes::Counter;

type Labels = Vec<(&'static str, &'static str)>;

/// Counts by one label; every value shows from the start.
#[derive(Debug)]
pub struct Counters<L> {
    cells: Box<[Counter]>,
    label: PhantomData<L>,
}

/// Counts by one label of many values; one shows once it was counted.
#[derive(Debug)]
pub struct SparseCounters<L> {
    family: Family,
    label: PhantomData<L>,
}

/// Counts by two labels; every pair shows from the start.
#[derive(Debug)]
pub struct Grid<A, B> {
    cells: Box<[Counter]>,
    labels: PhantomData<(A, B)>,
}

/// What a scrape shows, in the order of the labels: two scrapes can be compared line by line.
#[derive(Clone, Debug)]
pub(super) struct Family(Arc<[(Labels, OnceLock<Counter>)]>);

impl<L: Label> Counters<L> {
    pub(super) fn new() -> Self {
        Self { cells: L::NAMES.iter().map(|_| Counter::default()).collect(), label: PhantomData }
    }

    /// Counts one.
    pub fn inc(&self, label: L) {
        self.add(label, 1);
    }

    /// Counts `n`.
    pub fn add(&self, label: L, n: u64) {
        self.cells[label.index()].inc_by(n);
    }

    /// Returns the count.
    pub fn count(&self, label: L) -> u64 {
        self.cells[label.index()].get()
    }

    pub(super) fn family(&self) -> Family {
        Family::of(L::NAMES.iter().map(|name| vec![(L::KEY, *name)]), &self.cells)
    }
}

impl<L: Label> SparseCounters<L> {
    /// Shows `shown` from the start: a family without any value would not show at all.
    pub(super) fn new(shown: L) -> Self {
        let family = Family(L::NAMES.iter().map(|name| (vec![(L::KEY, *name)], OnceLock::new())).collect());
        let counters = Self { family, label: PhantomData };
        counters.cell(shown);
        counters
    }

    /// Counts one.
    pub fn inc(&self, label: L) {
        self.cell(label).inc();
    }

    fn cell(&self, label: L) -> &Counter {
        self.family.0[label.index()].1.get_or_init(Counter::default)
    }

    /// Returns the sum over all values.
    pub fn total(&self) -> u64 {
        self.family.0.iter().filter_map(|(_, cell)| cell.get()).map(Counter::get).sum()
    }

    pub(super) fn family(&self) -> Family {
        self.family.clone()
    }
}

impl<A: Label, B: Label> Grid<A, B> {
    pub(super) fn new() -> Self {
        let cells = (0..A::NAMES.len() * B::NAMES.len()).map(|_| Counter::default()).collect();
        Self { cells, labels: PhantomData }
    }

    /// Counts one.
    pub fn inc(&self, a: A, b: B) {
        self.cells[Self::cell(a, b)].inc();
    }

    /// Returns the count.
    pub fn count(&self, a: A, b: B) -> u64 {
        self.cells[Self::cell(a, b)].get()
    }

    /// Returns the counts summed over the second label, in the order of the first.
    pub fn rows(&self) -> impl Iterator<Item = u64> + '_ {
        self.cells.chunks(B::NAMES.len()).map(|row| row.iter().map(Counter::get).sum())
    }

    fn cell(a: A, b: B) -> usize {
        a.index() * B::NAMES.len() + b.index()
    }

    pub(super) fn family(&self) -> Family {
        let pairs = A::NAMES.iter().flat_map(|a| B::NAMES.iter().map(move |b| vec![(A::KEY, *a), (B::KEY, *b)]));
        Family::of(pairs, &self.cells)
    }
}

impl Family {
    /// Shows all of `cells`, which stand in the order of `labels`.
    fn of(labels: impl Iterator<Item = Labels>, cells: &[Counter]) -> Self {
        Self(labels.zip(cells.iter().cloned().map(OnceLock::from)).collect())
    }
}

impl EncodeMetric for Family {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, cell) in self.0.iter() {
            if let Some(counter) = cell.get() {
                counter.encode(encoder.encode_family(labels)?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        Counter::TYPE
    }
}
