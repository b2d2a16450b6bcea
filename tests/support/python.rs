//! Installs the Python clients once per list of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::place;
use super::process::run;

/// An interpreter that has the clients, installed at the first call on this machine; an error names what is missing.
pub fn interpreter() -> Result<&'static Path, String> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    INSTALLED.get_or_init(install).as_deref().map_err(Clone::clone)
}

/// Where the programs are.
pub fn programs() -> PathBuf {
    place::sources("python")
}

fn install() -> Result<PathBuf, String> {
    let requirements = programs().join("requirements.txt");
    let home = place::kept().join("python");
    fs::create_dir_all(&home).unwrap();
    // An environment knows its own path: it cannot be made elsewhere and moved, so a file says that it is complete.
    let environment = home.join(format!("{:016x}", place::hash_of(&[&requirements])));
    let complete = environment.join("complete");
    let interpreter = environment.join("bin/python");
    let _installing = place::lock(&home.join("lock"));
    if complete.exists() {
        return Ok(interpreter);
    }
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(&environment);
    run(&mut command).map_err(|error| format!("there is no Python with venv: {error}"))?;
    let mut command = Command::new(&interpreter);
    command.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--requirement"]).arg(&requirements);
    run(&mut command).map_err(|error| format!("the Python clients cannot be installed: {error}"))?;
    fs::write(&complete, "").unwrap();
    Ok(interpreter)
}
