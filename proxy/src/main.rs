//! The seqgate binary: arguments, log, runtime, command, exit status.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use seqgate::command::{Cli, Exit};
use seqgate::config::ConfigError;
use seqgate::telemetry::logging;

fn main() -> ExitCode {
    let exit = execute(Cli::parse()).unwrap_or_else(|error| report(&error));
    ExitCode::from(exit.status())
}

fn execute(cli: Cli) -> anyhow::Result<Exit> {
    logging::start(cli.log_format, cli.verbose, cli.command.log_level())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime does not start")?;
    let exit = runtime.block_on(cli.command.execute());
    // A name that still resolves must not keep the process.
    runtime.shutdown_background();
    exit
}

/// Prints what went wrong, once and with its causes; a wrong configuration has a status of its own.
fn report(error: &anyhow::Error) -> Exit {
    use std::io::Write;
    writeln!(std::io::stderr(), "error: {error:#}").ok();
    if error.downcast_ref::<ConfigError>().is_some() { Exit::Usage } else { Exit::Failed }
}
