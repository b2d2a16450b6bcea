//! The pure part of seqgate: bytes and facts in, values out.
//!
//! Nothing here waits, opens a socket, looks at a clock, takes a lock or writes a log line. Time is an
//! argument, and what happened is returned for the caller to act on, to count and to report.

pub mod event;
pub mod sequencing;
pub mod session;
pub mod wire;
