//! Configuration files.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{Seek, Write};
use std::path::Path;

use seqgate::config::{Config, ConfigError, HostPort, Overrides};
use tempfile::NamedTempFile;

use super::Bytes;

thread_local! {
    /// Written anew for every input.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a place for temporary files"));
}

/// Lines that a file may have, whole and cut where a value follows.
const LINES: [&str; 40] = [
    "[[listener]]",
    "[sequencing]",
    "[limits]",
    "[journal]",
    "[admin]",
    "[cluster]",
    "[faults]",
    "[cluster_client]",
    "mode = ",
    "mixed = ",
    "name = ",
    "listen = ",
    "upstream = ",
    "cluster_name = ",
    "tls = ",
    "upstream_tls = ",
    "proxy_protocol = ",
    "proof_ttl = ",
    "window = ",
    "producers_max = ",
    "authoritative = ",
    "backend = ",
    "producer_expiration = ",
    "connections_max = ",
    "frame_bytes_max = ",
    "hold_bytes_max = ",
    "memory_max = ",
    "in_flight_max = ",
    "drain = ",
    "dial_timeout = ",
    "file = ",
    "every_batch = ",
    "token_file = ",
    "moed = ",
    "limits.drain = ",
    "listener = ",
    "sequencing = ",
    "[limits",
    "\u{feff}",
    "# \u{1f980}\r",
];

const VALUES: [&str; 32] = [
    "\"observe\"",
    "\"dedupe\"",
    "\"strip\"",
    "\"forward\"",
    "\"127.0.0.1:0\"",
    "\"[::1]:9092\"",
    "\"0.0.0.0:9655\"",
    "\"broker:9092\"",
    "\"a\"",
    "\"b\"",
    "\"\"",
    "true",
    "false",
    "0",
    "1",
    "5",
    "64",
    "-1",
    "9223372036854775807",
    "1.5",
    "\"5m\"",
    "\"30s\"",
    "\"0ms\"",
    "\"2MiB\"",
    "\"1GiB\"",
    "\"100MiB\"",
    "\"9999999999999999999h\"",
    "\"1\u{e9}\"",
    "{ cert = \"a\" }",
    "[]",
    "\"kafka\"",
    "\"\\u0000\"",
];

/// Whatever a file says, it is taken as a whole that holds together, or refused in one line that names the file, and
/// the line or the key.
pub fn config(data: &[u8]) {
    match data.split_first() {
        // No text begins with this byte.
        Some((0xff, choices)) => check(compose(Bytes(choices)).as_bytes()),
        _ => check(data),
    }
}

fn compose(mut choices: Bytes<'_>) -> String {
    let mut text = String::new();
    while !choices.0.is_empty() {
        let line = LINES[choices.below(40)];
        text.push_str(line);
        if line.ends_with(' ') {
            text.push_str(VALUES[choices.below(32)]);
        }
        text.push('\n');
    }
    text
}

fn check(data: &[u8]) {
    FILE.with_borrow_mut(|file| {
        file.rewind().expect("the file can be written from its start");
        file.write_all(data).expect("room for a small file");
        file.as_file_mut().set_len(data.len() as u64).expect("the file can be cut");
        match Config::load(Some(file.path()), Overrides::default()) {
            Ok(config) => check_config(&config),
            Err(error) => check_error(file.path(), data, &error),
        }
    });
}

fn check_config(config: &Config) {
    assert!(!config.listeners.is_empty());
    let names: HashSet<_> = config.listeners.iter().map(|listener| &listener.name).collect();
    assert_eq!(names.len(), config.listeners.len(), "names are unique");
    for listener in &config.listeners {
        for address in [&listener.listen, &listener.upstream] {
            assert_eq!(address.to_string().parse::<HostPort>().as_ref(), Ok(address));
        }
    }
    let limits = &config.limits;
    assert!(limits.hold_bytes_max <= limits.frame_bytes_max && limits.hold_bytes_max <= limits.memory_max);
    assert!(limits.connections_max > 0 && limits.in_flight_max > 0 && config.sequencing.window >= 5);
    assert!(config.sequencing.producers_max > 0 && !config.sequencing.proof_ttl.is_zero());
    if let Some(admin) = &config.admin {
        let is_loopback = admin.listen.host == "localhost" || admin.listen.ip().is_some_and(|ip| ip.is_loopback());
        assert!(is_loopback || admin.token_file.is_some(), "{admin:?}");
    }
}

fn check_error(file: &Path, data: &[u8], error: &ConfigError) {
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    let place = text.strip_prefix(&*file.to_string_lossy());
    match error {
        ConfigError::Read { .. } => assert!(place.is_some() && std::str::from_utf8(data).is_err(), "{text}"),
        ConfigError::TokenFile { .. } | ConfigError::Loop { .. } => panic!("loading opens no token and binds nothing"),
        // Only that there is no listener has no place in the file.
        ConfigError::Usage(_) => assert!(text.starts_with("no listener"), "{text}"),
        ConfigError::Key { key, problem, .. } => {
            let place = place.expect("it begins with the file");
            let line = place.strip_prefix(':').and_then(|rest| rest.split_once(": ")?.0.parse::<usize>().ok());
            let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!(line.map_or(key != "file", |line| (1..=lines).contains(&line)), "{text}");
            assert!(!key.is_empty() && !problem.is_empty(), "{text}");
        }
    }
}
