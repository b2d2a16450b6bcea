//! Pipes in the kernel, through which what nobody here looks at goes from one socket to the other (`splice(2)`).
//!
//! Most bytes of a large batch or of a fetch's answer are only passed on. Read and written, each is copied twice; through a
//! pipe the kernel hands on the memory in which it came. For a few KiB it is the other way round: two calls more, and
//! the copies that are saved cost less.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, pipe_with, splice};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes of a frame that must be still to come for it to be worth it.
pub(super) const SPLICE_BYTES_MIN: u64 = 64 * 1024;

/// What a pipe has room for as it is made. With more room each call moves more, which was measured to be worth nothing.
const PIPE_BYTES: usize = 64 * 1024;

/// Pipes that nobody uses, each of them empty.
///
/// A connection has one only for as long as there are bytes in it: as a rule two or three a thread do, and more are used
/// where receivers are slow.
#[derive(Debug)]
pub(super) struct Pipes {
    idle: Mutex<Vec<Pipe>>,
    /// How many there are, those in use included, and those that turned out to be too small.
    made: AtomicUsize,
    max: usize,
    /// The kernel, or who watches over it, does not do this.
    refused: AtomicBool,
}

#[derive(Debug)]
struct Pipe {
    inlet: OwnedFd,
    outlet: OwnedFd,
}

impl Pipe {
    /// Whoever has many pipes already gets them with next to no room (`pipe-user-pages-soft`): to read is faster then.
    fn has_room(&self) -> bool {
        fcntl_getpipe_size(&self.inlet).is_ok_and(|room| room >= PIPE_BYTES)
    }
}

/// A pipe in use. Dropped with bytes in it, it is closed: they are nobody else's.
#[derive(Debug)]
pub(super) struct Lent<'a> {
    pipe: Option<Pipe>,
    held: usize,
    pipes: &'a Pipes,
}

