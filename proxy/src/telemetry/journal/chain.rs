//! The chain over a journal's lines: whoever removes, changes or reorders one breaks it.
//!
//! A `chain` line ends a block. It holds the BLAKE3 hash over the chain before it (32 bytes, all zero at the start of a
//! file), the lines of the block, each with its line feed, and its own text up to the hash.

use std::time::SystemTime;

use super::line;

/// Bytes of a chain's value.
const CHAIN_BYTES: usize = 32;
/// What stands in front of the value in hexadecimal.
const BEFORE_VALUE: &str = ",\"chain\":\"";
/// What stands behind it.
const AFTER_VALUE: &str = "\"}";

/// A chain's value.
pub(super) type Value = [u8; CHAIN_BYTES];

/// The chain up to some line.
#[derive(Debug, Clone)]
pub(super) struct Chain(blake3::Hasher);

impl Chain {
    /// Starts a block after the chain line with this value.
    pub(super) fn after(value: &Value) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(value);
        Self(hasher)
    }

    /// The chain of an empty file.
    pub(super) fn zero() -> Self {
        Self::after(&[0; CHAIN_BYTES])
    }

    /// Takes in lines of the block.
    pub(super) fn take_in(&mut self, lines: &[u8]) {
        self.0.update(lines);
    }

    /// Returns the value that the block's chain line must hold, which is `line` up to the value.
    fn value(&self, line: &[u8]) -> Value {
        *self.0.clone().update(line).finalize().as_bytes()
    }

    /// Appends the line that ends the block of `lines` lines; returns the chain after it.
    pub(super) fn close(&self, out: &mut String, time: SystemTime, lines: u64) -> Self {
        let begin = out.len();
        line::chain(out, time, lines);
        let value = self.value(&out.as_bytes()[begin..]);
        out.push_str(&blake3::Hash::from_bytes(value).to_hex());
        out.push_str(AFTER_VALUE);
        out.push('\n');
        Self::after(&value)
    }

    /// Says whether a chain line ends this block as it was written.
    pub(super) fn fits(&self, line: &ChainLine<'_>) -> bool {
        self.value(line.before_value) == line.value
    }
}

/// A chain line, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChainLine<'a> {
    before_value: &'a [u8],
    pub(super) value: Value,
}

impl<'a> ChainLine<'a> {
    /// Takes a line apart, without its line feed. Any other line, and any spelling but the writer's own, is none.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let value_at = line.len().checked_sub(2 * CHAIN_BYTES + AFTER_VALUE.len())?;
        let (before_value, rest) = line.split_at(value_at);
        let hex = rest.strip_suffix(AFTER_VALUE.as_bytes())?;
        let lines = before_value.strip_suffix(BEFORE_VALUE.as_bytes())?;
        let (time, lines) =
            lines.strip_prefix(b"{\"time\":\"")?.split_at_checked("2026-01-01T00:00:00.000000Z".len())?;
        let lines = lines.strip_prefix(b"\",\"event\":\"chain\",\"lines\":")?;
        let is_time = !time.contains(&b'"');
        let is_lower_hex = hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_time || !is_lower_hex || lines.len() > 20 || !lines.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Self { before_value, value: *blake3::Hash::from_hex(hex).ok()?.as_bytes() })
    }

    /// Returns the value as it stands in the line.
    pub(super) fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.value).to_hex().to_string()
    }
}
