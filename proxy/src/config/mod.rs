//! Configuration: what was typed, and what it means.

pub mod address;
mod bounds;
pub mod error;
pub mod limits;
mod load;
pub mod mode;
mod typed;
pub mod units;

use std::path::PathBuf;
use std::time::Duration;

pub use address::HostPort;
pub use error::ConfigError;
pub use limits::Limits;
pub use load::Overrides;
pub use mode::{AtomicMode, Mode};

/// Holds everything a run needs to know, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Mode at start; `Runtime::mode` is the one in force.
    pub mode: Mode,
    /// What happens to a request that holds old and new batches.
    pub mixed: Mixed,
    /// One per broker; never empty.
    pub listeners: Vec<ListenerConfig>,
    /// How much is remembered of each producer, and for how long.
    pub sequencing: Sequencing,
    /// Bounds of everything that could grow.
    pub limits: Limits,
    /// The journal, when there is one.
    pub journal: Option<JournalConfig>,
    /// The admin port, when there is one.
    pub admin: Option<AdminConfig>,
}

/// Says what happens to a request that holds batches the cluster has acknowledged beside new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mixed {
    /// The old ones are taken out, and answered from memory when the answer to the others comes.
    Strip,
    /// The request goes through as it is.
    Forward,
}

/// Names one broker and the address it is served on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Name in logs, metrics and status; unique.
    pub name: String,
    /// Where clients connect; port 0 takes a free one.
    pub listen: HostPort,
    /// The broker.
    pub upstream: HostPort,
    /// Listeners of one name share what is known before the cluster's id is seen.
    pub cluster_name: Option<String>,
}

impl Sequencing {
    /// Says what a mode needs and has not.
    pub fn missing_for(&self, mode: Mode) -> Option<String> {
        let missing = self.missing_to_enforce();
        if mode != Mode::Enforce || missing.is_empty() {
            return None;
        }
        let claim =
            if self.authoritative { "" } else { ": every producer of the cluster comes through this one seqgate" };
        Some(format!(
            "mode \"enforce\" needs {} under [sequencing] in the file{claim}. No flag sets that; start again with it",
            missing.join(" and ")
        ))
    }

    /// Returns what would have to be set for gaps to be refused.
    pub fn missing_to_enforce(&self) -> Vec<&'static str> {
        let needed = [
            (self.authoritative, "authoritative = true"),
            (self.look_up, "look_up = true"),
            (self.backend == Backend::Kafka, "backend = \"kafka\""),
        ];
        needed.into_iter().filter(|(is_there, _)| !is_there).map(|(_, needed)| needed).collect()
    }

    /// Returns how long brokers remember a producer, in milliseconds.
    pub fn producer_expiration_ms(&self) -> u64 {
        u64::try_from(self.producer_expiration.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Says how much is remembered of each producer, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequencing {
    /// How long a proof is good for, from the newest of its producer and partition.
    pub proof_ttl: Duration,
    /// Batches remembered per producer and partition.
    pub window: usize,
    /// (Producer id, partition) pairs remembered.
    pub producers_max: usize,
    /// True when every producer of this cluster comes through here.
    pub authoritative: bool,
    /// Whether the log is looked into for batches whose acknowledgement was not seen: by requests of our own, on the
    /// client's connection.
    pub look_up: bool,
    /// What the brokers are.
    pub backend: Backend,
    /// The brokers' `producer.id.expiration.ms`.
    pub producer_expiration: Duration,
}

/// Says what the brokers are: nothing is rejected locally on behalf of a broker that is not Apache Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Apache Kafka.
    Kafka,
    /// Something that speaks its protocol.
    Other,
}

/// Says where the journal is and what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// The file; one that exists is continued.
    pub file: PathBuf,
    /// Tell of batches in order as well.
    pub every_batch: bool,
}

/// Says where the admin port is and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Address of the port; port 0 takes a free one.
    pub listen: HostPort,
    /// File with the token that all but health and metrics ask for.
    pub token_file: Option<PathBuf>,
}

impl Config {
    /// Serves one broker on one address, with the defaults for everything else.
    pub fn pipe(listen: HostPort, upstream: HostPort) -> Self {
        Self {
            mode: Mode::Dedupe,
            mixed: Mixed::Strip,
            listeners: vec![ListenerConfig::new(listen, upstream)],
            sequencing: Sequencing::default(),
            limits: Limits::default(),
            journal: None,
            admin: None,
        }
    }
}

impl ListenerConfig {
    /// Serves `upstream` on `listen`, under the name of an only listener.
    pub fn new(listen: HostPort, upstream: HostPort) -> Self {
        Self { name: "default".to_owned(), listen, upstream, cluster_name: None }
    }
}

impl Default for Sequencing {
    fn default() -> Self {
        Self {
            proof_ttl: Duration::from_secs(300),
            window: 32,
            producers_max: 1_000_000,
            authoritative: false,
            look_up: true,
            backend: Backend::Kafka,
            producer_expiration: Duration::from_secs(24 * 60 * 60),
        }
    }
}
