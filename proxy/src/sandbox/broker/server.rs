//! One connection: a request is read when the one before it has been answered, as in Kafka.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::api::{self, Reply};
use super::shared::Shared;
use crate::sandbox::acceptor::Stopping;
use crate::sandbox::frame;

/// Serves one connection until either side ends it; a broker that stops resets it.
pub(super) async fn serve(mut stream: TcpStream, shared: Arc<Shared>, mut stopping: Stopping) {
    let stopped = tokio::select! {
        () = stopping.wait() => true,
        () = converse(&mut stream, &shared) => false,
    };
    if stopped {
        // Without it the client would be told of an orderly end; where it fails, it is.
        let _ = stream.set_zero_linger();
    }
}

async fn converse(stream: &mut TcpStream, shared: &Shared) {
    let mut buffer = BytesMut::new();
    // A broken frame ends the connection like its orderly end does.
    while let Ok(Some(request)) = frame::read(stream, &mut buffer).await {
        match api::answer(shared, &request).await {
            Reply::Frame(answer) => {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Reply::Silence => {}
            Reply::Close => return,
            Reply::Never => std::future::pending().await,
        }
    }
}
