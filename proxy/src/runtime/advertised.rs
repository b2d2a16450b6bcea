//! Finds out whether clients are being told to go around the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

use super::Listener;
use crate::config::HostPort;
use crate::net::local::{is_local, serves};
use crate::net::resolve::resolve;

const UNCLEAR: &str = "cannot tell whether an advertised address leads here (another host, a load balancer, NAT?)";

const AROUND: &str = "clients will go around the proxy: the broker advertises an address that no listener serves";

/// Addresses that wait to be judged; those above are judged when they are seen again.
const QUEUE_MAX: usize = 64;
/// How long a name may take to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);
/// What ends a way around the proxy.
const CURE: &str = "set the broker's advertised.listeners to an address of this proxy";

/// Says whether clients that go to an address come through this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A listener serves the address.
    Proxy,
    /// None does: clients go around.
    Around,
    /// The name does not resolve here, or is another host's, which may send them here.
    Unclear,
}

/// Carries addresses from the relay to [`judge_all`].
#[derive(Debug)]
pub struct Advertised {
    sender: mpsc::Sender<(Arc<Listener>, HostPort)>,
}

/// Receives what [`Advertised`] was told.
pub type AdvertisedQueue = mpsc::Receiver<(Arc<Listener>, HostPort)>;

impl Advertised {
    /// Returns both ends of the queue.
    pub fn new() -> (Self, AdvertisedQueue) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { sender }, receiver)
    }

    /// Has `address` judged unless it was before; never waits.
    pub(super) fn note(&self, listener: &Arc<Listener>, address: HostPort) {
        let Ok(slot) = self.sender.try_reserve() else { return };
        if listener.is_new_advertised(&address) {
            slot.send((Arc::clone(listener), address));
        }
    }
}

/// Judges what brokers advertise until the proxy stops: warns once per listener of a way around it, and once of each
/// address that may be one.
pub async fn judge_all(mut queue: AdvertisedQueue, listeners: Vec<Arc<Listener>>) {
    let bound: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    let upstreams: Vec<HostPort> = listeners.iter().map(|listener| listener.upstream.address.clone()).collect();
    while let Some((listener, address)) = queue.recv().await {
        let what = match route(&address, &bound, &upstreams).await {
            Route::Unclear if listener.note_unclear(address.clone()) => UNCLEAR,
            Route::Around if listener.note_bypass(address.clone()) => AROUND,
            Route::Proxy | Route::Unclear | Route::Around => continue,
        };
        let upstream = &listener.upstream.address;
        warn!(listener = listener.name, %upstream, advertised = %address, cure = CURE, "{what}");
    }
}

/// Says where clients that are told `address` go, when the proxy listens on `bound` for `upstreams`.
pub async fn route(address: &HostPort, bound: &[SocketAddr], upstreams: &[HostPort]) -> Route {
    let on_port = |at: &&SocketAddr| at.port() == address.port;
    // Which family the name has here is not which it has for a client.
    if address.host == "localhost" && bound.iter().filter(on_port).any(|at| at.ip().is_loopback()) {
        return Route::Proxy;
    }
    let Ok(found) = resolve(address, RESOLVE_PATIENCE).await else {
        return if upstreams.contains(address) { Route::Around } else { Route::Unclear };
    };
    if found.iter().any(|to| bound.iter().any(|at| serves(*at, *to))) {
        return Route::Proxy;
    }
    let is_here = found.iter().any(|to| is_local(to.ip()));
    if is_here || is_upstream(address, &found, upstreams).await { Route::Around } else { Route::Unclear }
}

/// Says that nobody here can tell where `address` leads.
pub fn unclear(address: &HostPort) -> String {
    format!("cannot tell whether {address} leads here (another host, a load balancer, NAT?)")
}

