//! What every fuzz target does with its bytes, as plain functions: libFuzzer calls them from `fuzz_targets`, and the
//! smoke test of the main workspace, on stable, with the corpus and mutations of it.

pub mod targets;
