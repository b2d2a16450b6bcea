//! How many descriptors the proxy needs, and how many it may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Descriptors beside those of connections, at least: standard streams, the runtimes', the admin port's.
const SPARE_MIN: u64 = 128;
/// What of them is not for threads.
const COMMON: u64 = 64;
/// What the runtime of a thread has: two for its events, one to be woken by, one for signals.
const PER_THREAD: u64 = 4;

/// Returns the descriptors that `config` can use: a client's side and a broker's for each connection.
pub fn needed(config: &Config) -> u64 {
    2 * config.limits.connections_max as u64 + beside(config)
}

/// Raises the limit of this process as far as it may go, and returns it; nothing when there is none.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Returns how many connections `descriptors` are enough for.
pub fn connections_possible(config: &Config, descriptors: u64) -> u64 {
    descriptors.saturating_sub(beside(config)) / 2
}

/// What is not for connections: listeners, pipes of two ends each, and what every process needs.
fn beside(config: &Config) -> u64 {
    config.listeners.len() as u64 + 2 * config.limits.pipes_max as u64 + spare()
}

fn spare() -> u64 {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    SPARE_MIN.max(COMMON + PER_THREAD * threads)
}
