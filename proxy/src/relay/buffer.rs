//! Bytes read and not yet written, in one piece of memory that exists only while there are any.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::yield_now;

use super::budget::{Budget, Purpose};
use super::pipes::{Pipes, Taken};
use super::spares::{BLOCK_BYTES, BLOCK_ROOM};
use crate::runtime::Runtime;

/// Bytes that it makes do with while memory is short.
const READ_BYTES_MIN: usize = 8 * 1024;

/// Bytes that are read where most of what follows may not have to be: enough to decide by.
const FRONT_READ_BYTES: usize = 8 * 1024;

/// Room at the end below which it is not worth a read.
const ROOM_BYTES_MIN: usize = 4 * 1024;

/// Bytes of one connection after which others have their turn: its budget alone (tokio's coop) lasts for many MiB.
const AT_ONCE_BYTES_MAX: usize = 1 << 20;

/// Reads into memory that is accounted for.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Never more memory than `taken`.
    bytes: BytesMut,
    /// Bytes at the front that may be written.
    ready: usize,
    /// What the budget has been asked for.
    taken: usize,
    purpose: Purpose,
    /// Bytes read without a pause: each read found more than it had room for.
    at_once: usize,
    /// Reads that are short because a long frame has just passed by: its end, and the front of another one perhaps.
    short_reads: u8,
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
    pub(super) fn new(runtime: Arc<Runtime>, purpose: Purpose) -> Self {
        Self { bytes: BytesMut::new(), ready: 0, taken: 0, purpose, at_once: 0, short_reads: 0, runtime }
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

    /// Writes what may be written. Cancelled, it knows what is left.
    pub(super) async fn flush(&mut self, to: &TcpStream) -> io::Result<()> {
        while !self.try_flush(to)? {
            to.writable().await?;
        }
        Ok(())
    }

    /// Writes as much of what may be written as the socket has room for. Whether that was all.
    pub(super) fn try_flush(&mut self, to: &TcpStream) -> io::Result<bool> {
        while self.ready > 0 {
            match to.try_write(&self.bytes[..self.ready]) {
                Ok(count) => {
                    self.bytes.advance(count);
                    self.ready -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Drops what could be written.
    pub(super) fn drop_ready(&mut self) {
        self.bytes.advance(self.ready);
        self.ready = 0;
    }

    /// Reads more, to hold `wanted` bytes in the end; memory for it is waited for. Cancel safe.
    pub(super) async fn fill(&mut self, from: &mut OwnedReadHalf, wanted: usize) -> io::Result<Read> {
        self.pause().await;
        loop {
            if self.bytes.is_empty() {
                // No memory while there is nothing to read.
                self.shrink();
                poll_fn(|context| from.as_ref().poll_read_ready(context)).await?;
            }
            self.make_room(wanted).await;
            let may_wait = !self.bytes.is_empty();
            let is_short = self.short_reads > 0 && wanted <= FRONT_READ_BYTES;
            let read_max = if is_short { FRONT_READ_BYTES } else { usize::MAX };
            let mut room = (&mut self.bytes).limit(read_max);
            let mut read = pin!(from.read_buf(&mut room));
            let read = poll_fn(|context| match read.as_mut().poll(context) {
                // Nothing was there after all: it is waited for without memory.
                Poll::Pending if !may_wait => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(read) => Poll::Ready(Some(read)),
            });
            match read.await {
                Some(Ok(0)) => return Ok(Read::End),
                Some(Ok(count)) => {
                    self.short_reads = self.short_reads.saturating_sub(1);
                    let is_full = count == read_max || self.bytes.len() == self.bytes.capacity();
                    self.at_once = if is_full { self.at_once + count } else { 0 };
                    return Ok(Read::Some);
                }
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    }

    /// Takes up to `count` of the bytes that come next into a pipe instead, once there are any; nothing may be unread or
    /// ready. No memory is held meanwhile, and no pipe. Cancel safe.
    pub(super) async fn pass_by<'p>(
        &mut self,
        from: &OwnedReadHalf,
        count: u64,
        pipes: &'p Pipes,
    ) -> io::Result<Taken<'p>> {
        debug_assert!(self.bytes.is_empty());
        self.pause().await;
        self.shrink();
        loop {
            poll_fn(|context| from.as_ref().poll_read_ready(context)).await?;
            let taken = pipes.take_in(from.as_ref(), count)?;
            match &taken {
                Taken::Nothing => {
                    self.at_once = 0;
                    continue;
                }
                Taken::Some(lent) => {
                    self.at_once += lent.held();
                    self.short_reads = 2;
                }
                Taken::End | Taken::Unavailable => {}
            }
            return Ok(taken);
        }
    }

    /// Others have their turn if much came without a pause.
    async fn pause(&mut self) {
        if self.at_once >= AT_ONCE_BYTES_MAX {
            self.at_once = 0;
            yield_now().await;
        }
    }

    /// Whether the whole of `size` bytes may be held at once.
    pub(super) fn try_hold(&mut self, size: usize) -> bool {
        self.try_grow(size, Purpose::Hold)
    }

    /// The memory is always as large as what was taken for it: grown in place it would be rounded up.
    async fn make_room(&mut self, wanted: usize) {
        let wish = if wanted <= BLOCK_ROOM { BLOCK_BYTES } else { wanted };
        if !self.try_grow(wish, self.purpose) {
            let least = wanted.max(READ_BYTES_MIN);
            if self.taken < least {
                self.budget().take(least - self.taken).await;
                self.taken = least;
            }
        }
        if self.taken > wish {
            // What a large frame left behind.
            self.budget().give(self.taken - wish);
            self.taken = wish;
            self.move_to_new(wanted);
        }
        let (room, held) = (self.bytes.capacity() - self.bytes.len(), self.bytes.len());
        let room_in_new = self.taken.min(wanted.max(BLOCK_ROOM)).saturating_sub(held);
        if self.bytes.capacity() < wanted || room < ROOM_BYTES_MIN.min(room_in_new) {
            self.move_to_new(wanted);
        }
    }

    fn try_grow(&mut self, size: usize, purpose: Purpose) -> bool {
        let more = size.saturating_sub(self.taken);
        let granted = more == 0 || self.budget().try_take(more, purpose);
        if granted {
            self.taken += more;
        }
        granted
    }

    fn move_to_new(&mut self, wanted: usize) {
        let is_block = self.taken == BLOCK_BYTES && wanted <= BLOCK_ROOM;
        let spares = &self.runtime.shared.spares;
        let mut bytes = if is_block { spares.take() } else { BytesMut::with_capacity(self.taken) };
        bytes.extend_from_slice(&self.bytes);
        self.bytes = bytes;
    }

    fn shrink(&mut self) {
        if self.taken > 0 {
            self.runtime.shared.spares.give(std::mem::take(&mut self.bytes));
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{Config, HostPort};

    /// A runtime with so little memory left that every read is of `READ_BYTES_MIN`.
    fn short_of_memory() -> Arc<Runtime> {
        let config = Config::pipe(HostPort::new("127.0.0.1", 0), HostPort::new("127.0.0.1", 1));
        let (runtime, _queue) = Runtime::new(config, Vec::new());
        let budget = &runtime.shared.budget;
        budget.add(budget.left(Purpose::Answer));
        Arc::new(runtime)
    }

    async fn pair() -> (OwnedReadHalf, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (one.unwrap().into_split().0, other.unwrap().0)
    }

    /// Has so many bytes come in.
    async fn send(from: &mut OwnedReadHalf, to: &mut TcpStream, count: usize) {
        let mut bytes = vec![7; count];
        to.write_all(&bytes).await.unwrap();
        while from.peek(&mut bytes).await.unwrap() < count {
            yield_now().await;
        }
    }

    /// Whether others have their turn before it is done.
    async fn pauses_before(read: impl Future<Output = io::Result<Read>>) -> bool {
        let mut read = pin!(read);
        let is_done = poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_ready())).await;
        if !is_done {
            read.await.unwrap();
        }
        !is_done
    }

    #[tokio::test]
    async fn who_finds_more_than_is_read_at_once_leaves_others_their_turn() {
        let (mut from, mut to) = pair().await;
        let mut buffer = Buffer::new(short_of_memory(), Purpose::Answer);
        let mut pauses = Vec::new();
        for number in 0..3 * AT_ONCE_BYTES_MAX / READ_BYTES_MIN {
            send(&mut from, &mut to, READ_BYTES_MIN).await;
            // The task's budget is not what ends.
            yield_now().await;
            if pauses_before(buffer.fill(&mut from, 1)).await {
                pauses.push(number * READ_BYTES_MIN);
            }
            buffer.discard(READ_BYTES_MIN);
        }
        assert_eq!(pauses, [AT_ONCE_BYTES_MAX, 2 * AT_ONCE_BYTES_MAX]);
    }

    #[tokio::test]
    async fn who_sends_without_a_pause_past_the_buffer_leaves_others_their_turn() {
        let (mut from, mut to) = pair().await;
        let mut buffer = Buffer::new(short_of_memory(), Purpose::Answer);
        let pipes = Pipes::new(1);
        let mut pauses = Vec::new();
        for number in 0..3 * AT_ONCE_BYTES_MAX / READ_BYTES_MIN {
            send(&mut from, &mut to, READ_BYTES_MIN).await;
            yield_now().await;
            let pass = buffer.pass_by(&from, READ_BYTES_MIN as u64, &pipes);
            if pauses_before(async { pass.await.map(|_taken| Read::Some) }).await {
                pauses.push(number * READ_BYTES_MIN);
            }
        }
        assert_eq!(pauses, [AT_ONCE_BYTES_MAX, 2 * AT_ONCE_BYTES_MAX]);
    }

    /// Between long frames, reads are short: one that is full has found more than it had room for, too.
    #[tokio::test]
    async fn who_sends_long_frames_without_a_pause_leaves_others_their_turn() {
        let (mut from, mut to) = pair().await;
        let (config, pipes) =
            (Config::pipe(HostPort::new("127.0.0.1", 0), HostPort::new("127.0.0.1", 1)), Pipes::new(1));
        let mut buffer = Buffer::new(Arc::new(Runtime::new(config, Vec::new()).0), Purpose::Answer);
        let mut pauses = Vec::new();
        for number in 0..3 * AT_ONCE_BYTES_MAX / (2 * FRONT_READ_BYTES) {
            send(&mut from, &mut to, 2 * FRONT_READ_BYTES).await;
            yield_now().await;
            let pass = buffer.pass_by(&from, FRONT_READ_BYTES as u64, &pipes);
            if pauses_before(async { pass.await.map(|_taken| Read::Some) }).await {
                pauses.push(number * 2 * FRONT_READ_BYTES);
            }
            assert!(!pauses_before(buffer.fill(&mut from, 1)).await);
            buffer.discard(FRONT_READ_BYTES);
        }
        assert_eq!(pauses, [AT_ONCE_BYTES_MAX, 2 * AT_ONCE_BYTES_MAX]);
    }

    /// Most of what comes may not have to be read, as it was with what came before.
    #[tokio::test]
    async fn after_a_long_frame_reads_are_short_at_first() {
        let (mut from, mut to) = pair().await;
        let (config, pipes) =
            (Config::pipe(HostPort::new("127.0.0.1", 0), HostPort::new("127.0.0.1", 1)), Pipes::new(1));
        let mut buffer = Buffer::new(Arc::new(Runtime::new(config, Vec::new()).0), Purpose::Answer);
        send(&mut from, &mut to, 5 * FRONT_READ_BYTES).await;
        let taken = buffer.pass_by(&from, FRONT_READ_BYTES as u64, &pipes).await.unwrap();
        assert!(matches!(taken, Taken::Some(lent) if lent.held() == FRONT_READ_BYTES));
        for found in [1, 2, 4] {
            assert_eq!(buffer.fill(&mut from, 1).await.unwrap(), Read::Some);
            assert_eq!(buffer.unread().len(), found * FRONT_READ_BYTES);
        }
    }
}
