//! Finds out whether clients are being told to go around the proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::Listener;
use crate::config::HostPort;
use crate::net::resolve::resolve;

/// Addresses that wait to be judged; those above are judged when they are seen again.
const QUEUE_MAX: usize = 64;
/// How long a name may take to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);

/// Says whether clients that go to an address come through this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A listener serves the address.
    Proxy,
    /// None does: clients go around.
    Around,
    /// The name does not resolve here.
    Unknown,
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

/// Judges what brokers advertise until the proxy stops: warns once per listener.
pub async fn judge_all(mut queue: AdvertisedQueue, listeners: Vec<Arc<Listener>>) {
    let bound: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    while let Some((listener, address)) = queue.recv().await {
        match route(&address, &bound).await {
            Route::Proxy => {}
            Route::Unknown => debug!(listener = listener.name, %address, "advertised address does not resolve here"),
            Route::Around if listener.note_bypass(address.clone()) => warn!(
                listener = listener.name,
                upstream = %listener.upstream.address,
                advertised = %address,
                cure = "set the broker's advertised.listeners to an address of this proxy",
                "clients will go around the proxy: the broker advertises an address that no listener serves"
            ),
            Route::Around => {}
        }
    }
}

/// Says where clients that are told `address` go, when the proxy listens on `bound`.
pub async fn route(address: &HostPort, bound: &[SocketAddr]) -> Route {
    let on_port: Vec<IpAddr> = bound.iter().filter(|at| at.port() == address.port).map(SocketAddr::ip).collect();
    if on_port.is_empty() {
        return Route::Around;
    }
    // Whatever name leads to this machine leads to such a listener, and the name is not ours to judge.
    if on_port.iter().any(IpAddr::is_unspecified) {
        return Route::Proxy;
    }
    if address.host == "localhost" && on_port.iter().any(IpAddr::is_loopback) {
        return Route::Proxy;
    }
    let Ok(addresses) = resolve(address, RESOLVE_PATIENCE).await else { return Route::Unknown };
    let served = addresses.iter().any(|found| on_port.contains(&found.ip().to_canonical()));
    if served { Route::Proxy } else { Route::Around }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::runtime::listener::BYPASS_MAX;
    use crate::runtime::{Runtime, Upstream};

    async fn judged(host: &str, port: u16, bound: &[&str]) -> Route {
        let bound: Vec<SocketAddr> = bound.iter().map(|at| at.parse().unwrap()).collect();
        route(&HostPort::new(host, port), &bound).await
    }

    #[tokio::test]
    async fn an_address_is_compared_as_clients_would_reach_it() {
        assert_eq!(judged("127.0.0.1", 9092, &["127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("localhost", 9092, &["127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("localhost", 9092, &["[::1]:9092"]).await, Route::Proxy);
        assert_eq!(judged("::ffff:127.0.0.1", 9092, &["127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("proxy.example.com", 9092, &["0.0.0.0:9092"]).await, Route::Proxy);
        assert_eq!(judged("10.0.0.1", 9092, &["[::]:9092"]).await, Route::Proxy);
        assert_eq!(judged("127.0.0.1", 9092, &["127.0.0.1:9093", "127.0.0.1:9092"]).await, Route::Proxy);
        assert_eq!(judged("127.0.0.1", 9093, &["127.0.0.1:9092"]).await, Route::Around);
        assert_eq!(judged("10.0.0.1", 9092, &["127.0.0.1:9092"]).await, Route::Around);
        assert_eq!(judged("localhost", 9093, &["0.0.0.0:9092"]).await, Route::Around);
        assert_eq!(judged("no such name", 9092, &["127.0.0.1:9092"]).await, Route::Unknown);
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
        runtime.note_advertised(&listener, &"x".repeat(300), 9092);
        // The last sender is gone with the runtime: the judge ends when it has judged all.
        drop(runtime);
        judge_all(queue, vec![Arc::clone(&listener)]).await;
        let bypass = listener.bypass();
        assert_eq!((bypass.len(), bypass[0].to_string()), (BYPASS_MAX, "127.0.0.1:20000".to_owned()));
    }
}