/// Says whether `address`, which leads to `found`, is where the proxy itself goes.
async fn is_upstream(address: &HostPort, found: &[SocketAddr], upstreams: &[HostPort]) -> bool {
    let any = async {
        for upstream in upstreams.iter().filter(|upstream| upstream.port == address.port) {
            let own = resolve(upstream, RESOLVE_PATIENCE).await.unwrap_or_default();
            if upstream == address || own.iter().any(|own| found.contains(own)) {
                return true;
            }
        }
        false
    };
    timeout(RESOLVE_PATIENCE, any).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::runtime::listener::BYPASS_MAX;
    use crate::runtime::{Runtime, Upstream};

    async fn judged(host: &str, port: u16, bound: &[&str]) -> Route {
        let bound: Vec<SocketAddr> = bound.iter().map(|at| at.parse().unwrap()).collect();
        let upstreams = [HostPort::new("192.0.2.9", 9092), HostPort::new("kafka-1.invalid", 9092)];
        route(&HostPort::new(host, port), &bound, &upstreams).await
    }

    #[tokio::test]
    async fn an_address_is_compared_as_clients_would_reach_it() {
        assert_eq!(judged("127.0.0.1", 9092, &["127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("localhost", 9092, &["127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("localhost", 9092, &["[::1]:9092"]).await, Route::Proxy);
        assert_eq!(judged("::ffff:127.0.0.1", 9092, &["127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("127.0.0.1", 9092, &["127.0.0.1:9093", "127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("127.0.0.1", 9093, &["127.0.0.1:9092"]).await, Route::Around);
        assert_eq!(judged("localhost", 9093, &["0.0.0.0:9092"]).await, Route::Around);
    }

    #[tokio::test]
    async fn a_wildcard_serves_this_host_and_no_other() {
        for wildcard in ["0.0.0.0:9092", "[::]:9092"] {
            assert_eq!(judged("127.0.0.1", 9092, &[wildcard]).await, Route::Proxy);
            assert_eq!(judged("localhost", 9092, &[wildcard]).await, Route::Proxy);
            assert_eq!(judged("192.0.2.7", 9092, &[wildcard]).await, Route::Unclear);
            assert_eq!(judged("no such name", 9092, &[wildcard]).await, Route::Unclear);
        }
        // Another host may forward to a port of this one, whichever that is.
        assert_eq!(judged("192.0.2.7", 9093, &["0.0.0.0:9092"]).await, Route::Unclear);
        assert_eq!(judged("192.0.2.7", 9092, &["127.0.0.1:9092"]).await, Route::Unclear);
    }

    #[tokio::test]
    async fn the_broker_s_own_address_leads_around_unless_a_listener_has_it() {
        assert_eq!(judged("192.0.2.9", 9092, &["0.0.0.0:9092"]).await, Route::Around);
        assert_eq!(judged("kafka-1.invalid", 9092, &["0.0.0.0:9092"]).await, Route::Around);
        assert_eq!(judged("192.0.2.9", 9092, &["192.0.2.9:9092"]).await, Route::Proxy);
    }

    #[tokio::test]
    async fn what_leads_around_is_kept_once_and_bounded() {
        let at = HostPort::new("127.0.0.1", 9092);
        let config = Config::pipe(at.clone(), at.clone());
        let upstream = Arc::new(Upstream::new(at));
        let address = "127.0.0.1:19092".parse().unwrap();
        let listener = Arc::new(Listener::new(&config.listeners[0], address, upstream));
        let (runtime, queue) = Runtime::new(config, vec![Arc::clone(&listener)]);
        for port in (20_000..20_040).chain([19_092, 20_000, 0, -1, 70_000]) {
            runtime.note_advertised(&listener, "127.0.0.1", port);
        }
        for last in 0..40 {
            runtime.note_advertised(&listener, &format!("192.0.2.{last}"), 9092);
        }
        runtime.note_advertised(&listener, &"x".repeat(300), 9092);
        // The last sender is gone with the runtime: the judge ends when it has judged all.
        drop(runtime);
        judge_all(queue, vec![Arc::clone(&listener)]).await;
        let (bypass, unclear) = (listener.bypass(), listener.unclear());
        assert_eq!((unclear.len(), unclear[0].to_string()), (BYPASS_MAX, "192.0.2.0:9092".to_owned()));
        assert_eq!((bypass.len(), bypass[0].to_string()), (BYPASS_MAX, "127.0.0.1:20000".to_owned()));
    }
}
