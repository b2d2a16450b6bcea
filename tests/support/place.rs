//! Where tests keep files: fetched parts for all runs, and one directory for this process.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Programs of the tests, by their language.
pub fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kafka").join(language)
}

/// All files of a directory, in order.
pub fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// One number for what is in these files, to name what was made of them.
pub fn hash_of<P: AsRef<Path>>(files: &[P]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// The part of the target directory that outlives a run.
pub fn kept() -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kafka-parts");
    fs::create_dir_all(&place).unwrap();
    place
}

/// A new directory of this process. Those of processes that are gone are removed by the next run.
pub fn fresh(name: &str) -> PathBuf {
    static RUN: OnceLock<(PathBuf, File)> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let (run, _lock) = RUN.get_or_init(begin_run);
    let place = run.join(format!("{:02}-{name}", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&place).unwrap();
    place
}

/// Holds a lock on the file for as long as the value lives; another process waits.
pub fn lock(file: &Path) -> File {
    let file = File::create(file).unwrap();
    file.lock().unwrap();
    file
}

fn begin_run() -> (PathBuf, File) {
    let runs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("runs");
    fs::create_dir_all(&runs).unwrap();
    let _sweeping = lock(&runs.join("sweep.lock"));
    for entry in fs::read_dir(&runs).unwrap().flatten() {
        // A living process holds the lock in its directory.
        if File::open(entry.path().join("lock")).is_ok_and(|held| held.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let run = runs.join(std::process::id().to_string());
    let _ = fs::remove_dir_all(&run);
    fs::create_dir_all(&run).unwrap();
    let held = lock(&run.join("lock"));
    (run, held)
}