impl Pipes {
    pub(super) const fn new(max: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), made: AtomicUsize::new(0), max, refused: AtomicBool::new(false) }
    }

    /// Takes up to `count` of the bytes that have come into a pipe.
    pub(super) fn take_in(&self, from: &TcpStream, count: u64) -> io::Result<Taken<'_>> {
        let Some(mut lent) = self.lend() else { return Ok(Taken::Unavailable) };
        match lent.take_in(from, count) {
            Ok(Some(0)) => Ok(Taken::End),
            Ok(Some(_)) => Ok(Taken::Some(lent)),
            Ok(None) => Ok(Taken::Unavailable),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Taken::Nothing),
            Err(error) if is_refusal(&error) => {
                self.refused.store(true, Ordering::Relaxed);
                Ok(Taken::Unavailable)
            }
            Err(error) => Err(error),
        }
    }

    /// An empty pipe, while there are fewer than there may be.
    fn lend(&self) -> Option<Lent<'_>> {
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let idle = self.lock().pop();
        let pipe = idle.or_else(|| self.make())?;
        Some(Lent { pipe: Some(pipe), held: 0, pipes: self })
    }

    fn make(&self) -> Option<Pipe> {
        let grown = |made: usize| (made < self.max).then_some(made + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).ok()?;
        let Ok((outlet, inlet)) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC) else {
            self.made.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // One with too little room stays counted: others would have no more, and are not asked for in vain.
        Some(Pipe { inlet, outlet }).filter(Pipe::has_room)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pipe>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of taking bytes into a pipe.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// Some of them.
    Some(Lent<'a>),
    /// The end of the stream.
    End,
    /// There were none after all.
    Nothing,
    /// There is no pipe: they have to be read.
    Unavailable,
}

impl Lent<'_> {
    /// Into an empty pipe: a full one cannot be told from a socket without bytes. `None`: there are some that have to be read, for
    /// `splice` stops where urgent data stood.
    fn take_in(&mut self, from: &TcpStream, count: u64) -> io::Result<Option<usize>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let inlet = &self.pipe().inlet;
        let taken =
            from.try_io(Interest::READABLE, || match splice(from, None, inlet, None, count, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::AGAIN) if has_bytes(from) => Ok(None),
                taken => Ok(Some(taken?)),
            })?;
        self.held = taken.unwrap_or(0);
        Ok(taken)
    }

    /// The bytes in it.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Writes as much of it as the socket has room for. Whether that was all.
    pub(super) fn try_pour(&mut self, to: &TcpStream) -> io::Result<bool> {
        while self.held > 0 {
            let (outlet, held) = (&self.pipe().outlet, self.held);
            let splice = || Ok(splice(outlet, None, to, None, held, SpliceFlags::NONBLOCK)?);
            match to.try_io(Interest::WRITABLE, splice) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(poured) => self.held -= poured,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes all of it. Cancelled, it knows what is left.
    pub(super) async fn pour(&mut self, to: &TcpStream) -> io::Result<()> {
        while !self.try_pour(to)? {
            to.writable().await?;
        }
        Ok(())
    }

    fn pipe(&self) -> &Pipe {
        self.pipe.as_ref().expect("it is taken when dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        if self.held == 0 {
            self.pipes.lock().push(pipe);
        } else {
            drop(pipe);
            self.pipes.made.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether there is anything to be read.
fn has_bytes(from: &TcpStream) -> bool {
    SockRef::from(from).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|count| count > 0)
}

/// Whether an error says that there is no `splice` for such a socket here, and nothing of the socket itself.
fn is_refusal(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::ACCESS]
        .into_iter()
        .any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::fcntl_setpipe_size;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// More than any pair of sockets takes.
    const ENDLESS: usize = 64 << 20;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (one.unwrap(), other.unwrap().0)
    }

    /// Takes in what has come, once it has.
    async fn taken<'a>(pipes: &'a Pipes, from: &TcpStream, count: u64) -> Taken<'a> {
        loop {
            from.readable().await.unwrap();
            match pipes.take_in(from, count).unwrap() {
                Taken::Nothing => {}
                taken @ (Taken::Some(_) | Taken::End | Taken::Unavailable) => return taken,
            }
        }
    }

    async fn some<'a>(pipes: &'a Pipes, from: &TcpStream, count: u64) -> Lent<'a> {
        let Taken::Some(lent) = taken(pipes, from, count).await else { panic!("there is some, and a pipe") };
        lent
    }

    fn made_and_idle(pipes: &Pipes) -> (usize, usize) {
        (pipes.made.load(Ordering::Relaxed), pipes.lock().len())
    }

    #[tokio::test]
    async fn what_is_taken_in_comes_out_and_the_pipe_serves_the_next() {
        let pipes = Pipes::new(4);
        let ((mut client, from), (to, mut broker)) = (pair().await, pair().await);
        for text in [&b"first"[..], b"another"] {
            client.write_all(text).await.unwrap();
            let mut lent = some(&pipes, &from, 100).await;
            assert_eq!((lent.held(), made_and_idle(&pipes)), (text.len(), (1, 0)));
            lent.pour(&to).await.unwrap();
            assert_eq!(lent.held(), 0);
            drop(lent);
            assert_eq!(made_and_idle(&pipes), (1, 1));
            let mut found = vec![0; text.len()];
            broker.read_exact(&mut found).await.unwrap();
            assert_eq!(found, text);
        }
    }

    #[tokio::test]
    async fn no_more_is_taken_in_than_is_wanted_and_the_end_is_seen() {
        let pipes = Pipes::new(1);
        let (mut client, mut from) = pair().await;
        client.write_all(b"passed read").await.unwrap();
        drop(client);
        assert_eq!(some(&pipes, &from, 7).await.held(), 7);
        let mut read = [0; 4];
        from.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"read");
        assert!(matches!(taken(&pipes, &from, 7).await, Taken::End));
    }

    /// They are no part of any frame, and what stands behind them comes all the same.
    #[tokio::test]
    async fn urgent_data_ends_nothing() {
        for closes in [false, true] {
            let pipes = Pipes::new(1);
            let (mut client, mut from) = pair().await;
            client.write_all(b"before").await.unwrap();
            SockRef::from(&client).send_out_of_band(b"!").unwrap();
            client.write_all(b"behind").await.unwrap();
            if closes {
                client.shutdown().await.unwrap();
            }
            while from.peek(&mut [0; 12]).await.unwrap() < b"before".len() {}
            assert_eq!(some(&pipes, &from, 100).await.held(), b"before".len());
            assert!(matches!(taken(&pipes, &from, 100).await, Taken::Unavailable));
            let mut read = [0; 6];
            from.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"behind");
            client.write_all(b"more").await.map(|()| assert!(!closes)).ok();
            if closes {
                assert!(matches!(taken(&pipes, &from, 100).await, Taken::End));
            } else {
                assert_eq!(some(&pipes, &from, 100).await.held(), b"more".len());
            }
        }
    }

    /// They would come to somebody else.
    #[tokio::test]
    async fn a_pipe_with_bytes_in_it_is_lent_to_nobody() {
        let pipes = Pipes::new(1);
        let ((mut client, from), (to, mut broker)) = (pair().await, pair().await);
        client.write_all(b"whose client has gone").await.unwrap();
        drop(some(&pipes, &from, 100).await);
        assert_eq!(made_and_idle(&pipes), (0, 0));
        client.write_all(b"ours").await.unwrap();
        some(&pipes, &from, 100).await.pour(&to).await.unwrap();
        drop(to);
        let mut found = Vec::new();
        broker.read_to_end(&mut found).await.unwrap();
        assert_eq!(found, b"ours");
    }

    #[tokio::test]
    async fn who_writes_to_a_slow_reader_knows_what_is_left() {
        let pipes = Pipes::new(1);
        let ((mut client, from), (to, mut broker)) = (pair().await, pair().await);
        let sent: Vec<u8> = (0..ENDLESS as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let wanted = sent.clone();
        let sending = tokio::spawn(async move { client.write_all(&sent).await.map(|()| client) });
        let (mut poured, mut lent) = (0, some(&pipes, &from, ENDLESS as u64).await);
        loop {
            let held = lent.held();
            let is_empty = lent.try_pour(&to).unwrap();
            poured += held - lent.held();
            if !is_empty {
                break;
            }
            drop(lent);
            lent = some(&pipes, &from, ENDLESS as u64).await;
        }
        assert!(lent.held() > 0 && lent.held() <= PIPE_BYTES, "{}", lent.held());
        let reading = tokio::spawn(async move {
            let mut found = vec![0; ENDLESS];
            broker.read_exact(&mut found).await.unwrap();
            found
        });
        loop {
            poured += lent.held();
            lent.pour(&to).await.unwrap();
            if poured == ENDLESS {
                break;
            }
            drop(lent);
            lent = some(&pipes, &from, ENDLESS as u64).await;
        }
        assert!(reading.await.unwrap() == wanted);
        sending.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn there_are_no_more_pipes_than_there_may_be() {
        let pipes = Pipes::new(1);
        let (mut client, from) = pair().await;
        client.write_all(b"some").await.unwrap();
        let lent = some(&pipes, &from, 2).await;
        assert!(matches!(taken(&pipes, &from, 2).await, Taken::Unavailable));
        drop(lent);
        assert_eq!(some(&pipes, &from, 2).await.held(), 2);
        assert!(matches!(taken(&Pipes::new(0), &from, 2).await, Taken::Unavailable));
    }

    #[test]
    fn a_pipe_as_it_is_made_has_room_and_a_small_one_has_not() {
        let pipe = Pipes::new(1).make().unwrap();
        assert!(pipe.has_room());
        fcntl_setpipe_size(&pipe.inlet, 4096).unwrap();
        assert!(!pipe.has_room());
    }

    #[test]
    fn a_kernel_that_refuses_is_not_asked_again() {
        let pipes = Pipes::new(1);
        assert!(pipes.lend().is_some());
        pipes.refused.store(true, Ordering::Relaxed);
        assert!(pipes.lend().is_none());
        let says = |errno: Errno| is_refusal(&errno.into());
        assert!([Errno::INVAL, Errno::NOSYS, Errno::PERM].into_iter().all(says));
        assert!(![Errno::CONNRESET, Errno::PIPE, Errno::AGAIN].into_iter().any(says));
    }
}
