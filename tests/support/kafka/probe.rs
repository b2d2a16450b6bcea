//! Asks a broker who is there, by hand.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The ports to which a broker sends its clients, of itself and of all others that are up.
///
/// Asks with ApiVersions v0 and Metadata v1.
pub fn advertised_ports(at: SocketAddr) -> io::Result<Vec<u16>> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Length; api key, version, correlation id, no client id.
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
    read_frame(&mut stream)?;
    // The same and an empty list of topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0])?;
    let answer = read_frame(&mut stream)?;
    ports_in(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn ports_in(answer: &[u8]) -> Option<Vec<u16>> {
    let int = |at: usize| Some(i32::from_be_bytes(*answer.get(at..)?.first_chunk()?));
    let mut at = 8;
    let mut ports = Vec::new();
    for _ in 0..int(4)? {
        let host = i16::from_be_bytes(*answer.get(at + 4..)?.first_chunk()?);
        at += 6 + usize::try_from(host).ok()?;
        ports.push(u16::try_from(int(at)?).ok()?);
        at += 4;
        // The rack, which is null.
        at += 2;
    }
    Some(ports)
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap().min(1 << 20)];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
