//! Builds the Go clients once per state of their sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::place;
use super::process::run;

/// The program that is franz-go or sarama, built at the first call on this machine; an error names what is missing.
pub fn clients() -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref().map_err(Clone::clone)
}

fn build() -> Result<PathBuf, String> {
    run(Command::new("go").arg("version")).map_err(|error| format!("there is no Go: {error}"))?;
    let sources = place::sources("go");
    let home = place::kept().join("go");
    fs::create_dir_all(&home).unwrap();
    let program = home.join(format!("clients-{:016x}", place::hash_of(&place::files_in(&sources))));
    // Other test binaries may want the same at this moment.
    let _building = place::lock(&home.join("lock"));
    if program.exists() {
        return Ok(program);
    }
    let partial = home.join("clients.partial");
    let mut command = Command::new("go");
    command.current_dir(&sources).args(["build", "-trimpath", "-o"]).arg(&partial).arg(".");
    run(&mut command).map_err(|error| format!("the Go clients cannot be built: {error}"))?;
    fs::rename(&partial, &program).unwrap();
    Ok(program)
}
