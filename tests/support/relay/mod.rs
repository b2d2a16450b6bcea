//! A relay between any two of client, seqgate and broker that loses acknowledgements and cuts connections as it is told,
//! and records all that passes.

mod pump;
mod recording;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::PATIENCE;
pub use super::net::Ending;
pub use recording::{Answer, Batch, Recording, Stream};
use state::{Armed, State};

/// Where in an exchange a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Half of the request has gone on.
    InRequest,
    /// The whole request has gone on, and behind it the end of this direction alone: all answers still come.
    AfterRequest,
    /// The answer has been read from upstream and nothing of it has gone on: the acknowledgement is lost.
    BeforeAnswer,
    /// Half of the answer has gone on.
    InAnswer,
    /// The whole answer has gone on.
    AfterAnswer,
}

impl Point {
    /// Those that end both directions, in the order of an exchange.
    pub const CUTS: [Self; 4] = [Self::InRequest, Self::BeforeAnswer, Self::InAnswer, Self::AfterAnswer];

    /// Whether it is found by counting requests, not answers.
    fn is_on_request(self) -> bool {
        match self {
            Self::InRequest | Self::AfterRequest => true,
            Self::BeforeAnswer | Self::InAnswer | Self::AfterAnswer => false,
        }
    }
}

/// One cut, at the nth Produce request that is read, or the nth Produce answer that is about to go on, since it was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// Counted from 1, over all connections, or all of one client.
    pub nth: usize,
    /// Where it strikes.
    pub point: Point,
    /// How the connection ends, on both sides.
    pub ending: Ending,
}

/// A listening relay. Starts in order: everything passes.
pub struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: JoinHandle<()>,
}

struct Shared {
    name: &'static str,
    state: Mutex<State>,
    /// For test threads.
    changed: Condvar,
    /// For pumps.
    bell: watch::Sender<()>,
}

impl Relay {
    /// Listens on a port of its own; connections are refused until [`Self::target`] says where they go.
    pub fn bind(name: &'static str) -> Self {
        let shared =
            Arc::new(Shared { name, state: Mutex::default(), changed: Condvar::new(), bell: watch::Sender::new(()) });
        let listener = runtime().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = runtime().spawn(pump::accept(listener, Arc::clone(&shared)));
        Self { shared, address, acceptor }
    }

