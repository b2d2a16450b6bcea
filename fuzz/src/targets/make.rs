//! Writes produce requests and responses as the input says, so that hardly a byte of it is spent on lengths.

use super::Bytes;

/// Writes one message of one version.
pub struct Maker<'a, 'b> {
    pub version: i16,
    pub input: &'a mut Bytes<'b>,
    pub out: Vec<u8>,
}

/// What a batch's header may begin as: one record of producer 7, epoch 0, sequence 5, without its crc.
const BATCH: [u8; 61] = {
    let mut batch = [0; 61];
    batch[11] = 49;
    batch[16] = 2;
    batch[50] = 7;
    batch[56] = 5;
    batch[60] = 1;
    batch
};

const TOPICS: [&[u8]; 4] = [b"t", b"", b"topic-\xc3\xa9", b"\xff"];

/// Changes up to four bytes, when the input says so.
pub fn damage(bytes: &mut [u8], input: &mut Bytes<'_>) {
    let places = bytes.len().max(1);
    for _ in 0..input.u8().saturating_sub(0xdf) % 5 {
        let at = usize::from(input.i16().cast_unsigned()) % places;
        let change = input.u8();
        bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= change);
    }
}

impl Maker<'_, '_> {
    /// A request's body: up to 7 topics of up to 7 partitions.
    pub fn request(mut self) -> Vec<u8> {
        if self.version >= 3 {
            self.text();
        }
        let acks = self.input.i16();
        self.out.extend(acks.to_be_bytes());
        self.number();
        let topics = self.input.below(8);
        self.count(topics);
        for _ in 0..topics {
            let topic = self.input.u8();
            self.topic(topic);
            let partitions = self.input.below(8);
            self.count(partitions);
            for _ in 0..partitions {
                self.index();
                self.records();
                self.tags(false);
            }
            self.tags(false);
        }
        self.tags(false);
        self.out
    }

    /// A response without its length, of its own partitions.
    pub fn response(mut self) -> Vec<u8> {
        let correlation_id = self.input.i32();
        self.header(correlation_id);
        let topics = self.input.below(8);
        self.count(topics);
        for _ in 0..topics {
            let topic = self.input.u8();
            self.topic(topic);
            let partitions = self.input.below(8);
            self.count(partitions);
            for _ in 0..partitions {
                self.index();
                let error = i16::from(self.input.u8() % 101);
                self.said(error, None);
            }
            self.tags(false);
        }
        self.end();
        self.out
    }

    /// What a broker knows of the producers of one partition: id, epoch, last sequence and last timestamp of each.
    pub fn producers(
        &mut self,
        correlation_id: i32,
        name: &[u8],
        (partition, error): (i32, i16),
        producers: &[(i64, i32, i32, i64)],
    ) {
        self.header(correlation_id);
        self.out.extend([0; 4]);
        self.count(1);
        self.put_text(name);
        self.count(1);
        self.out.extend(partition.to_be_bytes());
        self.out.extend(error.to_be_bytes());
        self.text();
        self.count(producers.len());
        for (id, epoch, last_sequence, last_timestamp) in producers {
            self.out.extend(id.to_be_bytes());
            self.out.extend(epoch.to_be_bytes());
            self.out.extend(last_sequence.to_be_bytes());
            self.out.extend(last_timestamp.to_be_bytes());
            self.out.extend([0xff; 12]);
            self.tags(false);
        }
        (0..3).for_each(|_| self.tags(false));
    }

    /// Which requests a broker understands: key, lowest and highest version of each.
    pub fn versions(&mut self, correlation_id: i32, error: i16, apis: &[[i16; 3]]) {
        self.out.extend(correlation_id.to_be_bytes());
        self.out.extend(error.to_be_bytes());
        self.count(apis.len());
        self.out.extend(apis.iter().flatten().flat_map(|number| number.to_be_bytes()));
    }

    pub fn header(&mut self, correlation_id: i32) {
        self.out.extend(correlation_id.to_be_bytes());
        self.tags(false);
    }

    /// A response's partition behind its index.
    pub fn said(&mut self, error: i16, base_offset: Option<i64>) {
        self.out.extend(error.to_be_bytes());
        let base_offset = base_offset.unwrap_or_else(|| self.input.i32().into());
        self.out.extend(base_offset.to_be_bytes());
        for since in [2, 5] {
            if self.version >= since {
                let number = i64::from(self.input.u8()) - 1;
                self.out.extend(number.to_be_bytes());
            }
        }
        if self.version >= 8 {
            let errors = self.input.below(3);
            self.count(errors);
            for _ in 0..errors {
                self.number();
                self.text();
                self.tags(false);
            }
            self.text();
        }
        self.tags(true);
    }

