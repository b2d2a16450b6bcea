//! Real Apache Kafka and its real Java clients: what doubles without seqgate, and what does not with it.

#![allow(clippy::unwrap_used, reason = "test code outside a test function")]
#![allow(clippy::print_stdout, reason = "what a failing test has measured")]

mod chaos;
mod cluster;
mod decoding;
mod demo;
mod down;
mod enforce;
mod expiry;
mod families;
mod judging;
mod large;
mod log;
mod losing;
mod matrix;
mod newest;
mod observe;
mod raw;
mod recorded;
mod relaying;
mod restart;
mod sandbox;
mod seeded_chaos;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
mod unseen;
