//! Kafka's framing: a length of four bytes, then so many bytes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The length field's size.
pub(crate) const PREFIX_LEN: usize = 4;

/// The largest frame a broker reads: `socket.request.max.bytes`.
pub(crate) const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// How much room is made for one read; a frame's claimed length never makes any.
const READ_BYTES: usize = 16 * 1024;

/// Takes the first whole frame, its length field included, off the buffer.
pub(crate) fn split(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_LEN>() else {
        return Ok(None);
    };
    let claimed = i32::from_be_bytes(*prefix);
    let length = usize::try_from(claimed).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let Some(length) = length else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {claimed} bytes")));
    };
    let whole = PREFIX_LEN + length;
    Ok((buffer.len() >= whole).then(|| buffer.split_to(whole).freeze()))
}

/// Reads on until a whole frame is there; `None` at the orderly end of the stream.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    loop {
        if let Some(frame) = split(buffer)? {
            return Ok(Some(frame));
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_split_off_at_its_end() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 7, 8, 0][..]);
        assert_eq!(split(&mut buffer).expect("valid").as_deref(), Some(&[0, 0, 0, 2, 7, 8][..]));
        assert_eq!(split(&mut buffer).expect("valid"), None);
        assert_eq!(&buffer[..], [0]);
    }

    #[test]
    fn negative_and_oversized_lengths_are_refused() {
        for claimed in [-1, i32::MAX, 104_857_601] {
            assert!(split(&mut BytesMut::from(&claimed.to_be_bytes()[..])).is_err(), "{claimed}");
        }
    }
}
