//! The real sessions and trackers in a simulated world: a bounded number of seeds, the model's own rules, and the
//! proof that a defect would be found.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "small numbers"
)]
#![allow(clippy::wildcard_enum_match_arm, clippy::print_stdout, dead_code, reason = "a test")]

mod batch;
mod clients;
mod cluster;
mod defects;
mod hunt;
#[path = "../golden/memory.rs"]
mod memory;
mod plan;
mod primitive;
mod proxy;
mod random;
mod wire;
mod world;

/// Seeds in every run of the tests; `simulate` runs as many as one likes.
const SEEDS: u64 = 2_000;

#[test]
fn nothing_is_wrong_in_any_of_many_worlds() {
    hunt::keep_panics();
    match hunt::hunt(0, SEEDS, &|_| {}) {
        Ok(totals) => assert_eq!(totals.seeds, SEEDS),
        Err(failure) => panic!("seed {}: {}\n{}", failure.seed, failure.problem, failure.story.join("\n")),
    }
}
