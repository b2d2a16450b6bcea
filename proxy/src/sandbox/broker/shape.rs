//! The layout of the requests that the sandbox reads, as data, and a bounded walk over it.
//!
//! kafka-protocol makes room for as many entries as a request claims to have before it looks for the first: a body of
//! twelve bytes ends the process. So nothing is given to it that has not been walked here to its last field.

use std::ops::RangeInclusive;

use bytes::Buf;

/// More entries than this in one request are refused: kafka-protocol takes some hundred bytes for each.
const ENTRIES_MAX: usize = 100_000;

/// A field of a request, and the versions that have it.
pub(super) struct Field(pub(super) RangeInclusive<i16>, pub(super) Kind);

pub(super) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string with a length of two bytes, or a compact one.
    Text,
    /// A byte string with a length of four bytes, or a compact one.
    Bytes,
    /// An array of numbers of so many bytes each.
    Numbers(usize),
    /// An array of strings.
    Texts,
    /// An array of structures.
    Structs(&'static [Field]),
}

/// The request ends early, or claims more than is good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Walked = Result<(), Malformed>;

/// One request's body, walked from its front.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    entries: usize,
}

impl<'a> Walk<'a> {
    /// Begins at the body's first byte.
    pub(super) fn new(body: &'a [u8], version: i16, flexible: bool) -> Self {
        Self { rest: body, version, flexible, entries: 0 }
    }

    /// Walks the fields of one structure, and the tagged fields that close it in a flexible version.
    pub(super) fn structure(&mut self, fields: &[Field]) -> Walked {
        for Field(versions, kind) in fields {
            if versions.contains(&self.version) {
                self.field(kind)?;
            }
        }
        if self.flexible { self.tagged_fields() } else { Ok(()) }
    }

    /// Walks a section of tagged fields.
    pub(super) fn tagged_fields(&mut self) -> Walked {
        for _ in 0..self.uvarint()? {
            let _tag = self.uvarint()?;
            let size = self.uvarint()?;
            self.skip(usize::try_from(size).map_err(|_| Malformed)?)?;
        }
        Ok(())
    }

    /// What has not been walked yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn field(&mut self, kind: &Kind) -> Walked {
        match kind {
            Kind::Fixed(size) => self.skip(*size),
            Kind::Text => self.text(),
            Kind::Bytes => {
                let length = self.length(4)?;
                self.skip(length)
            }
            Kind::Numbers(size) => {
                let count = self.count()?;
                self.skip(count * size)
            }
            Kind::Texts => (0..self.count()?).try_for_each(|_| self.text()),
            Kind::Structs(fields) => (0..self.count()?).try_for_each(|_| self.structure(fields)),
        }
    }

    fn text(&mut self) -> Walked {
        let length = self.length(2)?;
        self.skip(length)
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.length(4)?;
        self.entries = self.entries.saturating_add(count);
        if self.entries > ENTRIES_MAX { Err(Malformed) } else { Ok(count) }
    }

    /// A length or count: compact, or of `width` bytes. Null counts as nothing.
    fn length(&mut self, width: usize) -> Result<usize, Malformed> {
        if self.flexible {
            return usize::try_from(self.uvarint()?.saturating_sub(1)).map_err(|_| Malformed);
        }
        let length = if width == 2 { self.rest.try_get_i16().map(i32::from) } else { self.rest.try_get_i32() };
        match length.map_err(|_| Malformed)? {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| Malformed),
        }
    }

    fn uvarint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| Malformed)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn skip(&mut self, bytes: usize) -> Walked {
        self.rest = self.rest.get(bytes..).ok_or(Malformed)?;
        Ok(())
    }
}
