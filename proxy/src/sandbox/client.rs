//! One connection to a broker, from the client's side.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::frame;

/// Requests are sent and answers read in turn; several may be on their way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    client_id: StrBytes,
    next_correlation: i32,
}

impl Connection {
    /// Dials a broker.
    pub(crate) async fn open(address: SocketAddr, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let client_id = StrBytes::from_string(client_id.to_owned());
        Ok(Self { stream, buffer: BytesMut::new(), client_id, next_correlation: 0 })
    }

    /// Sends a request and returns its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<i32> {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(correlation)
            .with_client_id(Some(self.client_id.clone()));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).map_err(invalid)?;
        request.encode(&mut body, version).map_err(invalid)?;
        let mut frame = BytesMut::with_capacity(frame::PREFIX_LEN + body.len());
        frame.put_i32(i32::try_from(body.len()).map_err(invalid)?);
        frame.put(body);
        self.stream.write_all(&frame).await?;
        Ok(correlation)
    }

    /// Receives the next answer's correlation id and what follows it. Safe to cancel.
    pub(crate) async fn receive(&mut self) -> io::Result<(i32, Bytes)> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut answer = frame::read(&mut self.stream, &mut self.buffer).await?.ok_or_else(ended)?;
        answer.advance(frame::PREFIX_LEN);
        let correlation = answer.try_get_i32().map_err(invalid)?;
        Ok((correlation, answer))
    }

    /// Sends a request and waits for its answer; nothing else may be on its way.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let sent = self.send(version, request).await?;
        let (correlation, body) = self.receive().await?;
        if correlation != sent {
            return Err(invalid(format!("answer to request {correlation}, expected {sent}")));
        }
        decode::<R>(version, body)
    }
}

/// Decodes what follows an answer's correlation id.
pub(crate) fn decode<R: Request>(version: i16, mut body: Bytes) -> io::Result<R::Response> {
    if <R::Response as HeaderVersion>::header_version(version) > 0 {
        // No tagged field of a header is known.
        match body.try_get_u8() {
            Ok(0) => {}
            Ok(_) | Err(_) => return Err(invalid("answer with tagged fields in its header")),
        }
    }
    R::Response::decode(&mut body, version).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
