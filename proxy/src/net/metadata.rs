//! Asks a broker which addresses it advertises.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::foreign;
use crate::config::HostPort;

/// Metadata version 4, for no topic: every broker since 0.11 knows it.
#[rustfmt::skip]
const REQUEST: [u8; 32] = [
    0, 0, 0, 28,
    0, 3, 0, 4, 0, 0, 0, 1,
    0, 13, b's', b'e', b'q', b'g', b'a', b't', b'e', b'-', b'c', b'h', b'e', b'c', b'k',
    0, 0, 0, 0, 0,
];
/// Bytes of an answer at most; one for no topic lists brokers only.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What every answer begins with.
const CORRELATION_ID_BYTES: usize = 4;
/// Correlation id and throttle time.
const BEFORE_BROKERS: usize = 8;

/// Why a broker did not say what it advertises.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// It is no broker, or one that speaks TLS.
    #[error("{0}")]
    NotKafka(String),
    /// It may want a client that authenticates.
    #[error(transparent)]
    Refused(#[from] io::Error),
}

/// Returns the addresses of the brokers in the cluster of `stream`, if the answer comes within `patience`.
pub async fn advertised(stream: &mut TcpStream, patience: Duration) -> Result<Vec<HostPort>, Untold> {
    let asked = timeout(patience, ask(stream)).await;
    asked.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} ms", patience.as_millis())).into())
    })
}

async fn ask(stream: &mut TcpStream) -> Result<Vec<HostPort>, Untold> {
    stream.write_all(&REQUEST).await?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut answer = vec![0; answer_bytes(length)?];
    stream.read_exact(&mut answer).await?;
    brokers(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer to Metadata does not parse").into())
}

/// Returns the size of an answer that begins with `length`.
fn answer_bytes(length: [u8; 4]) -> Result<usize, Untold> {
    if let Some(told) = foreign::from_broker(&length) {
        return Err(Untold::NotKafka(told));
    }
    let size = i32::from_be_bytes(length);
    usize::try_from(size).ok().filter(|size| (CORRELATION_ID_BYTES..=ANSWER_BYTES_MAX).contains(size)).ok_or_else(
        || {
            let told =
                format!("what came back is not Kafka's protocol (a length of {size}): name a Kafka broker as upstream");
            Untold::NotKafka(told)
        },
    )
}

/// Reads the list of brokers that a Metadata answer begins with.
fn brokers(answer: &[u8]) -> Option<Vec<HostPort>> {
    let mut rest = answer.get(BEFORE_BROKERS..)?;
    let count = usize::try_from(int(&mut rest)?).ok()?;
    let mut brokers = Vec::new();
    // The bytes that are left bound the loop, whatever the count claims.
    for _ in 0..count {
        let _node_id = int(&mut rest)?;
        let host = string(&mut rest)??;
        let port = u16::try_from(int(&mut rest)?).ok()?;
        let _rack = string(&mut rest)?;
        brokers.push(HostPort::new(host, port));
    }
    Some(brokers)
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*bytes))
}

/// Reads a string; the inner nothing is Kafka's null.
fn string(rest: &mut &[u8]) -> Option<Option<String>> {
    let (bytes, after) = rest.split_first_chunk()?;
    let Ok(length) = usize::try_from(i16::from_be_bytes(*bytes)) else {
        *rest = after;
        return Some(None);
    };
    let (text, after) = after.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
    use kafka_protocol::messages::{MetadataRequest, MetadataResponse, RequestHeader};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    fn answer() -> Vec<u8> {
        let broker = |rack: Option<&'static str>| {
            MetadataResponseBroker::default()
                .with_host(StrBytes::from_static_str("kafka-1"))
                .with_port(9092)
                .with_rack(rack.map(StrBytes::from_static_str))
        };
        let mut bytes = vec![0; 4];
        let response = MetadataResponse::default().with_brokers(vec![broker(None), broker(Some("a"))]);
        response.encode(&mut bytes, 4).unwrap();
        bytes
    }

    #[test]
    fn the_request_is_what_the_protocol_says() {
        let mut bytes = bytes::Bytes::from_static(&REQUEST);
        assert_eq!(bytes::Buf::get_i32(&mut bytes) as usize, bytes.len());
        let header = RequestHeader::decode(&mut bytes, 1).unwrap();
        assert_eq!((header.request_api_key, header.request_api_version), (3, 4));
        let request = MetadataRequest::decode(&mut bytes, 4).unwrap();
        assert_eq!(request.topics.map(|topics| topics.len()), Some(0));
        assert!(!request.allow_auto_topic_creation && bytes.is_empty());
    }

    #[test]
    fn brokers_are_read_from_an_answer() {
        assert_eq!(brokers(&answer()).unwrap(), [HostPort::new("kafka-1", 9092), HostPort::new("kafka-1", 9092)]);
    }

    #[test]
    fn an_answer_that_is_cut_or_lies_is_refused() {
        let answer = answer();
        let end = answer.iter().rposition(|byte| *byte == b'a').unwrap();
        for length in 0..=end {
            assert_eq!(brokers(&answer[..length]), None, "{length}");
        }
        assert_eq!(brokers(&[0, 0, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0]), None);
    }
}
