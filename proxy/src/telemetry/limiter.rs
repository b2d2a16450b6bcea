//! Keeps a warning that repeats from filling the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets a few lines of one kind through per interval, and counts the rest.
///
/// One limiter per kind of warning and place: nothing grows with what clients send.
#[derive(Debug)]
pub struct Limiter {
    burst: u32,
    interval: Duration,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    start: Option<Instant>,
    admitted: u32,
    suppressed: u64,
}

impl Limiter {
    /// Admits `burst` lines per `interval`.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, window: Mutex::new(Window { start: None, admitted: 0, suppressed: 0 }) }
    }

    /// Admits one line per ten seconds.
    pub const fn rare() -> Self {
        Self::new(1, Duration::from_secs(10))
    }

    /// Says whether to log now: the number of lines that were kept back since the last one, or nothing.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let over = window.start.is_none_or(|start| now.saturating_duration_since(start) >= self.interval);
        if over {
            (window.start, window.admitted) = (Some(now), 0);
        }
        if window.admitted < self.burst {
            window.admitted += 1;
            return Some(std::mem::take(&mut window.suppressed));
        }
        window.suppressed += 1;
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
}
