//! Ports and endings of connections.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rand::Rng;
use socket2::SockRef;

/// Free ports for servers that cannot be told to take port 0 and say which one they got.
///
/// They lie below the range that outgoing connections draw from, so that a stopped server finds its port again.
pub fn free_ports(count: usize) -> Vec<u16> {
    let mut random = rand::rng();
    let mut held = Vec::new();
    while held.len() < count {
        let port = random.random_range(12_000..32_000);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
        }
    }
    held.iter().map(|listener: &TcpListener| listener.local_addr().unwrap().port()).collect()
}

/// An address on this machine.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The body of an answer to an HTTP request; fails unless its status is 200.
pub fn http_get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    body.to_owned()
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
