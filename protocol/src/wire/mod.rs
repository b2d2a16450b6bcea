//! Kafka's wire format, as far as produce traffic needs it: bounded walks over borrowed bytes.
//!
//! Nothing here allocates by a number from the wire, and nothing panics on bytes from a socket: what does not
//! parse is a [`cursor::ParseError`], and the caller forwards such a frame as it came.

pub mod batch;
pub mod cursor;
pub mod foreign;
pub mod frame;
pub mod head;
pub mod learn;
pub mod log;
pub mod produce;

#[cfg(test)]
pub(crate) mod samples;
