//! Ports and endings of connections.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rand::Rng;
use socket2::SockRef;

/// Free ports for servers that cannot be told to take port 0 and say which one they got.
///
/// They lie below the range that outgoing connections draw from, so that a stopped server finds its port again.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let mut random = rand::rng();
    let mut held = Vec::new();
    while held.len() < N {
        let port = random.random_range(12_000..32_000);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
        }
    }
    std::array::from_fn(|i| held[i].local_addr().unwrap().port())
}

/// An address on this machine.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a reset, as when a machine or a load balancer gives up.
    Reset,
    /// With a FIN, in good order.
    Close,
}

impl Ending {
    /// Ends the connection this way. Both directions are over.
    pub fn apply(self, stream: tokio::net::TcpStream) {
        if self == Self::Reset {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        drop(stream);
    }
}
