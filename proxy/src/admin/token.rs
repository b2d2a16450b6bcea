//! The secret that opens the admin port.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::ConfigError;

/// Bytes of a token at most.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Holds the token; never shown.
pub(super) struct Token(Box<[u8]>);

impl Token {
    /// Reads the token from `file`, without the white space around it.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        let fail = |error| ConfigError::TokenFile { file: file.to_owned(), error };
        let mut text = String::new();
        File::open(file)
            .and_then(|file| file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text))
            .map_err(fail)?;
        let token = text.trim();
        if token.is_empty() || text.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let right = format!("expected one token of 1 to {TOKEN_BYTES_MAX} visible ASCII characters");
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, right)));
        }
        Ok(Self(token.as_bytes().into()))
    }

    /// Says whether an `Authorization` header holds the token, in a time that tells nothing but its length.
    pub(super) fn admits(&self, authorization: &[u8]) -> bool {
        let Some((scheme, presented)) = authorization.split_at_checked("Bearer ".len()) else { return false };
        let differences = presented.iter().zip(&self.0).fold(0, |differences, (a, b)| differences | (a ^ b));
        scheme.eq_ignore_ascii_case(b"Bearer ")
            && presented.len() == self.0.len()
            && std::hint::black_box(differences) == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token(b"secret".as_slice().into());
        assert!(token.admits(b"Bearer secret") && token.admits(b"bearer secret"));
        for wrong in ["", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer secreT", "Basic secret", "secret"] {
            assert!(!token.admits(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_file_holds_one_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let read = |text: &[u8]| {
            std::fs::write(&file, text).unwrap();
            Token::read(&file)
        };
        assert!(read(b" secret\n").unwrap().admits(b"Bearer secret"));
        for wrong in [b"".as_slice(), b" \n", b"two words", b"\xff", &[b'a'; TOKEN_BYTES_MAX + 1]] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("admin.token_file: {}: ", file.display())), "{error}");
        }
    }
}
