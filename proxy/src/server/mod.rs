//! Binds every listener, accepts connections, and ends them in order.

mod accept;
mod bind;
mod connection;
mod workers;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use self::accept::NoThreads;
use self::workers::Workers;
use crate::admin;
use crate::config::Config;
use crate::net::descriptors;
use crate::runtime::loops::refuse_loops;
use crate::runtime::{AdvertisedQueue, Drain, Runtime, Upstream, advertised};
use crate::telemetry::journal::Journal;

/// How long connections that are out of time may take to notice, before they are cut.
const GRACE: Duration = Duration::from_millis(250);

/// Time between two looks at what has been idle for too long.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);

/// Brokers that are looked at side by side, one descriptor each.
const LOOKS_MAX: usize = 16;

/// A proxy that accepts connections; dropped without [`Running::drain`], it cuts them all.
#[derive(Debug)]
pub struct Running {
    /// The bound listeners by name; their ports are never 0.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The bound admin port, when there is one.
    pub admin: Option<SocketAddr>,
    /// What its connections share.
    pub runtime: Arc<Runtime>,
    drain: Drain,
    accepting: JoinSet<Result<(), NoThreads>>,
    background: JoinSet<()>,
}

/// Says how a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open when the deadline passed, and were cut.
    pub cut: usize,
}

/// Binds every listener of `config`, then accepts connections on all of them.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    raise_descriptors(&config);
    let bound = bind::all(&config).await?;
    let addresses: Vec<SocketAddr> = bound.iter().map(|(listener, _)| listener.address).collect();
    refuse_loops(&config, &addresses).await?;
    let admin = admin::bind(config.admin.as_ref()).await?;
    let (listeners, sockets): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
    let (mut runtime, queue) = Runtime::new(config, listeners);
    runtime.journal = Journal::start(runtime.config.journal.as_ref(), runtime.metrics.journal_dropped.clone())?;
    let mut running = Running::new(Arc::new(runtime), admin.as_ref().map(admin::Port::address));
    running.spawn_background(queue, admin);
    let workers = Workers::start(&running.drain.signal()).context("there are no threads for connections")?;
    let workers = Arc::new(workers);
    let permits = Arc::new(Semaphore::new(running.runtime.config.limits.connections_max));
    for (listener, socket) in running.runtime.listeners.clone().into_iter().zip(sockets) {
        let runtime = Arc::clone(&running.runtime);
        let accept =
            accept::Accept::new(listener, runtime, Arc::clone(&workers), Arc::clone(&permits), running.drain.signal());
        running.accepting.spawn(accept.run(socket));
    }
    Ok(running)
}

impl Running {
    fn new(runtime: Arc<Runtime>, admin: Option<SocketAddr>) -> Self {
        let listeners = runtime.listeners.iter().map(|listener| (listener.name.clone(), listener.address)).collect();
        Self { listeners, admin, runtime, drain: Drain::new(), accepting: JoinSet::new(), background: JoinSet::new() }
    }

    /// Waits until a listener accepts nothing any more that was not told to stop; cancel safe.
    pub async fn broken(&mut self) -> anyhow::Error {
        match self.accepting.join_next().await {
            Some(Ok(Err(NoThreads))) => NoThreads.into(),
            Some(Err(broken)) => anyhow::Error::new(broken).context("a listener's accept loop broke"),
            Some(Ok(Ok(()))) | None => std::future::pending().await,
        }
    }

    /// Stops accepting, waits for connections to end, and cuts those that outlast `limits.drain`.
    pub async fn drain(mut self) -> Drained {
        let patience = self.runtime.config.limits.drain;
        self.drain.start();
        info!(connections = self.runtime.connections.len(), "draining");
        let cut = match timeout(patience, self.accepted()).await {
            Ok(()) => 0,
            Err(_) => self.cut().await,
        };
        self.background.shutdown().await;
        self.runtime.journal.stop().await;
        info!(cut, "drained");
        Drained { cut }
    }

    /// Waits for every accept loop, each of which waits for its connections.
    async fn accepted(&mut self) {
        while self.accepting.join_next().await.is_some() {}
    }

    async fn cut(&mut self) -> usize {
        let open = self.runtime.connections.len();
        if open > 0 {
            warn!(connections = open, "the drain deadline passed with connections open");
        }
        self.drain.expire();
        timeout(GRACE, self.accepted()).await.ok();
        self.accepting.shutdown().await;
        open
    }

    fn spawn_background(&mut self, queue: AdvertisedQueue, admin: Option<admin::Port>) {
        let listeners = self.runtime.listeners.clone();
        self.background.spawn(advertised::judge_all(queue, listeners));
        self.background.spawn(maintain(Arc::clone(&self.runtime)));
        self.background.spawn(look_at_brokers(Arc::clone(&self.runtime)));
        if let Some(port) = admin {
            self.background.spawn(port.serve(Arc::clone(&self.runtime), self.drain.signal()));
        }
    }
}

/// Keeps what is tracked within its bounds until it is dropped.
async fn maintain(runtime: Arc<Runtime>) {
    let mut timer = interval(MAINTENANCE_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        runtime.shared.maintain(&runtime.metrics);
    }
}

/// Dials each broker once, for the log to say which cannot be reached: nothing else would before the first client comes.
async fn look_at_brokers(runtime: Arc<Runtime>) {
    let patience = Upstream::PROBE_PATIENCE.min(runtime.config.limits.dial_timeout);
    let mut looks = JoinSet::new();
    for upstream in runtime.upstreams() {
        if looks.len() == LOOKS_MAX {
            looks.join_next().await;
        }
        let upstream = Arc::clone(upstream);
        looks.spawn(async move { upstream.look(patience).await });
    }
    while looks.join_next().await.is_some() {}
}

fn raise_descriptors(config: &Config) {
    let Some(limit) = descriptors::raise() else { return };
    let needed = descriptors::needed(config);
    if limit < needed {
        let possible = descriptors::connections_possible(config, limit);
        warn!(limit, needed, possible, "too few descriptors for limits.connections_max: raise the limit or lower it");
    }
}

/// Prints one line per listener on standard output, where other programs wait for it; nobody has to read it.
pub fn announce(running: &Running) {
    if let Err(error) = write_listeners(running, &mut std::io::stdout().lock()) {
        warn!(%error, "standard output cannot be written: nobody is told there that listeners are up");
    }
}

fn write_listeners(running: &Running, out: &mut impl Write) -> io::Result<()> {
    let mode = running.runtime.mode.load();
    for listener in &running.runtime.listeners {
        let (name, address, upstream) = (&listener.name, listener.address, &listener.upstream.address);
        writeln!(out, "listening listener={name} address={address} upstream={upstream} mode={mode}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostPort;

    #[tokio::test]
    async fn an_accept_loop_that_breaks_is_told_while_the_proxy_runs() {
        let config = Config::pipe(HostPort::new("127.0.0.1", 0), HostPort::new("127.0.0.1", 1));
        let mut running = start(config).await.unwrap();
        running.accepting.spawn(async { panic!("on purpose") });
        let told = format!("{:#}", running.broken().await);
        assert!(told.contains("accept loop broke") && told.contains("on purpose"), "{told}");
    }
}
