//! Configuration files.

use std::io::Write;

use seqgate::config::{Config, Overrides};

/// Whatever a file says, it is taken or refused with a reason that can be printed.
pub fn config(data: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a place for temporary files");
    file.write_all(data).expect("room for a small file");
    match Config::load(Some(file.path()), Overrides::default()) {
        Ok(config) => assert!(!config.listeners.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
