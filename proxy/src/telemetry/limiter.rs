//! Keeps a warning that repeats from filling the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets a few lines of one kind through in any interval, and counts the rest.
///
/// One limiter per kind of warning and place: nothing grows with what clients send.
#[derive(Debug)]
pub struct Limiter {
    burst: u32,
    interval: Duration,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    /// When the last ones were let through, the oldest first: `burst` of them at most.
    admitted: VecDeque<Instant>,
    suppressed: u64,
}

impl Limiter {
    /// Admits `burst` lines in any `interval`.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, lines: Mutex::new(Lines { admitted: VecDeque::new(), suppressed: 0 }) }
    }

    /// Admits one line in ten seconds.
    pub const fn rare() -> Self {
        Self::new(1, Duration::from_secs(10))
    }

    /// Says whether to log now: the number of lines that were kept back since the last one, or nothing.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.admitted.front().is_some_and(|at| now.saturating_duration_since(*at) >= self.interval) {
            lines.admitted.pop_front();
        }
        if lines.admitted.len() < self.burst as usize {
            lines.admitted.push_back(now);
            return Some(std::mem::take(&mut lines.suppressed));
        }
        lines.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_is_told_with_the_next_line() {
        let (limiter, start) = (Limiter::new(2, Duration::from_secs(10)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let admitted = [0, 1, 2, 9, 10, 11].map(|seconds| limiter.admit(at(seconds)));
        assert_eq!(admitted, [Some(0), Some(0), None, None, Some(2), Some(0)]);
    }

    #[test]
    fn no_ten_seconds_hold_more_lines_than_ten() {
        let (limiter, start) = (Limiter::new(10, Duration::from_secs(10)), Instant::now());
        // A line, silence, then a flood that lasts: the worst for windows that begin with a line.
        let times = std::iter::once(0).chain((9_500..40_000).step_by(7)).map(Duration::from_millis);
        let admitted: Vec<_> = times.filter(|at| limiter.admit(start + *at).is_some()).collect();
        let from = |first: Duration| {
            admitted.iter().filter(|at| (first..first + Duration::from_secs(10)).contains(at)).count()
        };
        let most = admitted.iter().map(|first| from(*first)).max();
        assert_eq!(most, Some(10), "{admitted:?}");
        assert!(admitted.len() > 30, "{admitted:?}");
    }
}
