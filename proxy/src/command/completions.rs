//! `seqgate completions`: the completion script of a shell.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, Exit, output::print};

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
    print(&mut std::io::stdout(), &String::from_utf8(script)?)?;
    Ok(Exit::Done)
}
