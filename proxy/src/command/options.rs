//! The flags that say what to proxy; `run` and `check` share them.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError, HostPort, Mode, Overrides};

/// Says what to proxy. Flags win over the environment, which wins over the file.
#[derive(Debug, Args)]
pub struct Options {
    /// Read the configuration from a TOML file.
    #[arg(short, long, env = "SEQGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Accept clients on this address; port 0 takes a free one.
    #[arg(long, env = "SEQGATE_LISTEN", value_name = "ADDR")]
    pub listen: Option<HostPort>,
    /// Connect each client to this broker.
    #[arg(long, env = "SEQGATE_UPSTREAM", value_name = "ADDR")]
    pub upstream: Option<HostPort>,
    /// What to do with duplicates and gaps; dedupe if nothing else is said.
    #[arg(long, env = "SEQGATE_MODE", value_enum, value_name = "MODE")]
    pub mode: Option<Mode>,
    /// Serve health, metrics and state over HTTP on this address.
    #[arg(long, env = "SEQGATE_ADMIN", value_name = "ADDR")]
    pub admin: Option<HostPort>,
    /// Ask for the token in this file on the admin port; needed when its address is not loopback.
    #[arg(long, env = "SEQGATE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Write what is not ordinary (duplicates, gaps, ends of connections) to this file, one JSON object per line.
    #[arg(long, env = "SEQGATE_JOURNAL", value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

impl Options {
    /// Returns the configuration that flags, environment and file make together.
    pub fn load(self) -> Result<Config, ConfigError> {
        let Self { config, listen, upstream, mode, admin, admin_token_file, journal } = self;
        Config::load(config.as_deref(), Overrides { listen, upstream, mode, admin, admin_token_file, journal })
    }
}
