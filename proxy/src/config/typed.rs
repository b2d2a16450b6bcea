//! What was typed: the file, key by key, before anything is judged but its shape.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Source};
use super::units::{TypedDuration, TypedSize};
use super::{Backend, Mixed, Mode};

/// Tables that a later version knows.
const LATER: [&str; 3] = ["cluster", "cluster_client", "faults"];
/// Keys of a listener that a later version knows.
const LATER_OF_LISTENER: [&str; 3] = ["tls", "upstream_tls", "proxy_protocol"];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedConfig {
    pub(super) mode: Option<Mode>,
    pub(super) mixed: Option<Mixed>,
    #[serde(default)]
    pub(super) listener: Vec<Spanned<TypedListener>>,
    #[serde(default)]
    pub(super) sequencing: TypedSequencing,
    #[serde(default)]
    pub(super) limits: TypedLimits,
    pub(super) admin: Option<TypedAdmin>,
    pub(super) journal: Option<Spanned<TypedJournal>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedListener {
    pub(super) name: Option<Spanned<String>>,
    pub(super) listen: Spanned<String>,
    pub(super) upstream: Spanned<String>,
    pub(super) cluster_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedSequencing {
    pub(super) proof_ttl: Option<Spanned<TypedDuration>>,
    pub(super) window: Option<Spanned<u64>>,
    pub(super) producers_max: Option<Spanned<u64>>,
    pub(super) authoritative: Option<bool>,
    pub(super) look_up: Option<bool>,
    pub(super) backend: Option<Backend>,
    pub(super) producer_expiration: Option<Spanned<TypedDuration>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedLimits {
    pub(super) connections_max: Option<Spanned<u64>>,
    pub(super) frame_bytes_max: Option<Spanned<TypedSize>>,
    pub(super) hold_bytes_max: Option<Spanned<TypedSize>>,
    pub(super) memory_max: Option<Spanned<TypedSize>>,
    pub(super) in_flight_max: Option<Spanned<u64>>,
    pub(super) pipes_max: Option<Spanned<u64>>,
    pub(super) drain: Option<Spanned<TypedDuration>>,
    pub(super) dial_timeout: Option<Spanned<TypedDuration>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedAdmin {
    pub(super) listen: Option<Spanned<String>>,
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedJournal {
    pub(super) file: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) every_batch: bool,
}

impl TypedConfig {
    /// Reads the file's text; an error names the key and its line.
    pub(super) fn parse(source: Source<'_>) -> Result<Self, ConfigError> {
        let syntax = |error: toml::de::Error| fail(source, "syntax", &error);
        let document = DeTable::parse(source.text).map_err(syntax)?;
        refuse_later(document.get_ref(), source)?;
        refuse_single(document.get_ref(), source)?;
        serde_path_to_error::deserialize(toml::Deserializer::from(document)).map_err(|error| {
            let key = key_path(&error.path().to_string());
            fail(source, &key, error.inner())
        })
    }
}

/// Refuses what a later version knows, in other words than what nobody knows.
fn refuse_later(document: &DeTable<'_>, source: Source<'_>) -> Result<(), ConfigError> {
    LATER.iter().try_for_each(|key| refuse(document, key, key, source))?;
    let Some(DeValue::Array(listeners)) = document.get("listener").map(Spanned::get_ref) else { return Ok(()) };
    listeners.iter().enumerate().try_for_each(|(index, listener)| {
        let DeValue::Table(listener) = listener.get_ref() else { return Ok(()) };
        let mut keys = LATER_OF_LISTENER.iter();
        keys.try_for_each(|key| refuse(listener, key, &format!("listener[{index}].{key}"), source))
    })
}

/// Refuses one table where a list of them stands, in the words of the file and not of its types.
fn refuse_single(document: &DeTable<'_>, source: Source<'_>) -> Result<(), ConfigError> {
    match document.get("listener") {
        Some(found) if matches!(found.get_ref(), DeValue::Table(_)) => Err(source.error(
            "listener",
            found.span(),
            "found one table, expected a list: write [[listener]] per broker",
        )),
        Some(_) | None => Ok(()),
    }
}

fn refuse(table: &DeTable<'_>, key: &str, path: &str, source: Source<'_>) -> Result<(), ConfigError> {
    match table.get(key) {
        Some(found) => Err(source.error(path, found.span(), "not in this version; take it out")),
        None => Ok(()),
    }
}

fn fail(source: Source<'_>, key: &str, error: &toml::de::Error) -> ConfigError {
    // Serde puts what was found first; the key and the line stand before it already.
    let problem = error.message().trim().replace('\n', "; ");
    match error.span() {
        Some(span) => source.error(key, span, problem),
        None => source.error_without_line(key, problem),
    }
}

/// Takes out the segments that toml uses to carry spans.
fn key_path(path: &str) -> String {
    let parts = path.split('.').filter(|part| !part.starts_with("$__") && *part != "?");
    // An empty key is shown as it has to be typed.
    let parts: Vec<&str> = parts.map(|part| if part.is_empty() { r#""""# } else { part }).collect();
    if parts.is_empty() || path == "." { "file".to_owned() } else { parts.join(".") }
}

/// Returns `path` as seen from the directory of `file`.
pub(super) fn beside(file: &Path, path: PathBuf) -> PathBuf {
    file.parent().map(|directory| directory.join(&path)).unwrap_or(path)
}
