//! Produce frames as clients and brokers write them: an encoder and decoder of the model's own, beside those of seqgate.

use std::rc::Rc;

use crate::primitive::{Reader, Writer};
use crate::proxy::Asked;

/// A topic as a request names it: up to Produce v12 by name, from v13 on by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(Rc<str>),
    Id(u8),
}

/// A produce request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) acks: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) transactional_id: Option<Rc<str>>,
    /// Topic, partition and the batch's bytes, those of one topic side by side.
    pub(crate) entries: Vec<(TopicKey, i32, Vec<u8>)>,
}

/// What a broker says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) base_offset: i64,
    pub(crate) append_time: i64,
    pub(crate) log_start: i64,
    /// The leader of which a broker tells that is none (KIP-951).
    pub(crate) leader: Option<i32>,
}

/// A produce response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) correlation_id: i32,
    pub(crate) said: Vec<Said>,
    pub(crate) throttle_ms: i32,
    /// Brokers that the response tells the addresses of.
    pub(crate) endpoints: Vec<i32>,
}

/// From here on lengths are varints of one more, and every struct ends with tagged fields.
pub(crate) const FLEXIBLE: i16 = 9;
const BY_ID: i16 = 13;

impl Request {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut out = Writer::new(self.version >= FLEXIBLE);
        out.i16(0).i16(self.version).i32(self.correlation_id).i16(1).raw(b"c");
        out.tags(&[]).nullable_string(self.transactional_id.as_deref()).i16(self.acks).i32(self.timeout_ms);
        let mut topics: Vec<&[(TopicKey, i32, Vec<u8>)]> = Vec::new();
        topics.extend(self.entries.chunk_by(|a, b| a.0 == b.0));
        out.count(topics.len());
        for entries in topics {
            out.topic(&entries[0].0).count(entries.len());
            for (_, partition, records) in entries {
                out.i32(*partition).bytes(records).tags(&[]);
            }
            out.tags(&[]);
        }
        out.tags(&[]);
        out.framed()
    }

    pub(crate) fn read(frame: &[u8]) -> Self {
        let version = i16::from_be_bytes([frame[6], frame[7]]);
        let mut input = Reader::new(&frame[8..], version >= FLEXIBLE);
        let correlation_id = input.i32();
        let client_id = input.i16();
        input.take(client_id as usize);
        input.tags();
        let transactional_id = input.nullable_string().map(Rc::from);
        let (acks, timeout_ms) = (input.i16(), input.i32());
        let mut entries = Vec::new();
        for _ in 0..input.count() {
            let topic = input.topic(version >= BY_ID);
            for _ in 0..input.count() {
                let partition = input.i32();
                entries.push((topic.clone(), partition, input.bytes().to_vec()));
                input.tags();
            }
            input.tags();
        }
        input.tags();
        assert!(input.is_empty(), "bytes are left over in a request");
        Self { version, correlation_id, acks, timeout_ms, transactional_id, entries }
    }
}

impl Response {
    pub(crate) fn frame(&self, version: i16) -> Vec<u8> {
        let mut out = Writer::new(version >= FLEXIBLE);
        out.i32(self.correlation_id).tags(&[]);
        let mut topics: Vec<(&TopicKey, Vec<&Said>)> = Vec::new();
        for said in &self.said {
            match topics.iter_mut().find(|(topic, _)| *topic == &said.topic) {
                Some((_, entries)) => entries.push(said),
                None => topics.push((&said.topic, vec![said])),
            }
        }
        out.count(topics.len());
        for (topic, entries) in topics {
            out.topic(topic).count(entries.len());
            entries.into_iter().for_each(|said| said.write(version, &mut out));
            out.tags(&[]);
        }
        out.i32(self.throttle_ms);
        out.tags(&if self.endpoints.is_empty() || version < 10 { Vec::new() } else { endpoints(&self.endpoints) });
        out.framed()
    }

    pub(crate) fn read(version: i16, frame: &[u8]) -> Self {
        assert_eq!(frame.len() - 4, u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize);
        let mut input = Reader::new(&frame[4..], version >= FLEXIBLE);
        let correlation_id = input.i32();
        input.tags();
        let mut said = Vec::new();
        let mut topics = Vec::new();
        for _ in 0..input.count() {
            let topic = input.topic(version >= BY_ID);
            assert!(!topics.contains(&topic), "topic {topic:?} stands twice in an answer");
            for _ in 0..input.count() {
                said.push(Said::read(version, &topic, &mut input));
            }
            input.tags();
            topics.push(topic);
        }
        let throttle_ms = input.i32();
        let endpoints = read_endpoints(input.tags());
        assert!(input.is_empty(), "bytes are left over in an answer");
        Self { correlation_id, said, throttle_ms, endpoints }
    }
}

impl Response {
    /// What is said of a batch.
    pub(crate) fn said_of(&self, asked: &Asked) -> Option<&Said> {
        self.said.iter().find(|said| asked.is_in(said))
    }
}

impl Said {
    fn write(&self, version: i16, out: &mut Writer) {
        out.i32(self.partition).i16(self.error).i64(self.base_offset).i64(self.append_time);
        if version >= 5 {
            out.i64(self.log_start);
        }
        if version >= 8 {
            out.count(0).nullable_string(None);
        }
        let leader = self.leader.filter(|_| version >= 10);
        out.tags(&leader.map_or(Vec::new(), |id| [&id.to_be_bytes()[..], &7_i32.to_be_bytes(), &[0]].concat()));
    }

    fn read(version: i16, topic: &TopicKey, input: &mut Reader<'_>) -> Self {
        let (partition, error, base_offset, append_time) = (input.i32(), input.i16(), input.i64(), input.i64());
        let log_start = if version >= 5 { input.i64() } else { -1 };
        if version >= 8 {
            assert_eq!((input.count(), input.nullable_string()), (0, None), "the model tells nothing of records");
        }
        let leader = input.tags().map(|tag| i32::from_be_bytes(tag[..4].try_into().expect("four bytes")));
        Self { topic: topic.clone(), partition, error, base_offset, append_time, log_start, leader }
    }
}

/// Tag 0 of a response: node ids with a host, a port and no rack.
fn endpoints(nodes: &[i32]) -> Vec<u8> {
    let mut out = Writer::new(true);
    out.count(nodes.len());
    for node in nodes {
        out.i32(*node).count(1).raw(b"h").i32(9).nullable_string(None).tags(&[]);
    }
    out.0
}

fn read_endpoints(tag: Option<&[u8]>) -> Vec<i32> {
    let Some(tag) = tag else { return Vec::new() };
    let mut input = Reader::new(tag, true);
    let count = input.count();
    let read = |_| {
        let node = input.i32();
        let host = input.count();
        input.take(host);
        input.i32();
        input.nullable_string();
        input.tags();
        node
    };
    (0..count).map(read).collect()
}
