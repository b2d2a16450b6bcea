//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::HostPort;

/// Says what is wrong with a configuration: the file, the line, the key, what was found and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A key of the file is wrong.
    #[error("{place}: {key}: {problem}")]
    Key {
        /// File and line.
        place: Place,
        /// Path of the key, dots between its parts.
        key: String,
        /// What was found and what would be right.
        problem: String,
    },
    /// The file of the admin port's token holds none, or cannot be read.
    #[error("admin.token_file: {}: {error}", file.display())]
    TokenFile {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The proxy would be its own broker.
    #[error("listener {listener}: upstream {upstream} is an address that this proxy listens on; name the broker")]
    Loop {
        /// Name of the listener.
        listener: String,
        /// Where its clients would be sent.
        upstream: HostPort,
    },
    /// Flags or environment do not add up.
    #[error("{0}")]
    Usage(String),
}

/// Names a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: PathBuf,
    line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// Knows the text that spans point into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn error(&self, key: &str, span: Range<usize>, problem: impl Into<String>) -> ConfigError {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.at(Some(line), key, problem)
    }

    pub(super) fn error_without_line(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        self.at(None, key, problem)
    }

    fn at(&self, line: Option<usize>, key: &str, problem: impl Into<String>) -> ConfigError {
        let place = Place { file: self.file.to_owned(), line };
        ConfigError::Key { place, key: on_one_line(key), problem: on_one_line(&problem.into()) }
    }
}

/// What stands in a file is shown as it was typed, but for what would move a terminal's cursor.
fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
