//! seqgate: a transparent TCP proxy between Kafka clients and brokers.
//!
//! `command` is what a user runs, `server` accepts connections, `relay` moves their bytes and decides,
//! `runtime` is what all of them share. `sandbox` is a broker and a producer to try it on.

pub mod admin;
pub mod command;
pub mod config;
pub mod net;
pub mod relay;
pub mod runtime;
pub mod sandbox;
pub mod server;
pub mod telemetry;
