//! seqgate: a transparent TCP proxy between Kafka clients and brokers.
//!
//! `command` is what a user runs, `server` accepts connections, `relay` moves their bytes and decides,
//! `runtime` is what all of them share.

pub mod admin;
pub mod command;
pub mod config;
pub mod net;
pub mod relay;
pub mod runtime;
pub mod server;
pub mod telemetry;
