//! The real binary, from outside: its output, its exit status, its sockets and its admin port.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what a test helper cannot do fails its test")]

mod admin;
mod answers;
mod cli;
mod clusters;
mod confirm;
mod cut;
mod demo;
mod descriptors;
mod drain;
mod ends;
mod fuzz;
mod guard;
mod hostile;
mod journal;
mod large;
mod log;
mod many;
mod memory;
mod metrics;
mod openmetrics;
mod order;
mod proofs;
mod relay;
mod sasl;
mod scene;
mod slow;
mod state;
mod support;
mod transparency;
mod unread;
mod unwritable;
mod watch;
mod wire;
