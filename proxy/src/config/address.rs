//! `HOST:PORT` as people type it.

use std::fmt;
use std::net::IpAddr;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

/// Names a host and a port, before anything is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Says what is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No port, or not a number that a port can be.
    #[error("{0:?} is not HOST:PORT, such as \"127.0.0.1:9092\" or \"[::1]:9092\"")]
    Shape(String),
    /// A number that no port has.
    #[error("{0:?}: the port is above 65535")]
    Port(String),
    /// A character that no host name has.
    #[error("the host {0:?} is not a name or an address")]
    Host(String),
}

impl HostPort {
    /// Longest host name that DNS knows.
    pub const HOST_BYTES_MAX: usize = 253;

    /// Names `host` and `port`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Returns the host when it is an address already.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Says whether both cannot be listened on: they are one address, or one of them is a wildcard that covers the other.
    /// No name is resolved.
    pub fn collides_with(&self, other: &Self) -> bool {
        let ips = self.ip().zip(other.ip()).map(|(a, b)| (a.to_canonical(), b.to_canonical()));
        let collide = ips.map_or(self.host == other.host, |(a, b)| a == b || covers(a, b) || covers(b, a));
        self.port == other.port && self.port != 0 && collide
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let shape = || AddressError::Shape(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(shape)?;
        let port = port.parse().map_err(|error: ParseIntError| {
            if *error.kind() == IntErrorKind::PosOverflow { AddressError::Port(text.to_owned()) } else { shape() }
        })?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(ip) if ip.parse::<std::net::Ipv6Addr>().is_ok() => Ok(Self::new(ip, port)),
            Some(_) => Err(AddressError::Host(host.to_owned())),
            None if host.is_empty() || host.contains(':') => Err(shape()),
            None if host.len() <= Self::HOST_BYTES_MAX && host.bytes().all(is_host_byte) => Ok(Self::new(host, port)),
            None => Err(AddressError::Host(host.to_owned())),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The IPv6 wildcard takes connections of both families.
fn covers(wildcard: IpAddr, ip: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || ip.is_ipv4())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_prints_as_it_was() {
        for text in ["127.0.0.1:9092", "[::1]:0", "kafka-1.internal:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn addresses_that_cannot_both_be_listened_on_collide() {
        let collide = |a: &str, b: &str| {
            let (a, b): (HostPort, HostPort) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.collides_with(&b), b.collides_with(&a), "{a} {b}");
            a.collides_with(&b)
        };
        for (a, b) in [("127.0.0.1:1", "127.0.0.1:1"), ("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "0.0.0.0:1")] {
            assert!(collide(a, b), "{a} {b}");
        }
        assert!(collide("[::]:1", "127.0.0.1:1") && collide("[::]:1", "[::1]:1") && collide("kafka:1", "kafka:1"));
        for (a, b) in [("127.0.0.1:1", "127.0.0.1:2"), ("127.0.0.1:1", "127.0.0.2:1"), ("0.0.0.0:1", "[::1]:1")] {
            assert!(!collide(a, b), "{a} {b}");
        }
        assert!(!collide("0.0.0.0:0", "0.0.0.0:0") && !collide("kafka:1", "127.0.0.1:1"));
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in ["", "9092", ":9092", "host:", "host:65536", "host:-1", "::1:9092", "[x]:1", "a b:1", "a\n:1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
        let above = "127.0.0.1:99999".parse::<HostPort>().unwrap_err();
        assert_eq!(above.to_string(), "\"127.0.0.1:99999\": the port is above 65535");
    }
}
