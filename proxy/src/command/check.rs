//! `seqgate check`: would it work? Changes nothing.

use std::net::SocketAddr;

use super::{Exit, options::Options, output::print, plan};
use crate::admin::probe_token;
use crate::config::{Config, HostPort, ListenerConfig};
use crate::net::metadata::{self, Untold};
use crate::net::{dial::dial, resolve::resolve};
use crate::runtime::advertised::{Route, route};
use crate::runtime::loops::refuse_loops;
use crate::telemetry::journal::Journal;

/// Says what to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to proxy.
    #[command(flatten)]
    pub options: Options,
}

/// Says what was found at one broker.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) listener: ListenerConfig,
    pub(super) reached: Result<(), String>,
    pub(super) advertised: Advertised,
}

/// Says what a broker advertises.
#[derive(Debug)]
pub(super) enum Advertised {
    /// These addresses.
    Told(Vec<(HostPort, Route)>),
    /// It did not say, as a broker may that wants SASL.
    NotTold(String),
    /// It does not speak Kafka's protocol in the plain.
    NotKafka(String),
}

impl Finding {
    /// Says whether clients of the listener would be served, and by this proxy.
    fn works(&self) -> bool {
        let leads_here = match &self.advertised {
            Advertised::Told(advertised) => advertised.iter().all(|(_, route)| *route != Route::Around),
            Advertised::NotTold(_) => true,
            Advertised::NotKafka(_) => false,
        };
        self.reached.is_ok() && leads_here
    }
}

/// Says what was found of the files that are to be opened; `None` where there are none.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) token: Option<Result<(), String>>,
    pub(super) journal: Option<Result<(), String>>,
}

impl Files {
    fn probe(config: &Config) -> Self {
        let token_file = config.admin.as_ref().and_then(|admin| admin.token_file.as_deref());
        Self {
            token: token_file.map(|file| probe_token(file).map_err(|error| error.to_string())),
            journal: config.journal.as_ref().map(|it| Journal::probe(&it.file).map_err(|error| error.to_string())),
        }
    }

    fn are_there(&self) -> bool {
        [&self.token, &self.journal].into_iter().flatten().all(Result::is_ok)
    }
}

/// Validates, dials each broker, asks it what it advertises, looks for the files, and prints the plan.
pub async fn execute(args: Args) -> anyhow::Result<Exit> {
    let config = args.options.load()?;
    let bound = addresses(&config).await;
    refuse_loops(&config, &bound).await?;
    let mut findings = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        findings.push(examine(listener, &config, &bound).await);
    }
    let files = Files::probe(&config);
    let works = findings.iter().all(Finding::works) && files.are_there();
    let text = plan::render(&config, &findings, &files);
    print(&mut std::io::stdout(), &text)?;
    Ok(if works { Exit::Done } else { Exit::Failed })
}

/// Returns the addresses that `run` would bind.
async fn addresses(config: &Config) -> Vec<SocketAddr> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        bound.extend(resolve(&listener.listen, config.limits.dial_timeout).await.unwrap_or_default());
    }
    bound
}

async fn examine(listener: &ListenerConfig, config: &Config, bound: &[SocketAddr]) -> Finding {
    let patience = config.limits.dial_timeout;
    let listener = listener.clone();
    let mut stream = match dial(&listener.upstream, patience).await {
        Ok(stream) => stream,
        Err(error) => {
            return Finding { listener, reached: Err(error.to_string()), advertised: Advertised::Told(Vec::new()) };
        }
    };
    let advertised = match metadata::advertised(&mut stream, patience).await {
        Ok(brokers) => Advertised::Told(routes(brokers, config, bound).await),
        Err(Untold::NotKafka(told)) => Advertised::NotKafka(told),
        Err(Untold::Refused(error)) => Advertised::NotTold(error.to_string()),
    };
    Finding { listener, reached: Ok(()), advertised }
}

async fn routes(brokers: Vec<HostPort>, config: &Config, bound: &[SocketAddr]) -> Vec<(HostPort, Route)> {
    let upstreams: Vec<HostPort> = config.listeners.iter().map(|listener| listener.upstream.clone()).collect();
    let mut routes = Vec::with_capacity(brokers.len());
    for broker in brokers {
        let route = route(&broker, bound, &upstreams).await;
        routes.push((broker, route));
    }
    routes
}
