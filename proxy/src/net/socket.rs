//! What every socket of the data path is set to, and how it ends.

use std::io;
use std::net::Shutdown;
use std::ops::Deref;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::consume_budget;

/// Silence after which the kernel asks the peer for a sign of life.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between further questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Read away at once: few calls for much, and little of a stack.
const AWAY_BYTES: usize = 16 * 1024;
/// As much as a socket holds by default (`net.ipv4.tcp_rmem`).
const LEFT_BYTES_MAX: usize = 6 << 20;

/// Turns off Nagle's delay and turns on keepalive.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// What is left of a connection whose bytes are read elsewhere: it is written to through this, by whoever comes by.
///
/// Dropping it says nothing to the peer: the connection ends with its last half, as it was told to.
#[derive(Debug)]
pub struct Handle(Option<OwnedWriteHalf>);

/// Gives the reading of a connection to one place. A reader that has the connection to itself knows when it has read
/// all there was, and need not ask in vain.
pub fn split(stream: TcpStream) -> (OwnedReadHalf, Handle) {
    let (read, write) = stream.into_split();
    (read, Handle(Some(write)))
}

impl Deref for Handle {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        self.0.as_ref().expect("it is taken when dropped").as_ref()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

/// Writes all of `bytes`; shared, so that the other direction may be read meanwhile.
pub async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends the connection with a reset: the peer must not take it for an orderly close.
pub fn reset(stream: TcpStream) {
    reset_on_drop(&stream);
    drop(stream);
}

/// Has the connection end with a reset when the last handle of it is dropped.
pub fn reset_on_drop(stream: &TcpStream) {
    // Without linger the drop is an orderly close, which is the worse of two answers but the only one left.
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
}

/// Tells the peer that nothing more will be sent.
pub fn half_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).shutdown(Shutdown::Write)
}

/// Closes in order. Bytes that arrive until the peer closes are read away: unread, they would turn the close into a
/// reset, and what was written last could be lost on the way. Once `hurry` is over, only those are that are here.
pub async fn close(stream: &TcpStream, hurry: impl Future<Output = ()>) {
    if half_close(stream).is_err() {
        return;
    }
    tokio::select! {
        biased;
        () = read_away(stream) => return,
        () = hurry => {}
    }
    // No more than a socket holds: more may come as fast as it is read.
    (0..LEFT_BYTES_MAX / AWAY_BYTES).take_while(|_| matches!(read_block_away(stream), Ok(1..))).for_each(drop);
}

async fn read_away(stream: &TcpStream) {
    loop {
        // A peer that does not stop must not keep the thread: `try_read` asks nobody whether others have their turn.
        consume_budget().await;
        match read_block_away(stream) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if stream.readable().await.is_err() {
                    return;
                }
            }
            Ok(0) | Err(_) => return,
        }
    }
}

/// The block is there only while it is read into: it is no part of every connection's task.
fn read_block_away(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; AWAY_BYTES])
}

/// Waits for the connection to break: a reset by the peer, or a peer that the kernel has given up. Reads nothing, so
/// it sees what a side that must not be read at the moment would hide. Cancel safe.
pub async fn broken(stream: &TcpStream) -> io::Error {
    let ready = stream.ready(Interest::ERROR).await;
    match ready.and_then(|_| stream.take_error()) {
        Ok(Some(error)) | Err(error) => error,
        Ok(None) => io::ErrorKind::ConnectionReset.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (one.unwrap(), other.unwrap().0)
    }

    #[tokio::test]
    async fn a_tuned_socket_sends_at_once_and_asks_a_silent_peer_for_a_sign_of_life() {
        let (one, other) = pair().await;
        let found = |stream: &TcpStream| (stream.nodelay().unwrap(), SockRef::from(stream).keepalive().unwrap());
        tune(&one).unwrap();
        assert_eq!((found(&one), found(&other)), ((true, true), (false, false)));
        let socket = SockRef::from(&one);
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!(times, (Duration::from_secs(60), Duration::from_secs(10)));
    }

    #[tokio::test]
    async fn a_reset_is_seen_behind_bytes_that_nobody_reads() {
        let (one, mut other) = pair().await;
        other.write_all(b"unread").await.unwrap();
        one.readable().await.unwrap();
        reset(other);
        assert_eq!(broken(&one).await.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_close_leaves_what_was_written_to_the_peer() {
        let (mut one, mut other) = pair().await;
        other.write_all(&[7; 10_000]).await.unwrap();
        one.write_all(b"last").await.unwrap();
        close(&one, std::future::ready(())).await;
        drop(one);
        let mut got = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut other, &mut got).await.unwrap();
        assert_eq!(got, b"last");
    }

    #[tokio::test]
    async fn nothing_is_read_away_while_it_is_the_turn_of_others() {
        let (one, mut other) = pair().await;
        other.write_all(b"more").await.unwrap();
        one.readable().await.unwrap();
        while tokio::task::coop::has_budget_remaining() {
            consume_budget().await;
        }
        let mut away = std::pin::pin!(read_away(&one));
        let polled = std::future::poll_fn(|context| Poll::Ready(away.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        assert_eq!(one.try_read(&mut [0; 8]).unwrap(), 4);
    }
}
