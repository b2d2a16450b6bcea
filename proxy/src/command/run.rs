//! `seqgate run`: the proxy, until a signal.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{Exit, options::Options};
use crate::server::{self, Running};
use crate::telemetry::logging;

/// Says what to proxy.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to proxy.
    #[command(flatten)]
    pub options: Options,
}

/// Listens for the signals that a proxy answers.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Runs the proxy; the first signal drains it, as does a listener that breaks, and the second ends it at once.
pub async fn execute(args: Args) -> anyhow::Result<Exit> {
    let config = args.options.load()?;
    let log = logging::write_apart()?;
    // Before the first line is printed: whoever reads it may send a signal.
    let mut signals = Signals::new().context("signals cannot be received")?;
    let mut running = server::start(config).await?;
    server::announce(&running);
    let broken = tokio::select! {
        signal = signals.stop() => {
            info!(signal, "stopping");
            None
        }
        broken = running.broken() => {
            error!(error = format!("{broken:#}"), "stopping");
            Some(broken)
        }
    };
    tokio::select! {
        exit = drain(running) => broken.map_or(Ok(exit), Err),
        second = signals.stop() => {
            warn!(signal = second, "stopped at once by a second signal");
            drop(log);
            std::process::exit(128 + second)
        }
    }
}

async fn drain(running: Running) -> Exit {
    if running.drain().await.cut == 0 { Exit::Done } else { Exit::Failed }
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop, and returns its number.
    async fn stop(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate().as_raw_value(),
                _ = self.interrupt.recv() => return SignalKind::interrupt().as_raw_value(),
                _ = self.hangup.recv() => warn!("SIGHUP: reloading the configuration is not in this version"),
            }
        }
    }
}
