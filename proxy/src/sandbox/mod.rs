//! A broker and a producer in this process: for the demo, for tests and for rehearsals.
//!
//! The [`broker`] follows Kafka's rules for idempotent producers and speaks enough of the protocol for real clients. The
//! [`producer`] makes the moves that Kafka's Java producer makes, so that what goes wrong with it goes wrong with real
//! ones. The [`relay`] between the two loses acknowledgements. A [`scene`] puts
//! them together, on the sandbox's broker or on a real one, which makes it a [`topic`].

mod acceptor;
pub mod batch;
pub mod broker;
mod client;
mod frame;
pub mod producer;
pub mod reader;
pub mod relay;
pub mod scene;
pub mod topic;

#[cfg(test)]
mod tests;
