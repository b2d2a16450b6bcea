//! Asks which requests a broker understands (`ApiVersionsRequest.json`): one that it does not know ends the connection.

use super::{begin, finish};
use crate::wire::cursor::{Cursor, Encoding, ParseError};
use crate::wire::head::ApiKey;

/// The version asked in: every broker understands it, and the answer is the shortest.
pub const API_VERSIONS_VERSION: i16 = 0;

/// Bytes of one request in the answer: its key, its lowest and its highest version.
const API_BYTES: usize = 2 + 2 + 2;

/// Makes the whole frame, length included.
#[must_use]
pub fn api_versions(correlation_id: i32) -> Vec<u8> {
    finish(begin(ApiKey::API_VERSIONS, API_VERSIONS_VERSION, correlation_id))
}

/// Whether the answer to [`api_versions`], a frame without its length, says that this version of a request is
/// understood.
///
/// # Errors
///
/// When it does not parse, or is the answer to something else.
pub fn understands(
    correlation_id: i32,
    (api_key, version): (ApiKey, i16),
    frame_after_length: &[u8],
) -> Result<bool, ParseError> {
    let mut cursor = Cursor::new(frame_after_length, Encoding::Classic);
    let (answered, error) = (cursor.i32()?, cursor.i16()?);
    let mut understood = false;
    for _ in 0..cursor.array_len(API_BYTES)? {
        let (key, lowest, highest) = (cursor.i16()?, cursor.i16()?, cursor.i16()?);
        understood |= key == api_key.0 && (lowest..=highest).contains(&version);
    }
    cursor.end()?;
    Ok(answered == correlation_id && error == 0 && understood)
}
