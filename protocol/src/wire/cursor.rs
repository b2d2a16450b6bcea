//! Bounded reads over borrowed bytes, in both of Kafka's encodings.

use thiserror::Error;

/// The longest string that Kafka itself accepts, in bytes: generated readers refuse more than `0x7fff`.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Why bytes do not parse; what does not parse is forwarded as it came and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The value ends behind the bytes at hand.
    #[error("value ends at byte {needed}, only {have} are there")]
    Truncated {
        /// How many bytes there would have to be, counted from where the reading started.
        needed: usize,
        /// How many there are.
        have: usize,
    },
    /// A length below -1, which is the only negative one with a meaning.
    #[error("length {length} is negative")]
    NegativeLength {
        /// The length as it stands on the wire.
        length: i32,
    },
    /// A null where the protocol knows none.
    #[error("null where a value is required")]
    Null,
    /// A string that Kafka would refuse as well.
    #[error("string of {length} bytes exceeds the limit of {limit}")]
    StringTooLong {
        /// Its length in bytes.
        length: u32,
        /// [`STRING_BYTES_MAX`].
        limit: usize,
    },
    /// More entries than the bytes that are left can hold.
    #[error("{count} entries do not fit into {left} bytes")]
    TooMany {
        /// How many entries are announced.
        count: u32,
        /// How many bytes are left for them.
        left: usize,
    },
    /// A varint of more than 32 bits or five bytes.
    #[error("varint exceeds 32 bits")]
    Varint,
    /// Bytes behind the end of the message.
    #[error("{left} bytes are left over")]
    LeftOver {
        /// How many.
        left: usize,
    },
    /// A version whose layout is not known here.
    #[error("layout of version {version} is unknown")]
    Version {
        /// The version.
        version: i16,
    },
    /// A request of another kind than the one expected.
    #[error("api key {api_key} is not the one expected")]
    Api {
        /// The key that stands in the header.
        api_key: i16,
    },
}

/// How a message writes lengths, and whether its structs end in tagged fields (KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lengths of two or four bytes, no tagged fields.
    Classic,
    /// Lengths as varints of `n + 1`, and a section of tagged fields behind every struct.
    Flexible,
}

