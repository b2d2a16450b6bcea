//! Connects to a broker over whichever of its addresses answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{resolve::resolve, socket};
use crate::config::HostPort;
use crate::telemetry::labels::UpstreamError;

/// Connects to `target` within `patience`, trying its addresses in turn.
pub async fn dial(target: &HostPort, patience: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + patience;
    let addresses = resolve(target, patience).await?;
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        // An address that swallows packets must leave time for the others.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match connect(*address, share).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(io::Error::new(error.kind(), format!("{address}: {error}"))),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no address")))
}

async fn connect(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let connecting = timeout(patience, TcpStream::connect(address)).await;
    let stream = connecting
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} ms", patience.as_millis())))??;
    socket::tune(&stream)?;
    Ok(stream)
}

/// Returns the label that a failed dial is counted under; nothing when the pause after another forbade it.
pub fn reason(error: &io::Error) -> Option<UpstreamError> {
    if error.kind() == io::ErrorKind::WouldBlock {
        return None;
    }
    Some(if error.kind() == io::ErrorKind::TimedOut { UpstreamError::Timeout } else { UpstreamError::Dial })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_listening_broker_is_reached_by_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dial(&HostPort::new("localhost", port), Duration::from_secs(5)).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_does_not_accept_is_given_up_after_the_patience() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // The one that may wait to be accepted; whoever comes then gets no answer from the kernel either.
        let _waiting = std::net::TcpStream::connect(address).unwrap();
        let dialled = dial(&HostPort::new("127.0.0.1", address.port()), Duration::from_secs(5)).await;
        let error = dialled.unwrap_err();
        assert_eq!(error.to_string(), format!("{address}: no answer in 5000 ms"));
        assert_eq!(reason(&error), Some(UpstreamError::Timeout));
    }

    #[tokio::test]
    async fn a_refused_dial_names_the_address() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = dial(&HostPort::new("127.0.0.1", port), Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("127.0.0.1:{port}: ")), "{error}");
        assert_eq!(reason(&error), Some(UpstreamError::Dial));
    }
}
