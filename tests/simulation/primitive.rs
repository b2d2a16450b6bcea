//! The primitive types of Kafka's protocol, plain or flexible.

use crate::wire::TopicKey;

/// A length or size in front of everything.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// Writes the primitive types of the protocol.
#[derive(Debug)]
pub(crate) struct Writer(pub(crate) Vec<u8>, bool);

impl Writer {
    pub(crate) const fn new(flexible: bool) -> Self {
        Self(Vec::new(), flexible)
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn i16(&mut self, number: i16) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(crate) fn i32(&mut self, number: i32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(crate) fn i64(&mut self, number: i64) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    /// How many elements follow.
    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        if self.1 { self.varint(count + 1) } else { self.i32(count as i32) }
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) -> &mut Self {
        match (text, self.1) {
            (None, true) => self.varint(0),
            (None, false) => self.i16(-1),
            (Some(text), true) => self.varint(text.len() + 1).raw(text.as_bytes()),
            (Some(text), false) => self.i16(text.len() as i16).raw(text.as_bytes()),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    pub(crate) fn topic(&mut self, topic: &TopicKey) -> &mut Self {
        match topic {
            TopicKey::Name(name) => self.nullable_string(Some(name)),
            TopicKey::Id(id) => self.raw(&[*id; 16]),
        }
    }

    /// A section with tag 0 alone, or with nothing.
    pub(crate) fn tags(&mut self, value: &[u8]) -> &mut Self {
        match (self.1, value.is_empty()) {
            (false, _) => self,
            (true, true) => self.raw(&[0]),
            (true, false) => self.raw(&[1, 0]).varint(value.len()).raw(value),
        }
    }

    fn varint(&mut self, mut number: usize) -> &mut Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    pub(crate) fn framed(&self) -> Vec<u8> {
        framed(&self.0)
    }
}

/// Reads what a [`Writer`] has written, and panics over anything else.
pub(crate) struct Reader<'a>(&'a [u8], bool);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self(bytes, flexible)
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(count);
        self.0 = rest;
        front
    }

    pub(crate) fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    pub(crate) fn count(&mut self) -> usize {
        if self.1 { self.varint() - 1 } else { self.i32() as usize }
    }

    pub(crate) fn nullable_string(&mut self) -> Option<&'a str> {
        let length = if self.1 { self.varint() as i64 - 1 } else { i64::from(self.i16()) };
        (length >= 0).then(|| std::str::from_utf8(self.take(length as usize)).expect("text"))
    }

    pub(crate) fn i8(&mut self) -> i8 {
        self.take(1)[0].cast_signed()
    }

    /// How many elements follow, none for null.
    pub(crate) fn nullable_count(&mut self) -> usize {
        if self.1 { self.varint().saturating_sub(1) } else { self.i32().max(0) as usize }
    }

    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.count();
        self.take(length)
    }

    pub(crate) fn topic(&mut self, by_id: bool) -> TopicKey {
        if by_id {
            return TopicKey::Id(self.take(16)[0]);
        }
        TopicKey::Name(self.nullable_string().expect("a topic has a name").into())
    }

    /// The value of tag 0, where there is one.
    pub(crate) fn tags(&mut self) -> Option<&'a [u8]> {
        if !self.1 || self.take(1)[0] == 0 {
            return None;
        }
        self.take(1);
        let size = self.varint();
        Some(self.take(size))
    }

    fn varint(&mut self) -> usize {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
        }
        unreachable!("a varint ends")
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
