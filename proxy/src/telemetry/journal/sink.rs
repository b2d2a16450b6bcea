//! The file that a journal is written to.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::chain::{Chain, ChainLine};

/// How far from its end a file's last chain line may lie: some blocks.
const TAIL_BYTES_MAX: u64 = 16 << 20;
/// What every line of a journal begins with.
const LINE_BEGIN: &[u8] = b"{\"time\":\"";

/// An open journal and the chain up to its end.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    pub(super) chain: Chain,
    /// The file's end is amid a line, which must be ended first.
    pub(super) line_open: bool,
    /// A regular file and where it ends; a pipe or a terminal has no past.
    len: Option<u64>,
}

impl Sink {
    /// Opens or creates the file, and finds where its chain stands.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // With reading, the open of a pipe does not wait for somebody at its other end.
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Self { file, chain: Chain::zero(), line_open: false, len: None });
        }
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another process writes to it")),
            // A file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let len = metadata.len();
        let (chain, line_open) = resume(&mut file, len)?;
        Ok(Self { file, chain, line_open, len: Some(len) })
    }

    /// Says why the file could not be opened, or made, as far as that can be told without making it.
    pub(super) fn probe(path: &Path) -> io::Result<()> {
        match OpenOptions::new().read(true).append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let is_folder = fs::metadata(folder.unwrap_or(Path::new(".")))?.is_dir();
                if is_folder { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
            }
            // The lock is left alone: whoever has it may be the one that this configuration is to follow.
            opened => {
                let mut file = opened?;
                let metadata = file.metadata()?;
                if metadata.is_file() { resume(&mut file, metadata.len()).map(drop) } else { Ok(()) }
            }
        }
    }

    /// Says whether `path` leads to another file by now, or to none, or the file was cut.
    pub(super) fn is_moved(&self, path: &Path) -> bool {
        let Some(len) = self.len else { return false };
        let (Ok(ours), Ok(there)) = (self.file.metadata(), fs::metadata(path)) else { return true };
        ours.len() != len || (ours.dev(), ours.ino()) != (there.dev(), there.ino())
    }

    /// Says whether no path leads to the file any more.
    pub(super) fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|ours| ours.is_file() && ours.nlink() == 0)
    }

    /// Appends a block, of which `chain` is the new end; after an error the file ends where it did before.
    pub(super) fn append(&mut self, block: &[u8], chain: Chain) -> io::Result<()> {
        if let Err(error) = self.file.write_all(block) {
            if let Some(len) = &mut self.len
                && self.file.set_len(*len).is_err()
            {
                // Half a block that cannot be taken back: the file is opened anew, and its torn end is resumed.
                *len = u64::MAX;
            }
            return Err(error);
        }
        self.chain = chain;
        self.line_open = false;
        if let Some(len) = &mut self.len {
            *len += block.len() as u64;
        }
        Ok(())
    }

    /// Has what was written reach the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.len.is_some() { self.file.sync_all() } else { Ok(()) }
    }
}

/// Adds to an error of `Sink::open` or `Sink::probe` what there is to do about it.
pub(super) fn with_way_out(error: io::Error) -> io::Error {
    const WAYS_OUT: [(io::ErrorKind, &str); 5] = [
        (io::ErrorKind::NotFound, "make its folder first, or name a file elsewhere"),
        (io::ErrorKind::NotADirectory, "make its folder first, or name a file elsewhere"),
        (io::ErrorKind::IsADirectory, "name a file in it"),
        (io::ErrorKind::PermissionDenied, "whoever runs seqgate must be able to read and write it"),
        (io::ErrorKind::InvalidData, "name a new file, which is made, or one that a seqgate has written"),
    ];
    let Some((_, way_out)) = WAYS_OUT.into_iter().find(|(kind, _)| *kind == error.kind()) else { return error };
    io::Error::new(error.kind(), format!("{error}; {way_out}"))
}

/// Returns the chain up to the end of a file, and whether that lies amid a line.
///
/// The file goes on where it ends: a torn rest behind its last chain line becomes part of the next block.
fn resume(file: &mut File, len: u64) -> io::Result<(Chain, bool)> {
    let not_a_journal = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let mut begin = Vec::new();
    Read::by_ref(file).take(LINE_BEGIN.len() as u64).read_to_end(&mut begin)?;
    if !LINE_BEGIN.starts_with(&begin) {
        return not_a_journal("it is not a journal");
    }
    let from = len.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let whole_lines =
        if from == 0 { 0 } else { tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |at| at + 1) };
    let tail = &tail[whole_lines..];
    let Some((chain_line, rest)) = last_chain_line(tail) else {
        if from > 0 {
            return not_a_journal("it has no chain line near its end");
        }
        return Ok(continue_with(Chain::zero(), tail));
    };
    let chain = Chain::after(&chain_line.value);
    // A chain line whose line feed is missing is whole all the same.
    Ok(rest.map_or((chain.clone(), true), |rest| continue_with(chain, rest)))
}

fn continue_with(mut chain: Chain, rest: &[u8]) -> (Chain, bool) {
    chain.take_in(rest);
    let line_open = !rest.is_empty() && !rest.ends_with(b"\n");
    if line_open {
        chain.take_in(b"\n");
    }
    (chain, line_open)
}

/// Finds the last chain line, and what follows on its line feed. `None`: it has none.
fn last_chain_line(tail: &[u8]) -> Option<(ChainLine<'_>, Option<&[u8]>)> {
    let mut end = tail.len();
    loop {
        let begin = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if let Some(line) = ChainLine::parse(&tail[begin..end]) {
            return Some((line, tail.get(end + 1..)));
        }
        end = begin.checked_sub(1)?;
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
