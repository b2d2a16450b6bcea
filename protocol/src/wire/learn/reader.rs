//! Collects one value at a time from bytes that come in any pieces.

use crate::wire::cursor::STRING_BYTES_MAX;

/// The longest text that is kept, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = STRING_BYTES_MAX;

/// The largest fixed size, a uuid's.
const FIXED_BYTES_MAX: usize = 16;

/// Which value is to be collected.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// So many bytes, 16 at most.
    Fixed(u8),
    /// A varint of at most 32 bits.
    Uvarint,
    /// A text of so many bytes, [`TEXT_BYTES_MAX`] at most, to be kept.
    Text(u32),
    /// So many bytes that nobody looks at.
    Skip(u64),
}

/// A varint of more than 32 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

/// Collects one value at a time.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    wanted: Wanted,
    /// The bytes of the present number, right-aligned once it is complete.
    fixed: [u8; FIXED_BYTES_MAX],
    /// How many bytes of the present number or varint are here.
    have: u8,
    varint: u32,
    /// The latest text, or as much of it as is here.
    text: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { wanted: Wanted::Skip(0), fixed: [0; FIXED_BYTES_MAX], have: 0, varint: 0, text: Vec::new() }
    }
}

impl Reader {
    /// Starts with another value; the latest text stays until the next.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        match wanted {
            Wanted::Fixed(_) => {
                self.fixed = [0; FIXED_BYTES_MAX];
                self.have = 0;
            }
            Wanted::Uvarint => {
                self.varint = 0;
                self.have = 0;
            }
            Wanted::Text(_) => self.text.clear(),
            Wanted::Skip(_) => {}
        }
    }

    /// Takes what it can use from the front of `bytes`; whether the value is complete.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        match self.wanted {
            Wanted::Fixed(size) => Ok(self.read_fixed(usize::from(size), bytes)),
            Wanted::Uvarint => self.read_uvarint(bytes),
            Wanted::Text(left) => {
                let piece = take(left as usize, bytes);
                self.text.extend_from_slice(piece);
                let left = left - piece.len() as u32;
                self.wanted = Wanted::Text(left);
                Ok(left == 0)
            }
            Wanted::Skip(left) => {
                let piece = take(usize::try_from(left).unwrap_or(usize::MAX), bytes);
                let left = left - piece.len() as u64;
                self.wanted = Wanted::Skip(left);
                Ok(left == 0)
            }
        }
    }

    /// The varint just read.
    pub(super) const fn uvarint(&self) -> u32 {
        self.varint
    }

    /// The `int16`, `int32` or `int64` just read.
    pub(super) fn signed(&self) -> i64 {
        match self.wanted {
            Wanted::Fixed(2) => self.i16().into(),
            Wanted::Fixed(4) => self.i32().into(),
            Wanted::Fixed(_) | Wanted::Uvarint | Wanted::Text(_) | Wanted::Skip(_) => i64::from_be_bytes(self.last()),
        }
    }

    /// The `int16` just read.
    pub(super) fn i16(&self) -> i16 {
        i16::from_be_bytes(self.last())
    }

    /// The `int32` just read.
    pub(super) fn i32(&self) -> i32 {
        i32::from_be_bytes(self.last())
    }

    /// The uuid just read.
    pub(super) const fn uuid(&self) -> [u8; 16] {
        self.fixed
    }

    /// The latest text.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    fn last<const N: usize>(&self) -> [u8; N] {
        *self.fixed.last_chunk().expect("a number is not larger than a uuid")
    }

    fn read_fixed(&mut self, size: usize, bytes: &mut &[u8]) -> bool {
        let start = FIXED_BYTES_MAX - size;
        let at = start + usize::from(self.have);
        let piece = take(FIXED_BYTES_MAX - at, bytes);
        self.fixed[at..at + piece.len()].copy_from_slice(piece);
        self.have += piece.len() as u8;
        usize::from(self.have) == size
    }

    fn read_uvarint(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if self.have == 4 && byte > 0x0f {
                return Err(Malformed);
            }
            self.varint |= u32::from(byte & 0x7f) << (7 * u32::from(self.have));
            self.have += 1;
            if byte < 0x80 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn take<'a>(count: usize, bytes: &mut &'a [u8]) -> &'a [u8] {
    let (piece, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    piece
}