    /// Listens and passes on to `upstream`.
    pub fn to(name: &'static str, upstream: SocketAddr) -> Self {
        let relay = Self::bind(name);
        relay.target(upstream);
        relay
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go there.
    pub fn target(&self, upstream: SocketAddr) {
        self.shared.change(|state| state.upstream = Some(upstream));
    }

    /// Produce answers are read from upstream and kept, and whatever comes behind them on their connection.
    pub fn hold_answers(&self) {
        self.shared.change(|state| state.holding = true);
    }

    /// Kept answers go on.
    pub fn release_answers(&self) {
        self.shared.change(|state| state.holding = false);
    }

    /// New connections are reset, never closed in order.
    pub fn refuse(&self) {
        self.refuse_by(Ending::Reset);
    }

    /// New connections are ended this way as soon as they are there.
    pub fn refuse_by(&self, ending: Ending) {
        self.shared.change(|state| state.refusing = Some(ending));
    }

    /// New connections are let in.
    pub fn admit(&self) {
        self.shared.change(|state| state.refusing = None);
    }

    /// Arms a cut, counted from now.
    pub fn strike(&self, strike: Strike) {
        self.arm(None, strike);
    }

    /// Arms a cut for a client alone, counted from now.
    pub fn strike_client(&self, client: &str, strike: Strike) {
        self.arm(Some(client), strike);
    }

    fn arm(&self, client: Option<&str>, strike: Strike) {
        self.shared.change(|state| {
            let counts = client.map_or(state.counts, |client| state.counts_of(client));
            let counted = if strike.point.is_on_request() { counts.requests } else { counts.answers };
            let strike = Strike { nth: strike.nth + counted, ..strike };
            state.strikes.push(Armed { client: client.map(str::to_owned), strike });
        });
    }

    /// Ends every connection on both sides; answers kept are lost. Returns when all have ended.
    pub fn cut_all(&self, ending: Ending) {
        self.shared.change(|state| {
            for connection in state.connections.values_mut().filter(|connection| connection.open) {
                connection.cut = Some(ending);
            }
        });
        self.wait("end of cut connections", |state| {
            state.connections.values().all(|connection| !connection.open || connection.cut.is_none())
        });
    }

    /// Everything passes again: no holding, no refusing, no cut that is still to come.
    pub fn resume(&self) {
        self.shared.change(|state| {
            state.holding = false;
            state.refusing = None;
            state.strikes.clear();
        });
    }

    /// Waits until this many Produce answers are kept.
    pub fn wait_held(&self, count: usize) {
        self.wait("held answers", |state| state.held() >= count);
    }

    /// Waits until this many Produce answers to a client are kept.
    pub fn wait_held_of(&self, client: &str, count: usize) {
        self.wait(&format!("held answers to {client}"), |state| state.held_of(client) >= count);
    }

    /// Waits until this many Produce requests of a client have been read since the start.
    pub fn wait_requests_of(&self, client: &str, count: usize) {
        self.wait(&format!("produce requests of {client}"), |state| state.counts_of(client).requests >= count);
    }

    /// Waits until this many new connections have come since the start, let in or refused.
    pub fn wait_attempts(&self, count: usize) {
        self.wait("connections", |state| state.connections_made + state.refused >= count);
    }

    /// Waits until this many cuts have struck since the start.
    pub fn wait_struck(&self, count: usize) {
        self.wait("struck cuts", |state| state.struck.len() >= count);
    }

    /// Waits until this many new connections have been refused since the start.
    pub fn wait_refused(&self, count: usize) {
        self.wait("refused connections", |state| state.refused >= count);
    }

    /// Waits until no connection is open.
    pub fn wait_idle(&self) {
        self.wait("end of all connections", |state| state.connections.values().all(|connection| !connection.open));
    }

    /// Produce requests of a client that were read since the start.
    pub fn requests_of(&self, client: &str) -> usize {
        self.shared.state().counts_of(client).requests
    }

    /// Produce answers to a client that are kept now.
    pub fn held_of(&self, client: &str) -> usize {
        self.shared.state().held_of(client)
    }

    /// Connections that have come since the start, let in or refused.
    pub fn attempts(&self) -> usize {
        let state = self.shared.state();
        state.connections_made + state.refused
    }

    /// Produce answers that are kept now.
    pub fn held(&self) -> usize {
        self.shared.state().held()
    }

    /// The cuts that have struck, in their order.
    pub fn struck(&self) -> Vec<Strike> {
        self.shared.state().struck.clone()
    }

    /// New connections that were refused.
    pub fn refused(&self) -> usize {
        self.shared.state().refused
    }

    /// A copy of all that has passed, connection by connection.
    pub fn recording(&self) -> Recording {
        let state = self.shared.state();
        Recording { streams: state.connections.values().map(|connection| connection.stream.clone()).collect() }
    }

    /// Drops the records of connections that have ended.
    pub fn forget(&self) {
        self.shared.change(|state| state.connections.retain(|_, connection| connection.open));
    }

    fn wait(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while !reached(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                panic!("relay {}: no {what}; {}", self.shared.name, state.summary());
            };
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.acceptor.abort();
        let end = |state: &mut State| {
            state.closed = true;
            state.connections.values_mut().for_each(|connection| connection.cut = Some(Ending::Reset));
        };
        self.shared.change(end);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Changes the state and tells whoever waits on it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state());
        self.changed.notify_all();
        self.bell.send_replace(());
        value
    }
}

/// All relays of a test binary share two threads.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}
