//! Tells the program which revision of the sources it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SEQGATE_REVISION");
    // Whoever packs the sources without their history says it.
    if std::env::var_os("SEQGATE_REVISION").is_some() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // A directory, or in a worktree a file. Without it, git would tell of a repository that only holds these sources.
    if !root.join(".git").exists() {
        return;
    }
    if let Some(revision) = git(&root, &["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=SEQGATE_REVISION={revision}");
    }
    // The log has a line for each move of HEAD, whether that names a branch or not.
    for name in ["HEAD", "logs/HEAD"] {
        let file = git(&root, &["rev-parse", "--git-path", name]).map(|file| root.join(file));
        if let Some(file) = file.filter(|file| file.exists()) {
            println!("cargo::rerun-if-changed={}", file.display());
        }
    }
}

/// What git says, if it is there and knows.
fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !said.trim().is_empty()).then(|| said.trim().to_owned())
}
