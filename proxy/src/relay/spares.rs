//! Blocks of memory that connections lend each other.
//!
//! A connection has no memory while it has no bytes, so a busy one asks for some at each wake-up. Fresh from the
//! allocator every page of it would have to be made by the kernel again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};

use crate::telemetry::lanes::{LANES, Lanes};

/// Bytes that there is room for in a block, at least, and so what one read asks for.
pub(super) const BLOCK_ROOM: usize = 128 * 1024;

/// What a block takes in memory.
pub(super) const BLOCK_BYTES: usize = BLOCK_ROOM + LINE;

/// Blocks begin at a multiple of so many bytes.
///
/// Large pieces of the allocator's begin 16 bytes into a page. What was sent on the same machine stands at the beginning of
/// one, and Zen processors copy from there to less than 32 bytes further into a page (`rep movsb`, by which the kernel copies)
/// six times as slowly as elsewhere: each store is taken for what the next load reads.
const LINE: usize = 64;

/// Blocks that are kept in each lane while nobody uses them.
const BLOCKS_MAX: usize = 4;

/// What the blocks may take in all, in bytes.
pub(super) const SPARES_BYTES_MAX: usize = LANES * BLOCKS_MAX * BLOCK_BYTES;

/// Blocks that nobody uses, each where it was used last: threads do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct Spares(Lanes<Mutex<Vec<BytesMut>>>);

impl Spares {
    /// An empty block, used before if possible.
    pub(super) fn take(&self) -> BytesMut {
        let spare = self.own().pop();
        let mut block = spare.unwrap_or_else(|| BytesMut::with_capacity(BLOCK_BYTES));
        let before = block.as_ptr().align_offset(LINE);
        block.resize(before, 0);
        block.advance(before);
        block
    }

    /// Keeps what is a block and lets go of anything else.
    pub(super) fn give(&self, mut memory: BytesMut) {
        memory.clear();
        // What was written from the front is part of the block again; nothing is allocated for that.
        if !memory.try_reclaim(BLOCK_BYTES) || memory.capacity() != BLOCK_BYTES {
            return;
        }
        let mut spares = self.own();
        if spares.len() < BLOCKS_MAX {
            spares.push(memory);
        }
    }

    fn own(&self) -> MutexGuard<'_, Vec<BytesMut>> {
        self.0.own().lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_whole_and_empty() {
        let spares = Spares::default();
        let mut block = spares.take();
        let place = block.as_ptr();
        block.extend_from_slice(&[7; 1000]);
        block.advance(900);
        spares.give(block);
        let again = spares.take();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        assert!(again.capacity() >= BLOCK_ROOM);
        assert_eq!(again.as_ptr().align_offset(LINE), 0);
    }

    #[test]
    fn what_is_no_block_is_let_go() {
        let spares = Spares::default();
        spares.give(BytesMut::with_capacity(BLOCK_BYTES * 2));
        spares.give(BytesMut::with_capacity(10));
        spares.give(BytesMut::new());
        assert!(spares.own().is_empty());
    }

    #[test]
    fn spares_are_bounded() {
        let spares = Spares::default();
        for _ in 0..2 * BLOCKS_MAX {
            spares.give(BytesMut::with_capacity(BLOCK_BYTES));
        }
        assert_eq!(spares.own().len(), BLOCKS_MAX);
    }
}
