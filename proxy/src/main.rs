//! The seqgate binary: arguments, log, runtime, command, exit status.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use seqgate::command::output::OutputClosed;
use seqgate::command::{Cli, Exit};
use seqgate::config::ConfigError;
use seqgate::telemetry::logging;

fn main() -> ExitCode {
    let exit = execute(parse()).unwrap_or_else(|error| report(&error));
    ExitCode::from(exit.status())
}

/// Reads the command line; what is wrong with it ends the process.
fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        use std::io::Write;
        error.print().ok();
        if let Some(variable) = variable(&error) {
            writeln!(std::io::stderr(), "\nThe value is from the environment: {variable}").ok();
        }
        std::process::exit(error.exit_code())
    })
}

/// Returns the variable that a wrong value came from: clap names the flag alone.
fn variable(error: &clap::Error) -> Option<String> {
    let text = |kind| {
        let Some(ContextValue::String(text)) = error.get(kind) else { return None };
        Some(text.as_str())
    };
    let (flag, value) = (text(ContextKind::InvalidArg)?.split(' ').next()?, text(ContextKind::InvalidValue)?);
    // Dots behind it say that it may be given more than once.
    let flag = flag.trim_end_matches('.');
    let variable = format!("SEQGATE_{}", flag.trim_start_matches('-').to_uppercase().replace('-', "_"));
    let was_typed = std::env::args().any(|argument| argument.starts_with(flag));
    (!was_typed && std::env::var(&variable).is_ok_and(|set| set == value)).then_some(variable)
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
    // Whoever reads has read enough.
    if error.is::<OutputClosed>() {
        return Exit::Done;
    }
    logging::say(&format!("error: {error:#}\n"));
    if error.downcast_ref::<ConfigError>().is_some() { Exit::Usage } else { Exit::Failed }
}
