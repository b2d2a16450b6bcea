//! Real parts for tests: Apache Kafka, its Java clients, the seqgate binary, and relays that lose acknowledgements.
//!
//! Each test binary includes this module and uses its own part of it.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "included by several test binaries")]
#![allow(clippy::unwrap_used, reason = "test code outside a test function")]

pub mod chain;
pub mod family;
pub mod go;
pub mod judge;
pub mod jvm;
pub mod kafka;
pub mod net;
pub mod place;
pub mod process;
pub mod producer;
pub mod python;
pub mod relay;
pub mod require;
pub mod rig;
pub mod seqgate;
pub mod tools;

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails: long, because it is reached only when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again until `reached`, for what nobody can be woken by; fails with what `state` says after [`PATIENCE`].
pub fn eventually(what: &str, mut reached: impl FnMut() -> bool, state: impl FnOnce() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "no {what}: {}", state());
        thread::sleep(Duration::from_millis(5));
    }
}
