//! Bytes read and not yet written, in one piece of memory that exists only while there are any.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::budget::Budget;
use crate::runtime::Runtime;

/// Bytes that one read asks for at least.
const READ_BYTES: usize = 64 * 1024;

/// Reads into memory that is accounted for.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: BytesMut,
    /// Bytes at the front that may be written.
    ready: usize,
    /// What the budget has been asked for.
    taken: usize,
    runtime: Arc<Runtime>,
}

/// What came of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Bytes.
    Some,
    /// The end of the stream.
    End,
}

impl Buffer {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        Self { bytes: BytesMut::new(), ready: 0, taken: 0, runtime }
    }

    /// What is behind the bytes that may be written.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.ready..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next `count` bytes may be written.
    pub(super) fn release(&mut self, count: usize) {
        self.ready += count;
        debug_assert!(self.ready <= self.bytes.len());
    }

    /// Drops the next `count` bytes. Nothing may be ready: what stands before them would be lost.
    pub(super) fn discard(&mut self, count: usize) {
        debug_assert_eq!(self.ready, 0);
        self.bytes.advance(count);
    }

    pub(super) const fn ready(&self) -> usize {
        self.ready
    }

    /// Writes what may be written; returns how much that was.
    pub(super) async fn flush(&mut self, to: &mut WriteHalf<'_>) -> io::Result<usize> {
        let count = self.ready;
        if count > 0 {
            to.write_all(&self.bytes[..count]).await?;
            self.drop_ready();
        }
        Ok(count)
    }

    /// Drops what could be written.
    pub(super) fn drop_ready(&mut self) {
        self.bytes.advance(self.ready);
        self.ready = 0;
    }

    /// Reads more, to hold `wanted` bytes in the end; memory for a read's worth is waited for.
    pub(super) async fn fill(&mut self, from: &mut ReadHalf<'_>, wanted: usize) -> io::Result<Read> {
        loop {
            if self.bytes.is_empty() {
                // No memory while there is nothing to read.
                self.shrink();
                from.readable().await?;
            }
            self.make_room(wanted).await;
            match from.try_read_buf(&mut self.bytes) {
                Ok(0) => return Ok(Read::End),
                Ok(_) => return Ok(Read::Some),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.bytes.is_empty() {
                        from.readable().await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the whole of `size` bytes may be held at once.
    pub(super) fn try_hold(&mut self, size: usize) -> bool {
        let needed = size.max(READ_BYTES);
        if needed <= self.taken {
            return true;
        }
        let more = needed - self.taken;
        let granted = self.budget().try_take(more);
        if granted {
            self.taken += more;
        }
        granted
    }

    async fn make_room(&mut self, wanted: usize) {
        let needed = wanted.max(READ_BYTES);
        if self.taken < needed {
            let more = needed - self.taken;
            self.runtime.shared.budget.take(more).await;
            self.taken += more;
        }
        if self.bytes.capacity() < needed {
            self.bytes.reserve(needed - self.bytes.len());
        } else if self.bytes.capacity() == self.bytes.len() {
            self.bytes.reserve(READ_BYTES / 4);
        }
    }

    fn shrink(&mut self) {
        if self.taken > 0 {
            self.bytes = BytesMut::new();
            self.budget().give(self.taken);
            self.taken = 0;
        }
    }

    fn budget(&self) -> &Budget {
        &self.runtime.shared.budget
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shrink();
    }
}
