//! Says whether a journal is as it was written.

use std::io::{self, BufRead, Read};

use super::chain::{Chain, ChainLine};

/// Bytes of a line that are looked at in one piece: no line of the writer's is as long.
const PIECE_BYTES_MAX: u64 = 64 * 1024;

/// What a whole journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Lines that a chain line covers, chain lines included.
    pub lines: u64,
    /// Chain lines.
    pub blocks: u64,
    /// Lines behind the last chain line: nothing speaks for them. Only a writer that was killed, or one that is still
    /// writing, leaves any.
    pub uncovered: u64,
    /// The last chain, in hexadecimal. Kept elsewhere, it shows later whether whole blocks are missing at the end.
    pub chain: Option<String>,
}

/// Says why a journal cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("the journal cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A chain line does not fit.
    #[error("lines {first} to {last} are not as they were written: the chain in line {last} does not fit")]
    Broken {
        /// The first line of the block.
        first: u64,
        /// Its chain line.
        last: u64,
    },
}

/// Reads a journal to its end and holds every block against its chain; needs little memory, whatever the file holds.
pub fn verify(mut from: impl BufRead) -> Result<Verified, VerifyError> {
    let mut found = Verified { lines: 0, blocks: 0, uncovered: 0, chain: None };
    let mut chain = Chain::zero();
    let mut piece = Vec::new();
    let mut at_line_start = true;
    loop {
        piece.clear();
        if from.by_ref().take(PIECE_BYTES_MAX).read_until(b'\n', &mut piece)? == 0 {
            return Ok(found);
        }
        found.uncovered += u64::from(at_line_start);
        let line = piece.strip_suffix(b"\n");
        let chain_line = ChainLine::parse(line.unwrap_or(&piece)).filter(|_| at_line_start);
        at_line_start = line.is_some();
        let Some(chain_line) = chain_line else {
            chain.take_in(&piece);
            continue;
        };
        let last = found.lines + found.uncovered;
        if !chain.fits(&chain_line) {
            return Err(VerifyError::Broken { first: found.lines + 1, last });
        }
        chain = Chain::after(&chain_line.value);
        let blocks = found.blocks + 1;
        found = Verified { lines: last, blocks, uncovered: 0, chain: Some(chain_line.hex()) };
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