    /// What follows a response's topics.
    pub fn end(&mut self) {
        if self.version >= 1 {
            self.number();
        }
        if !self.is_flexible() {
            return;
        }
        if self.version < 10 || self.input.u8().is_multiple_of(2) {
            return self.tags(false);
        }
        // Where the brokers are.
        let mut inside = Maker { version: self.version, input: &mut *self.input, out: Vec::new() };
        inside.count(1);
        inside.number();
        inside.uvarint(5);
        inside.out.extend(b"host");
        inside.number();
        inside.text();
        inside.tags(false);
        let value = inside.out;
        self.out.push(1);
        self.tag(0, &value);
    }

    pub fn count(&mut self, count: usize) {
        if self.is_flexible() {
            self.uvarint(count as u32 + 1);
        } else {
            self.out.extend((count as i32).to_be_bytes());
        }
    }

    /// A few names, or ids, that come again and again.
    pub fn topic(&mut self, which: u8) {
        if self.version >= 13 {
            self.out.extend([which % 4; 16]);
        } else {
            let name = TOPICS[usize::from(which % 4)];
            self.put_text(name);
        }
    }

    pub fn put_text(&mut self, text: &[u8]) {
        if self.is_flexible() {
            self.uvarint(text.len() as u32 + 1);
        } else {
            self.out.extend((text.len() as i16).to_be_bytes());
        }
        self.out.extend(text);
    }

    /// Tagged fields, most often none; `known`: a leader may be among them.
    pub fn tags(&mut self, known: bool) {
        if !self.is_flexible() {
            return;
        }
        let count = self.input.u8().saturating_sub(0xf8) % 4;
        self.out.push(count);
        for n in 0..count {
            if known && n == 0 && self.version >= 10 {
                let mut leader = [0; 9];
                leader[3] = self.input.u8();
                self.tag(0, &leader);
            } else {
                let (tag, size) = (u32::from(self.input.u8()) + 1, usize::from(self.input.u8() % 8));
                self.tag(tag, &[0x5a; 8][..size]);
            }
        }
    }

    pub fn is_flexible(&self) -> bool {
        self.version >= 9
    }

    fn tag(&mut self, tag: u32, value: &[u8]) {
        self.uvarint(tag);
        self.uvarint(value.len() as u32);
        self.out.extend(value);
    }

    fn number(&mut self) {
        let number = i32::from(self.input.u8()) - 1;
        self.out.extend(number.to_be_bytes());
    }

    fn index(&mut self) {
        let index = i32::from(self.input.u8() % 16);
        self.out.extend(index.to_be_bytes());
    }

    /// Null, or a short text, or the longest that there may be, or, where its length can be written, one more.
    fn text(&mut self) {
        let length = match self.input.u8() {
            0xff => Some(0x7fff),
            0xfe if self.is_flexible() => Some(0x8000),
            length @ 0x80.. => Some(usize::from(length % 16)),
            _ => None,
        };
        match length {
            Some(length) => self.put_text(&vec![b'x'; length]),
            None => self.out.extend(if self.is_flexible() { &[0][..] } else { &[0xff, 0xff] }),
        }
    }

    /// Null, empty, cut inside a header, one batch as it should be or with a byte changed, or more than one.
    fn records(&mut self) {
        let mut batch = BATCH;
        let (kind, at) = (self.input.u8(), self.input.u8());
        if kind & 0x80 != 0 {
            batch[usize::from(at) % 61] ^= self.input.u8();
        }
        let more = usize::from(at) * usize::from(kind & 8 != 0);
        let size = match kind % 8 {
            0 => None,
            1 => Some(0),
            2 => Some(usize::from(at) % 61),
            3 => Some(61 + more),
            _ => Some(61),
        };
        let bytes = batch.into_iter().chain(std::iter::repeat(0xb0));
        self.put_bytes(size.map(|size| bytes.take(size).collect::<Vec<_>>()).as_deref());
    }

    pub fn put_bytes(&mut self, bytes: Option<&[u8]>) {
        if self.is_flexible() {
            self.uvarint(bytes.map_or(0, |bytes| bytes.len() as u32 + 1));
        } else {
            self.out.extend(bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        }
        self.out.extend(bytes.unwrap_or_default());
    }

    fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
