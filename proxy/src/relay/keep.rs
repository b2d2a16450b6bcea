//! What requests keep in memory until their answers have gone.

use std::sync::atomic::Ordering;

use super::budget::Purpose;
use super::link::Link;

/// One connection keeps at most so many times what a request that is held may have: one that is stripped is there
/// twice, and the others have their answers beside it.
const HELD_FACTOR: usize = 2;

/// Bytes that are taken until it is dropped.
#[derive(Debug)]
pub(super) struct Keep<'a> {
    link: &'a Link,
    bytes: usize,
}

impl Keep<'_> {
    /// They have become so many.
    pub(super) fn set(&mut self, bytes: usize) {
        let budget = &self.link.runtime.shared.budget;
        if bytes > self.bytes {
            self.link.kept.fetch_add(bytes - self.bytes, Ordering::Relaxed);
            budget.add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.link.kept.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            budget.give(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Keep<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Link {
    /// Takes bytes, which are there already.
    pub(super) fn keep(&self, bytes: usize) -> Keep<'_> {
        let mut keep = Keep { link: self, bytes: 0 };
        keep.set(bytes);
        keep
    }

    /// What the next request may keep.
    pub(super) fn keep_bytes_left(&self) -> usize {
        let own = self.runtime.config.limits.hold_bytes_max * HELD_FACTOR;
        let own_left = own.saturating_sub(self.kept.load(Ordering::Relaxed));
        own_left.min(self.runtime.shared.budget.left(Purpose::Request))
    }

    /// Whether there is so little memory that a connection does with one request at a time.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.runtime.shared.budget.left(Purpose::Request) == 0
    }
}
