//! Bytes that an independent decoder may be given before anybody has looked at them.

use bytes::{Buf, Bytes as Shared, TryGetError};
use kafka_protocol::protocol::buf::ByteBuf;

/// Bytes that do not give out a number that could be a count of more than there are bytes, nor a varint of more than
/// 14 bits: the decoder makes room for as many entries as it is told.
pub struct Guarded {
    rest: Shared,
    /// How many bytes of a varint came last.
    varint: u8,
}

impl Guarded {
    pub fn new(bytes: &[u8]) -> Self {
        Self { rest: Shared::copy_from_slice(bytes), varint: 0 }
    }

    fn refuse<T>(&self) -> Result<T, TryGetError> {
        Err(TryGetError { requested: usize::MAX, available: self.rest.len() })
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.varint = 0;
        self.rest.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.rest.try_get_u8()?;
        self.varint = if byte < 0x80 { 0 } else { self.varint + 1 };
        if self.varint > 1 { self.refuse() } else { Ok(byte) }
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let number = self.rest.try_get_i32()?;
        self.varint = 0;
        let is_large = usize::try_from(number).is_ok_and(|number| number > self.rest.len());
        if is_large { self.refuse() } else { Ok(number) }
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Shared {
        self.rest.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Shared {
        self.varint = 0;
        self.rest.split_to(size)
    }
}
