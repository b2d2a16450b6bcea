//! Counters by label that are resolved before the hot path needs them.

use std::marker::PhantomData;
use std::sync::OnceLock;

use prometheus_client::metrics::family::Family;

use super::labels::Label;
use super::lanes::Counter;

type Labels = Vec<(&'static str, &'static str)>;

/// Counts by one label; every value shows from the start.
#[derive(Debug)]
pub struct Counters<L> {
    family: Family<Labels, Counter>,
    cells: Box<[Counter]>,
    label: PhantomData<L>,
}

/// Counts by one label of many values; one shows once it was counted.
#[derive(Debug)]
pub struct SparseCounters<L> {
    family: Family<Labels, Counter>,
    cells: Box<[OnceLock<Counter>]>,
    label: PhantomData<L>,
}

/// Counts by two labels; every pair shows from the start.
#[derive(Debug)]
pub struct Grid<A, B> {
    family: Family<Labels, Counter>,
    cells: Box<[Counter]>,
    labels: PhantomData<(A, B)>,
}

impl<L: Label> Counters<L> {
    pub(super) fn new() -> Self {
        let family = Family::<Labels, Counter>::default();
        let cells = L::NAMES.iter().map(|name| family.get_or_create_owned(&vec![(L::KEY, *name)])).collect();
        Self { family, cells, label: PhantomData }
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

    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }
}

impl<L: Label> SparseCounters<L> {
    /// Shows `shown` from the start: a family without any value would not show at all.
    pub(super) fn new(shown: L) -> Self {
        let cells = L::NAMES.iter().map(|_| OnceLock::new()).collect();
        let counters = Self { family: Family::default(), cells, label: PhantomData };
        counters.cell(shown);
        counters
    }

    /// Counts one.
    pub fn inc(&self, label: L) {
        self.cell(label).inc();
    }

    fn cell(&self, label: L) -> &Counter {
        let index = label.index();
        self.cells[index].get_or_init(|| self.family.get_or_create_owned(&vec![(L::KEY, L::NAMES[index])]))
    }

    /// Returns the sum over all values.
    pub fn total(&self) -> u64 {
        self.cells.iter().filter_map(OnceLock::get).map(Counter::get).sum()
    }

    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }
}

impl<A: Label, B: Label> Grid<A, B> {
    pub(super) fn new() -> Self {
        let family = Family::<Labels, Counter>::default();
        let pairs = A::NAMES.iter().flat_map(|a| B::NAMES.iter().map(move |b| vec![(A::KEY, *a), (B::KEY, *b)]));
        let cells = pairs.map(|pair| family.get_or_create_owned(&pair)).collect();
        Self { family, cells, labels: PhantomData }
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

    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }
}
