//! Bounds of everything that could grow, with their defaults and units.

use std::time::Duration;

/// Bounds what connections, clients and brokers can make the proxy hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at a time; the next one is reset.
    pub connections_max: usize,
    /// Bytes of a frame; above, the connection is closed, as a broker does.
    pub frame_bytes_max: usize,
    /// Bytes of a produce request that is held whole; above, it is streamed and never answered here.
    pub hold_bytes_max: usize,
    /// Bytes of all buffers and state together; when full, reading stops.
    pub memory_max: usize,
    /// Requests of one connection that wait for their answer.
    pub in_flight_max: usize,
    /// Pipes of two descriptors each, through which the kernel passes on what is long and not looked at; 0: everything is
    /// read and written.
    pub pipes_max: usize,
    /// How long connections may take to end after a signal to stop.
    pub drain: Duration,
    /// How long a broker may take to accept a connection, over all its addresses.
    pub dial_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 9_000,
            frame_bytes_max: 100 << 20,
            hold_bytes_max: 2 << 20,
            memory_max: 1 << 30,
            in_flight_max: 64,
            pipes_max: 64,
            drain: Duration::from_secs(30),
            dial_timeout: Duration::from_secs(5),
        }
    }
}
