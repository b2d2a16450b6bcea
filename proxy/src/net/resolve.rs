//! Names to addresses, within bounds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::HostPort;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Returns the addresses of `target`; at least one.
pub async fn resolve(target: &HostPort, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Some(ip) = target.ip() {
        return Ok(vec![SocketAddr::new(ip, target.port)]);
    }
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let found = tokio::time::timeout(patience, lookup)
        .await
        .map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("{} did not resolve in {patience:?}", target.host))
        })?
        .map_err(|error| io::Error::new(error.kind(), format!("{} does not resolve: {error}", target.host)))?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", target.host)));
    }
    Ok(addresses)
}
