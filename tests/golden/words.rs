//! What the words of a command mean.

use crate::frames::{self, BatchSpec, Entry, Request, Said};

/// `key=value`, or a word alone.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")))
}

pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text} is not a number here"))
}

/// A produce request, and in pieces of how many bytes it is to be streamed, if it is.
pub(crate) fn request(text: &str, correlation_id: i32) -> Result<(Request, Option<usize>), String> {
    let mut request = Request { version: 9, correlation_id, acks: -1, transactional_id: None, entries: Vec::new() };
    let mut pieces = None;
    let mut part = Part::default();
    let mut empty = false;
    for text in text.split('|') {
        for (key, value) in pairs(text) {
            match key {
                "v" => request.version = number(value)?,
                "acks" => request.acks = number(value)?,
                "correlation" => request.correlation_id = number(value)?,
                "transactional_id" => request.transactional_id = Some(value.into()),
                "stream" => pieces = Some(number(value)?),
                "no_topics" => empty = true,
                _ => part.take(key, value)?,
            }
        }
        if !empty {
            request.entries.push(part.entry()?);
        }
    }
    Ok((request, pieces))
}

/// One partition's part; what is not said is as in the part before.
struct Part {
    topic: String,
    id: u8,
    partition: i32,
    batch: BatchSpec,
    records: String,
}

impl Default for Part {
    fn default() -> Self {
        let batch = BatchSpec {
            producer_id: 7,
            epoch: 0,
            base: 0,
            count: 1,
            transactional: false,
            control: false,
            content: "a".into(),
        };
        Self { topic: "t".into(), id: 1, partition: 0, batch, records: "one".into() }
    }
}

impl Part {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "topic" => self.topic = value.into(),
            "id" => self.id = number(value)?,
            "partition" => self.partition = number(value)?,
            "pid" => self.batch.producer_id = number(value)?,
            "epoch" => self.batch.epoch = number(value)?,
            "seq" => (self.batch.base, self.batch.count) = range(value)?,
            "count" => self.batch.count = number(value)?,
            "content" => self.batch.content = value.into(),
            "transactional" => self.batch.transactional = true,
            "control" => self.batch.control = true,
            "records" => self.records = value.into(),
            _ => return Err(format!("{key} is not understood")),
        }
        Ok(())
    }

    fn entry(&self) -> Result<Entry, String> {
        let batch = frames::batch(&self.batch);
        let records = match self.records.as_str() {
            "one" => Some(batch),
            "null" => None,
            "empty" => Some(Vec::new()),
            "cut" => Some(batch[..40].to_vec()),
            "two" => Some([&batch[..], &batch].concat()),
            "trailing" => Some([&batch[..], b"12345"].concat()),
            other => return Err(format!("records={other} is not understood")),
        };
        Ok(Entry { topic: self.topic.clone(), id: self.id, partition: self.partition, records })
    }
}

/// `5`, or `0..4`; a last below the first is beyond the wrap.
fn range(text: &str) -> Result<(i32, i32), String> {
    let Some((first, last)) = text.split_once("..") else { return Ok((number(text)?, 1)) };
    let (first, last): (i32, i32) = (number(first)?, number(last)?);
    Ok((first, (last.wrapping_sub(first) & i32::MAX) + 1))
}

/// A broker's answer to a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) said: Vec<Said>,
    pub(crate) throttle: i32,
    pub(crate) endpoints: bool,
    pub(crate) garbage: bool,
    pub(crate) correlation_id: Option<i32>,
}

/// One word per entry of the request, in its order (`ok@100`, `19`, `7@42`, `-` for none), or `t-0=ok@100`.
pub(crate) fn answer(text: &str, entries: &[Entry]) -> Result<Answer, String> {
    let mut answer = Answer::default();
    let mut place = 0;
    for word in text.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("throttle", value) => answer.throttle = number(value)?,
            ("correlation", value) => answer.correlation_id = Some(number(value)?),
            ("endpoints", _) => answer.endpoints = true,
            ("garbage", _) => answer.garbage = true,
            ("-", _) => place += 1,
            (label, what) if label.contains('-') && !what.is_empty() && !label.contains('/') => {
                answer.said.push(said(what, &named(label)?)?);
            }
            _ => {
                let entry = entries.get(place).ok_or("more answers than entries")?;
                answer.said.push(said(word, entry)?);
                place += 1;
            }
        }
    }
    if place != entries.len() && !answer.garbage && place > 0 {
        return Err(format!("{place} answers for {} entries", entries.len()));
    }
    Ok(answer)
}

/// The partition that `t-0` or `#1-0` names.
fn named(label: &str) -> Result<Entry, String> {
    let (topic, partition) = label.rsplit_once('-').ok_or("a topic and a partition")?;
    let id = topic.strip_prefix('#').map_or(Ok(1), number)?;
    Ok(Entry { topic: topic.into(), id, partition: number(partition)?, records: None })
}

fn said(text: &str, entry: &Entry) -> Result<Said, String> {
    let mut words = text.split('/');
    let (code, offset) = words.next().and_then(|head| head.split_once('@')).unwrap_or((text, "-1"));
    let code = code.split('/').next().unwrap_or_default();
    let mut said = Said {
        topic: entry.topic.clone(),
        id: entry.id,
        partition: entry.partition,
        error: if code == "ok" { 0 } else { number(code)? },
        base_offset: number(offset)?,
        append_time: -1,
        log_start: if code == "ok" { 0 } else { -1 },
    };
    for word in words {
        match word.split_once('=') {
            Some(("start", value)) => said.log_start = number(value)?,
            Some(("time", value)) => said.append_time = number(value)?,
            _ => return Err(format!("{word} is not understood")),
        }
    }
    Ok(said)
}
