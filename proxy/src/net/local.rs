//! Which addresses are this host's own.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Says whether `ip` is an address of this host: only on such a one can a socket be bound.
///
/// Sends nothing. Where `net.ipv4.ip_nonlocal_bind` is set, every address looks like one.
pub fn is_local(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    // The kernel binds these as well, and they are nobody's.
    !ip.is_unspecified() && !ip.is_multicast() && UdpSocket::bind((ip, 0)).is_ok()
}

/// Says whether a connection to `to` is accepted by what is bound to `bound`.
pub fn serves(bound: SocketAddr, to: SocketAddr) -> bool {
    let (ip, at) = (to.ip().to_canonical(), bound.ip().to_canonical());
    // The IPv6 wildcard takes connections of both families.
    let covers = at == ip || at.is_unspecified() && (at.is_ipv6() || ip.is_ipv4()) && is_local(ip);
    bound.port() == to.port() && covers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local_and_what_is_kept_for_documentation_is_not() {
        for ip in ["127.0.0.1", "127.1.2.3", "::ffff:127.0.0.1"] {
            assert!(is_local(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["192.0.2.7", "2001:db8::7", "0.0.0.0", "::", "224.0.0.1"] {
            assert!(!is_local(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn a_wildcard_serves_addresses_of_this_host_alone() {
        let serves = |bound: &str, to: &str| serves(bound.parse().unwrap(), to.parse().unwrap());
        assert!(serves("0.0.0.0:9092", "127.0.0.1:9092") && serves("[::]:9092", "127.0.0.1:9092"));
        assert!(!serves("0.0.0.0:9092", "192.0.2.7:9092") && !serves("0.0.0.0:9092", "127.0.0.1:9093"));
        assert!(!serves("0.0.0.0:9092", "[::1]:9092"));
        assert!(serves("192.0.2.7:9092", "192.0.2.7:9092"));
    }
}
