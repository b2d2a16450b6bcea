//! What the proxy does with what it finds.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::{Deserialize, Serialize};

/// Says what happens to duplicates and gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Mode {
    /// Flag both; forward every byte as it came.
    Observe,
    /// Answer duplicates that the cluster has acknowledged; flag gaps.
    Dedupe,
    /// As dedupe, and refuse what follows a gap where its leader says that it would refuse it.
    Enforce,
}

impl Mode {
    /// Returns the name used on the command line, in configuration and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Dedupe => "dedupe",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says which word was found instead of a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// Something else.
    #[error("found {0:?}, expected \"observe\", \"dedupe\" or \"enforce\"")]
    Unknown(String),
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "observe" => Ok(Self::Observe),
            "dedupe" => Ok(Self::Dedupe),
            "enforce" => Ok(Self::Enforce),
            _ => Err(ModeError::Unknown(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Mode {
    type Error = ModeError;

    fn try_from(text: String) -> Result<Self, ModeError> {
        text.parse()
    }
}

/// Holds the mode in force; the admin port changes it while connections run.
#[derive(Debug)]
pub struct AtomicMode(AtomicU8);

impl AtomicMode {
    /// Starts in `mode`.
    pub const fn new(mode: Mode) -> Self {
        Self(AtomicU8::new(mode as u8))
    }

    /// Changes the mode for every request read from now on; returns the one before.
    pub fn set(&self, mode: Mode) -> Mode {
        Self::decode(self.0.swap(mode as u8, Ordering::Relaxed))
    }

    /// Returns the mode in force.
    pub fn load(&self) -> Mode {
        Self::decode(self.0.load(Ordering::Relaxed))
    }

    const fn decode(value: u8) -> Mode {
        const OBSERVE: u8 = Mode::Observe as u8;
        const ENFORCE: u8 = Mode::Enforce as u8;
        match value {
            OBSERVE => Mode::Observe,
            ENFORCE => Mode::Enforce,
            _ => Mode::Dedupe,
        }
    }
}
