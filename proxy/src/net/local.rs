//! Which addresses are this host's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Says whether `ip` is an address of this host. Sends nothing.
pub fn is_local(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    // The kernel binds these as well, and they are nobody's.
    !ip.is_unspecified() && !ip.is_multicast() && can_bind(ip) && (binding_tells(ip) || leads_here(ip))
}

fn can_bind(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether only addresses of this host can be bound, as everywhere but with `net.ipv4.ip_nonlocal_bind`.
fn binding_tells(ip: IpAddr) -> bool {
    !can_bind(if ip.is_ipv4() { NOBODYS.into() } else { NOBODYS_V6.into() })
}

/// Whether what goes to `ip` comes from there, as on the way to oneself. One address is missed: a further IPv4 address
/// of a network in which this host has one already, for the way there begins at the first.
fn leads_here(ip: IpAddr) -> bool {
    ip.is_loopback() || source_to(ip).is_ok_and(|source| source == ip)
}

/// The address that datagrams to `ip` would bear.
fn source_to(ip: IpAddr) -> io::Result<IpAddr> {
    let any = if ip.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((ip, 1))?;
    Ok(socket.local_addr()?.ip())
}

/// Says whether a connection to `to` is accepted by what is bound to `bound`.
pub fn serves(bound: SocketAddr, to: SocketAddr) -> bool {
    let (ip, at) = (to.ip().to_canonical(), bound.ip().to_canonical());
    // The IPv6 wildcard takes connections of both families.
    let covers = at == ip || at.is_unspecified() && (at.is_ipv6() || ip.is_ipv4()) && is_local(ip);
    bound.port() == to.port() && covers
}

/// An address that no host has: RFC 5737 keeps its network for documentation.
const NOBODYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
/// The same by RFC 3849.
const NOBODYS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

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

    /// Where every address can be bound, this alone tells them apart.
    #[test]
    fn no_way_to_another_host_begins_at_its_address() {
        for (ip, leads) in [("127.0.0.1", true), ("127.1.2.3", true), ("192.0.2.7", false), ("2001:db8::7", false)] {
            assert_eq!(leads_here(ip.parse().unwrap()), leads, "{ip}");
        }
        // What this host sends from is its own.
        if let Ok(own) = source_to("192.0.2.7".parse().unwrap()) {
            assert!(leads_here(own), "{own}");
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
