//! What every relay is held against: tokio's copy, with buffers of 64 KiB, that knows nothing of Kafka.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

const BUFFER_BYTES: usize = 64 * 1024;

/// Relays until the process is killed; `threads` as for tokio's scheduler, 0 for the caller's thread alone.
pub(crate) fn run(upstream: SocketAddr, threads: usize) -> io::Result<()> {
    let runtime = match threads {
        0 => runtime::Builder::new_current_thread().enable_all().build()?,
        many => runtime::Builder::new_multi_thread().worker_threads(many).enable_all().build()?,
    };
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("address={}", listener.local_addr()?);
        loop {
            let (mut client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut broker = TcpStream::connect(upstream).await?;
                client.set_nodelay(true)?;
                broker.set_nodelay(true)?;
                copy_bidirectional_with_sizes(&mut client, &mut broker, BUFFER_BYTES, BUFFER_BYTES).await
            });
        }
    })
}
