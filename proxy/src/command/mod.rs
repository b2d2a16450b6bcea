//! What a user runs: one file per command.

pub mod check;
pub mod completions;
pub mod demo;
mod in_process;
pub mod options;
pub mod output;
mod plan;
pub mod run;

use std::sync::LazyLock;

use clap::{ArgAction, Parser, Subcommand};

use crate::telemetry::logging::LogFormat;
use crate::telemetry::metrics::{REVISION, VERSION};

/// A transparent proxy for Apache Kafka that answers duplicate produce batches and flags sequence gaps.
///
/// seqgate stands between producers and brokers. It knows which sequence number comes next for every partition and
/// producer, answers batches that the cluster has acknowledged before, and forwards everything else byte for byte.
#[derive(Debug, Parser)]
#[command(name = "seqgate", version, long_version = BUILD.as_str(), propagate_version = true)]
#[command(after_long_help = EXAMPLES)]
pub struct Cli {
    /// What the log looks like.
    #[arg(long, global = true, env = "SEQGATE_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Say more. -v: a line when each connection ends; -vv: a line for each batch. Without it, RUST_LOG decides.
    #[arg(short, long, global = true, env = "SEQGATE_VERBOSE", action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Is one of the things that seqgate does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy until it is told to stop.
    #[command(after_long_help = RUN_EXAMPLE)]
    Run(run::Args),
    /// Validate the configuration, dial the brokers and print the plan; change nothing.
    Check(check::Args),
    /// Show in a minute what seqgate is for, on a broker of its own or on yours.
    Demo(demo::DemoArgs),
    /// Print the completion script of a shell.
    Completions(completions::Args),
}

/// What `--version` says; `-V` leaves the revision out.
static BUILD: LazyLock<String> = LazyLock::new(|| format!("{VERSION} (revision {REVISION})"));

const EXAMPLES: &str = "\
Examples:
  # What it is for, without a broker of yours.
  seqgate demo

  # One broker, whose listener on port 19092 advertises port 9092 of this host.
  seqgate run --listen 0.0.0.0:9092 --upstream kafka-1.internal:19092

  # Look without touching: every byte is forwarded as it is.
  seqgate run --listen 0.0.0.0:9092 --upstream kafka-1:19092 --mode observe

  # Several brokers, one listener each, from a file; looked at first.
  seqgate check -c seqgate.toml && seqgate run -c seqgate.toml

Exit status:
  0  done                       2  wrong usage or configuration
  1  failed while running       3  a check that was asked for did not hold
  128+n  ended at once by a second signal n";

const RUN_EXAMPLE: &str = "\
Example:
  seqgate run --listen 0.0.0.0:9092 --upstream kafka-1.internal:19092

The README explains the keys of the file, under Configuration.";

/// Says how a command ended, as the exit status that scripts see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed while running.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// A check that was asked for did not hold.
    NotHeld,
}

impl Exit {
    /// Returns the exit status.
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotHeld => 3,
        }
    }
}

impl Command {
    /// Says from where on the log is of interest when nobody asked for more: a demo tells its own story.
    #[must_use]
    pub const fn log_level(&self) -> tracing::Level {
        match self {
            Self::Demo(_) => tracing::Level::ERROR,
            Self::Run(_) | Self::Check(_) | Self::Completions(_) => tracing::Level::INFO,
        }
    }

    /// Does what was asked.
    pub async fn execute(self) -> anyhow::Result<Exit> {
        match self {
            Self::Run(args) => run::execute(args).await,
            Self::Check(args) => check::execute(args).await,
            Self::Demo(args) => demo::execute(&args).await,
            Self::Completions(args) => completions::execute(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_line_of_the_examples_is_wrapped_on_a_terminal() {
        for line in EXAMPLES.lines().chain(RUN_EXAMPLE.lines()) {
            assert!(line.len() <= 80, "{line}");
        }
    }

    #[test]
    fn every_end_has_the_status_that_help_says() {
        let mut said: Vec<&str> = EXAMPLES.split("Exit status:").nth(1).unwrap().split("  ").map(str::trim).collect();
        said.retain(|part| !part.is_empty());
        for (exit, status, meaning) in [
            (Exit::Done, 0, "done"),
            (Exit::Failed, 1, "failed while running"),
            (Exit::Usage, 2, "wrong usage or configuration"),
            (Exit::NotHeld, 3, "a check that was asked for did not hold"),
        ] {
            assert_eq!(exit.status(), status, "{meaning}");
            assert!(said.windows(2).any(|pair| pair == [status.to_string().as_str(), meaning]), "{said:?}");
        }
    }

    #[test]
    fn every_flag_has_an_environment_twin() {
        let cli = Cli::command();
        for command in cli.get_subcommands().chain([&cli]) {
            let flags = command.get_arguments().filter(|flag| flag.get_long().is_some_and(|long| long != "help"));
            for flag in flags {
                let twin = format!("SEQGATE_{}", flag.get_long().unwrap().to_uppercase().replace('-', "_"));
                assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(twin.as_str()), "{}", flag.get_id());
            }
        }
    }
}
