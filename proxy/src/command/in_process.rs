//! A proxy inside this process, for the demo.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use crate::config::{Config, HostPort, Limits, ListenerConfig, Mixed, Mode, Sequencing};
use crate::sandbox::scene::{ProxyCounters, RunningProxy, StartProxy};
use crate::server::{self, Running};
use crate::telemetry::labels::{Action, Verdict};

/// What a scene's proxy may still wait for when the scene is over.
const DRAIN: Duration = Duration::from_secs(1);

/// Starts proxies with the settings that a user gets by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct InProcess;

/// One of them.
#[derive(Debug)]
pub(super) struct Proxy {
    running: Running,
    address: SocketAddr,
}

impl StartProxy for InProcess {
    type Proxy = Proxy;

    async fn start(&self, upstream: SocketAddr) -> anyhow::Result<Proxy> {
        let listener = ListenerConfig {
            name: "demo".to_owned(),
            listen: HostPort::new("127.0.0.1", 0),
            upstream: HostPort::new(upstream.ip().to_string(), upstream.port()),
            cluster_name: None,
        };
        let config = Config {
            mode: Mode::Dedupe,
            mixed: Mixed::Strip,
            listeners: vec![listener],
            sequencing: Sequencing::default(),
            limits: Limits { drain: DRAIN, ..Limits::default() },
            journal: None,
            admin: None,
        };
        let running = server::start(config).await?;
        let (_, address) = running.listeners.first().context("the proxy has no listener")?;
        Ok(Proxy { address: *address, running })
    }
}

impl RunningProxy for Proxy {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn counters(&self) -> ProxyCounters {
        let metrics = &self.running.runtime.metrics;
        let duplicates = |action| metrics.batches.count(Verdict::Duplicate, action);
        ProxyCounters {
            answered: duplicates(Action::Answered) + duplicates(Action::Stripped),
            gaps: metrics.gaps.get(),
        }
    }

    async fn stop(self) {
        self.running.drain().await;
    }
}
