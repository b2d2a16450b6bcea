//! Standard output, which whoever reads it may close.

use std::io::{ErrorKind, Write};

use anyhow::Context;

/// Says that nobody reads what is printed any more: no failure, but the end.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct OutputClosed;

/// Prints `text` to `out`, at once.
pub(super) fn print(out: &mut impl Write, text: &str) -> anyhow::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => written.context("standard output cannot be written"),
    }
}
