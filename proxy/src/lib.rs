//! seqgate

pub mod command;
pub mod sandbox;
