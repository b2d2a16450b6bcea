//! Finds a proxy that would be its own broker.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::{Config, ConfigError};
use crate::net::local::serves;
use crate::net::resolve::resolve;

/// How long all names may take to resolve; those that do not are dialled later, and told then.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);

/// Refuses an upstream that leads to one of the addresses `bound`: it would feed itself until a limit is met.
pub async fn refuse_loops(config: &Config, bound: &[SocketAddr]) -> Result<(), ConfigError> {
    let deadline = Instant::now() + RESOLVE_PATIENCE;
    for listener in &config.listeners {
        let upstream = &listener.upstream;
        if !bound.iter().any(|at| at.port() == upstream.port) {
            continue;
        }
        let Ok(Ok(addresses)) = timeout_at(deadline, resolve(upstream, RESOLVE_PATIENCE)).await else { continue };
        if addresses.iter().any(|to| bound.iter().any(|at| serves(*at, *to))) {
            return Err(ConfigError::Loop { listener: listener.name.clone(), upstream: upstream.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostPort;

    async fn refused(upstream: HostPort, bound: &str) -> Option<String> {
        let config = Config::pipe(HostPort::new("0.0.0.0", 9092), upstream);
        refuse_loops(&config, &[bound.parse().unwrap()]).await.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_upstream_that_is_a_listener_is_refused() {
        for bound in ["127.0.0.1:9092", "0.0.0.0:9092", "[::]:9092"] {
            for host in ["127.0.0.1", "localhost"] {
                let expected = format!(
                    "listener default: upstream {host}:9092 is an address that this proxy listens on; name the broker"
                );
                assert_eq!(refused(HostPort::new(host, 9092), bound).await, Some(expected), "{bound}");
            }
        }
        for upstream in [("127.0.0.1", 9093), ("192.0.2.7", 9092), ("no such name", 9092)] {
            assert_eq!(refused(HostPort::new(upstream.0, upstream.1), "0.0.0.0:9092").await, None, "{upstream:?}");
        }
    }
}
