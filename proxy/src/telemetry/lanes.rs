//! Counts that threads add to without meeting.

use std::array;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::metrics::counter::{self, Atomic};

/// How many threads have a lane of their own; beyond, they share.
pub const LANES: usize = 8;

/// The lane of the thread that asks: always the same one.
pub fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LANES);
    LANE.with(|lane| *lane)
}

/// One value per lane, each far enough from the others that a processor can keep it to itself: two cache lines, because
/// lines are fetched in pairs.
#[derive(Debug, Default)]
pub struct Lanes<T>([Apart<T>; LANES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Lanes<T> {
    /// That of the thread that asks.
    pub fn own(&self) -> &T {
        &self.0[lane()].0
    }

    /// All of them.
    pub fn iter(&self) -> array::IntoIter<&T, LANES> {
        self.0.each_ref().map(|apart| &apart.0).into_iter()
    }
}

/// A counter whose value is the sum of its lanes: every connection counts in it, for every request.
pub type Counter = counter::Counter<u64, Lanes<AtomicU64>>;

impl Atomic<u64> for Lanes<AtomicU64> {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// What it returns is the lane's former value: nobody needs the sum of all for each step.
    fn inc_by(&self, n: u64) -> u64 {
        self.own().fetch_add(n, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.iter().map(|lane| lane.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_counter_is_the_sum_of_what_threads_counted() {
        let counter = Counter::default();
        let threads: Vec<_> = (0..2 * LANES as u64)
            .map(|n| {
                let counter = counter.clone();
                thread::spawn(move || counter.inc_by(n))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counter.get(), (0..16).sum::<u64>());
    }

    #[test]
    fn a_thread_stays_on_its_lane() {
        let counter = Lanes::<AtomicU64>::default();
        counter.inc();
        counter.inc();
        assert_eq!(counter.own().load(Ordering::Relaxed), 2);
    }
}
