//! What the state of all clusters may take in memory together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One part of so many is divided evenly among all shares, so that none is kept empty by the others.
const OWN_PART: usize = 8;

/// Bytes that all trackers and directories may take together, and those that they take.
///
/// Whoever grows asks first and counts afterwards: two that grow at the same moment go beyond by a step at most.
#[derive(Debug)]
pub struct Allowance {
    bytes_max: usize,
    taken: AtomicUsize,
    shares: AtomicUsize,
}

impl Allowance {
    /// Allows so many bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, taken: AtomicUsize::new(0), shares: AtomicUsize::new(0) }
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Allows whatever is asked for.
impl Default for Allowance {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

/// What one tracker or directory takes, for as long as it is there.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Allowance>,
    taken: usize,
}

impl Share {
    pub(super) fn new(of: &Arc<Allowance>) -> Self {
        of.shares.fetch_add(1, Ordering::Relaxed);
        Self { of: Arc::clone(of), taken: 0 }
    }

    /// Whether it may grow by so much.
    pub(super) fn has(&self, bytes: usize) -> bool {
        let Allowance { bytes_max, .. } = *self.of;
        let own = bytes_max / OWN_PART / self.of.shares.load(Ordering::Relaxed).max(1);
        let common = bytes_max - bytes_max / OWN_PART;
        bytes == 0 || self.of.taken() + bytes <= common || self.taken + bytes <= own
    }

    /// Whether it may grow by what it could do without: the last quarter is for those that have nothing yet.
    pub(super) fn is_roomy(&self) -> bool {
        self.of.taken() < self.of.bytes_max / 4 * 3
    }

    /// Takes in what it has come to.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes > self.taken {
            self.of.taken.fetch_add(bytes - self.taken, Ordering::Relaxed);
        } else if bytes < self.taken {
            self.of.taken.fetch_sub(self.taken - bytes, Ordering::Relaxed);
        }
        self.taken = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        self.of.shares.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an allocation of so many bytes takes, with what allocators add and round up to.
pub(super) const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ => (bytes + 8).next_multiple_of(16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_by_whoever_goes() {
        let allowance = Arc::new(Allowance::new(800));
        let (mut one, mut two) = (Share::new(&allowance), Share::new(&allowance));
        one.set(500);
        two.set(100);
        one.set(300);
        assert_eq!(allowance.taken(), 400);
        drop(one);
        assert_eq!(allowance.taken(), 100);
    }

    #[test]
    fn the_last_quarter_is_for_those_that_have_nothing() {
        let allowance = Arc::new(Allowance::new(800));
        let mut one = Share::new(&allowance);
        one.set(599);
        assert!(one.is_roomy());
        one.set(600);
        assert!(!one.is_roomy());
    }

    #[test]
    fn nothing_takes_nothing_and_all_else_what_allocators_add() {
        assert_eq!([0, 1, 8, 9, 24].map(allocated), [0, 16, 16, 32, 32]);
    }

    #[test]
    fn one_that_takes_all_leaves_the_others_their_own() {
        let allowance = Arc::new(Allowance::new(800));
        let (mut one, two) = (Share::new(&allowance), Share::new(&allowance));
        assert!(one.has(700) && !one.has(701));
        one.set(700);
        assert!(!one.has(1));
        assert!(two.has(50) && !two.has(51), "an eighth, divided by two");
    }
}
