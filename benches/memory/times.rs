//! Operations by how long they took.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// No operation may take longer, in nanoseconds.
const NANOS_MAX: u32 = 1_000_000;

/// Operations of one kind.
pub(crate) struct Times {
    what: &'static str,
    nanos: Vec<u32>,
    /// The longest, by the time that the thread was running: others use the machine, too.
    longest: u32,
}

impl Times {
    /// Has room for so many operations, written once, so that its memory is not taken for the trackers'.
    pub(crate) fn new(what: &'static str, operations: usize) -> Self {
        let mut nanos = vec![1; operations];
        nanos.clear();
        Self { what, nanos, longest: 0 }
    }

    pub(crate) fn take<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let (running, since) = (running(), Instant::now());
        let value = act();
        let nanos = u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX);
        self.nanos.push(nanos);
        if nanos > self.longest {
            let ran = self::running().saturating_sub(running);
            self.longest = self.longest.max(u32::try_from(ran).unwrap_or(u32::MAX).min(nanos));
        }
        value
    }

    /// Prints them; returns what is wrong with them.
    pub(crate) fn judge(mut self) -> Option<String> {
        self.nanos.sort_unstable();
        let at = |share: f64| f64::from(self.nanos[((self.nanos.len() - 1) as f64 * share) as usize]) / 1e3;
        println!(
            "  {:12} p50 {:.2} us, p99.99 {:.1} us, longest {:.1} us of its own; {} times",
            self.what,
            at(0.5),
            at(0.9999),
            f64::from(self.longest) / 1e3,
            self.nanos.len(),
        );
        super::above(&format!("longest {} in ns", self.what), self.longest.into(), NANOS_MAX.into())
    }
}

/// Prints the longest step of a loop that does nothing, for so long: machines that others use add as much to any operation.
pub(crate) fn print_noise(time: Duration) {
    let (since, mut longest, mut before) = (Instant::now(), 0, running());
    while since.elapsed() < time {
        let now = running();
        (longest, before) = (longest.max(now - before), now);
    }
    println!("  nothing      longest {:.1} us of its own, for as long", longest as f64 / 1e3);
}

/// For how long this thread has been running, in nanoseconds.
fn running() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
