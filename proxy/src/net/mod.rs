//! Sockets: how they are tuned, and how a broker is dialled.

pub mod descriptors;
pub mod dial;
pub mod foreign;
pub mod local;
pub mod metadata;
pub mod resolve;
pub mod socket;