/// Reads values one behind the other and never past the end.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    /// What is not read yet of the bytes at hand.
    rest: &'a [u8],
    /// How many of them there were at first.
    have: usize,
    /// How many bytes the message has behind those at hand: counts and lengths are held against them, too.
    beyond: usize,
    encoding: Encoding,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes`, which are the whole message.
    #[must_use]
    pub const fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { rest: bytes, have: bytes.len(), beyond: 0, encoding }
    }

    /// Reads the first `bytes` of a message that has `promised` bytes in all.
    pub(super) const fn partial(bytes: &'a [u8], promised: usize, encoding: Encoding) -> Self {
        assert!(bytes.len() <= promised, "a message is at least what is there of it");
        Self { rest: bytes, have: bytes.len(), beyond: promised - bytes.len(), encoding }
    }

    /// Reads the beginning of a message of unknown size: only the bytes themselves bound what it may hold.
    pub(super) const fn beginning(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self::partial(bytes, usize::MAX, encoding)
    }

    /// Reads on in another encoding.
    pub(super) const fn switch_to(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// How many bytes are read.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.have - self.rest.len()
    }

    /// How many bytes of the message follow.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len() + self.beyond
    }

    /// The bytes that follow, as far as they are there.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else { return Err(self.short_of(count)) };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads an `int16`.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, ParseError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Reads an `int32`.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, ParseError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads an `int64`.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, ParseError> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads a `uuid`.
    #[inline]
    pub fn uuid(&mut self) -> Result<[u8; 16], ParseError> {
        self.array()
    }

    /// Reads an unsigned varint of at most five bytes (`ByteUtils.readUnsignedVarint`).
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, ParseError> {
        // Nearly all of them are this short.
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        self.long_uvarint()
    }

    #[inline(never)]
    fn long_uvarint(&mut self) -> Result<u32, ParseError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let [byte] = self.array::<1>()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        let [byte] = self.array::<1>()?;
        if byte > 0x0f {
            return Err(ParseError::Varint);
        }
        Ok(value | u32::from(byte) << 28)
    }

    /// Reads a string that may be null.
    #[inline]
    pub fn nullable_string(&mut self) -> Result<Option<&'a [u8]>, ParseError> {
        let length = match self.encoding {
            Encoding::Classic => nullable(self.i16()?.into())?,
            Encoding::Flexible => self.uvarint()?.checked_sub(1),
        };
        let Some(length) = length else { return Ok(None) };
        if length as usize > STRING_BYTES_MAX {
            return Err(ParseError::StringTooLong { length, limit: STRING_BYTES_MAX });
        }
        self.take(length as usize).map(Some)
    }

    /// Reads a string.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], ParseError> {
        self.nullable_string()?.ok_or(ParseError::Null)
    }

    /// Reads the length of bytes or records that may be null; refuses more than the message has left.
    #[inline]
    pub fn nullable_bytes_len(&mut self) -> Result<Option<u32>, ParseError> {
        let length = self.length()?;
        if let Some(length) = length {
            self.holds(length)?;
        }
        Ok(length)
    }

    /// Reads the count of an array; refuses null, and more entries than the message's bytes can hold.
    #[inline]
    pub fn array_len(&mut self, entry_bytes_min: usize) -> Result<u32, ParseError> {
        self.nullable_array_len(entry_bytes_min)?.ok_or(ParseError::Null)
    }

    /// Likewise, of an array that may be null.
    #[inline]
    pub(super) fn nullable_array_len(&mut self, entry_bytes_min: usize) -> Result<Option<u32>, ParseError> {
        let Some(count) = self.length()? else { return Ok(None) };
        self.fits(count, entry_bytes_min).map(Some)
    }

    /// Reads the number of tagged fields that follow; none in the classic encoding.
    #[inline]
    pub fn tags_len(&mut self) -> Result<u32, ParseError> {
        match self.encoding {
            Encoding::Classic => Ok(0),
            Encoding::Flexible => {
                let count = self.uvarint()?;
                self.fits(count, TAGGED_FIELD_BYTES_MIN)
            }
        }
    }

    /// Reads a tagged field's tag and returns the size of its value, which the message has left.
    #[inline]
    pub fn tag(&mut self) -> Result<u32, ParseError> {
        let _tag = self.uvarint()?;
        let size = self.uvarint()?;
        self.holds(size)?;
        Ok(size)
    }

    /// Reads over a whole section of tagged fields.
    #[inline]
    pub fn skip_tags(&mut self) -> Result<(), ParseError> {
        match (self.encoding, self.rest) {
            (Encoding::Classic, _) => Ok(()),
            // Nearly all of them are empty.
            (Encoding::Flexible, [0, rest @ ..]) => {
                self.rest = rest;
                Ok(())
            }
            (Encoding::Flexible, _) => self.skip_each_tag(),
        }
    }

    #[inline(never)]
    fn skip_each_tag(&mut self) -> Result<(), ParseError> {
        for _ in 0..self.tags_len()? {
            let size = self.tag()?;
            self.take(size as usize)?;
        }
        Ok(())
    }

    /// Refuses bytes that are left over.
    pub const fn end(&self) -> Result<(), ParseError> {
        match self.left() {
            0 => Ok(()),
            left => Err(ParseError::LeftOver { left }),
        }
    }

    #[inline]
    fn length(&mut self) -> Result<Option<u32>, ParseError> {
        match self.encoding {
            Encoding::Classic => nullable(self.i32()?),
            Encoding::Flexible => Ok(self.uvarint()?.checked_sub(1)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else { return Err(self.short_of(N)) };
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    const fn holds(&self, length: u32) -> Result<(), ParseError> {
        if length as usize > self.left() {
            let needed = self.position().saturating_add(length as usize);
            return Err(ParseError::Truncated { needed, have: self.have + self.beyond });
        }
        Ok(())
    }

    #[inline]
    const fn fits(&self, count: u32, entry_bytes_min: usize) -> Result<u32, ParseError> {
        if (count as usize).saturating_mul(entry_bytes_min) > self.left() {
            return Err(ParseError::TooMany { count, left: self.left() });
        }
        Ok(count)
    }

    /// Of the bytes at hand fewer than `count` are left.
    #[cold]
    const fn short_of(&self, count: usize) -> ParseError {
        ParseError::Truncated { needed: self.position().saturating_add(count), have: self.have }
    }
}

/// A tag of one byte and a size of one byte.
const TAGGED_FIELD_BYTES_MIN: usize = 2;

#[inline]
const fn nullable(length: i32) -> Result<Option<u32>, ParseError> {
    match length {
        0.. => Ok(Some(length.cast_unsigned())),
        -1 => Ok(None),
        _ => Err(ParseError::NegativeLength { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flexible(bytes: &[u8]) -> Cursor<'_> {
        Cursor::new(bytes, Encoding::Flexible)
    }

    fn classic(bytes: &[u8]) -> Cursor<'_> {
        Cursor::new(bytes, Encoding::Classic)
    }

    #[test]
    fn varints_have_at_most_five_bytes_and_32_bits() {
        assert_eq!(flexible(&[0]).uvarint(), Ok(0));
        assert_eq!(flexible(&[0x80, 0x01]).uvarint(), Ok(128));
        assert_eq!(flexible(&[0x80, 0x80, 0x00]).uvarint(), Ok(0));
        assert_eq!(flexible(&[0xff, 0xff, 0xff, 0xff, 0x0f]).uvarint(), Ok(u32::MAX));
        assert_eq!(flexible(&[0xff, 0xff, 0xff, 0xff, 0x1f]).uvarint(), Err(ParseError::Varint));
        assert_eq!(flexible(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]).uvarint(), Err(ParseError::Varint));
        let two_to_the_64 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(flexible(&two_to_the_64).uvarint(), Err(ParseError::Varint));
        assert_eq!(flexible(&[0x80]).uvarint(), Err(ParseError::Truncated { needed: 2, have: 1 }));
    }

    #[test]
    fn an_array_that_the_bytes_left_cannot_hold_is_refused() {
        assert_eq!(classic(&[0, 0, 0, 2, 1, 2, 3, 4]).array_len(2), Ok(2));
        assert_eq!(classic(&[0, 0, 0, 3, 1, 2, 3, 4]).array_len(2), Err(ParseError::TooMany { count: 3, left: 4 }));
        assert_eq!(
            classic(&[0x7f, 0xff, 0xff, 0xff]).array_len(usize::MAX),
            Err(ParseError::TooMany { count: 0x7fff_ffff, left: 0 })
        );
        assert_eq!(classic(&[0xff; 4]).array_len(1), Err(ParseError::Null));
        assert_eq!(classic(&[0x80, 0, 0, 0]).array_len(1), Err(ParseError::NegativeLength { length: i32::MIN }));
        assert_eq!(
            flexible(&[0xff, 0xff, 0xff, 0xff, 0x0f]).array_len(1),
            Err(ParseError::TooMany { count: u32::MAX - 1, left: 0 })
        );
        assert_eq!(flexible(&[0]).array_len(1), Err(ParseError::Null));
    }

    #[test]
    fn strings_in_both_encodings() {
        assert_eq!(classic(&[0, 1, b'a', b'b']).string(), Ok(&b"a"[..]));
        assert_eq!(flexible(&[2, b'a', b'b']).string(), Ok(&b"a"[..]));
        assert_eq!(classic(&[0xff, 0xff]).nullable_string(), Ok(None));
        assert_eq!(flexible(&[0]).nullable_string(), Ok(None));
        assert_eq!(classic(&[0xff, 0xff]).string(), Err(ParseError::Null));
        assert_eq!(classic(&[0xff, 0xfe]).string(), Err(ParseError::NegativeLength { length: -2 }));
        assert_eq!(flexible(&[3, b'a']).string(), Err(ParseError::Truncated { needed: 3, have: 2 }));
        let limit = STRING_BYTES_MAX;
        assert_eq!(flexible(&[0x81, 0x80, 0x02]).string(), Err(ParseError::StringTooLong { length: 0x8000, limit }));
    }

    #[test]
    fn tagged_sections_are_skipped_within_bounds() {
        let mut cursor = flexible(&[2, 0, 1, 9, 5, 2, 9, 9, 7]);
        assert_eq!(cursor.skip_tags(), Ok(()));
        assert_eq!(cursor.rest(), [7]);
        assert_eq!(flexible(&[1, 0, 2, 9]).skip_tags(), Err(ParseError::Truncated { needed: 5, have: 4 }));
        assert_eq!(flexible(&[2, 0, 0, 1]).skip_tags(), Err(ParseError::TooMany { count: 2, left: 3 }));
        assert_eq!(classic(&[1]).skip_tags(), Ok(()));
    }
}
