//! What every socket of the data path is set to.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the kernel asks the peer for a sign of life.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between further questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Turns off Nagle's delay and turns on keepalive.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Ends the connection with a reset: the peer must not take it for an orderly close.
pub fn reset(stream: TcpStream) {
    // Without linger the drop below is an orderly close, which is the worse of two answers but the only one left.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
    drop(stream);
}
