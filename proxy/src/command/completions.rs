//! `seqgate completions`: the completion script of a shell.

use std::io::{ErrorKind, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, Exit};

/// Names the shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: Shell,
}

/// Prints the script.
pub fn execute(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "seqgate", &mut script);
    match std::io::stdout().lock().write_all(&script) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        written => Ok(written.map(|()| Exit::Done)?),
    }
}
