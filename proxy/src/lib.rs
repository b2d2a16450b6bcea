//! seqgate

pub mod sandbox;
