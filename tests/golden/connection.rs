//! One client's connection, as a relay keeps it: a queue of answers to come, in the order of the requests.

use std::collections::VecDeque;

use seqgate_protocol::event::{BatchEvent, Event};
use seqgate_protocol::sequencing::{Millis, TopicRef};
use seqgate_protocol::session::{Admission, Local, Pending, Present, Session, Settled};

use crate::frames::{self, Entry, Request};
use crate::memory::Handle;
use crate::words;

/// An answer that the client waits for.
#[derive(Debug)]
enum Slot {
    /// A produce request that went to the broker.
    Produce { pending: Pending, version: i16, correlation_id: i32, sent: Vec<Entry> },
    /// An answer made here, and the version of its layout.
    Local(Local, i16),
    /// Any other request.
    Other(String),
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session<Handle>,
    pub(crate) broker: u32,
    slots: VecDeque<Slot>,
    held: Option<Request>,
    client_gone: bool,
    correlation_id: i32,
}

impl Connection {
    pub(crate) fn new(session: Session<Handle>, broker: u32) -> Self {
        Self { session, broker, slots: VecDeque::new(), held: None, client_gone: false, correlation_id: 0 }
    }

    /// The client asks for something else than to produce.
    pub(crate) fn ask(&mut self, kind: &str) {
        if matches!(kind, "handshake" | "authenticate") {
            self.session.auth_mut().exchange_begins();
        }
        self.slots.push_back(Slot::Other(kind.into()));
    }

    /// The client sends a produce request of a version that nobody knows, or one that ends too early.
    pub(crate) fn ask_unreadable(
        &mut self,
        why: &str,
        present: &Present,
        lines: &mut Vec<String>,
    ) -> Result<(), String> {
        let version = match why {
            "version" => 99,
            "undecodable" => 9,
            other => return Err(format!("unread {other} is not understood")),
        };
        let frame = frames::framed(&[0, 0, 0, version, 0, 0, 0, 1, 0xff, 0xff, 0, 2, 3]);
        let admission = self.session.admit(&frame, false, present, &mut |event| lines.push(event_text(&event)));
        assert!(matches!(admission, Admission::Unread));
        lines.push("upstream: identical".into());
        self.slots.push_back(Slot::Other("whatever".into()));
        Ok(())
    }

    /// The client sends a produce request.
    pub(crate) fn produce(&mut self, words: &str, present: &Present, lines: &mut Vec<String>) -> Result<(), String> {
        if self.client_gone || self.held.is_some() {
            return Err("nothing is read from this client".into());
        }
        self.correlation_id += 1;
        let (request, pieces) = words::request(words, self.correlation_id)?;
        match pieces {
            Some(pieces) => self.stream(&request, pieces, present, lines),
            None => self.admit(request, false, present, lines),
        }
        Ok(())
    }

    /// A request that was held is looked at again.
    pub(crate) fn ask_again(&mut self, present: &Present, lines: &mut Vec<String>) {
        if let Some(request) = self.held.take() {
            self.admit(request, true, present, lines);
        }
    }

    fn admit(&mut self, request: Request, held: bool, present: &Present, lines: &mut Vec<String>) {
        let frame = frames::request(&request);
        let admission = self.session.admit(&frame, held, present, &mut |event| lines.push(event_text(&event)));
        match admission {
            Admission::Forward(pending) => {
                lines.push("upstream: identical".into());
                if let Some(pending) = pending {
                    assert_eq!(pending.correlation_id(), request.correlation_id);
                    self.expect_answer(pending, &request, request.entries.clone());
                }
            }
            Admission::Unread | Admission::Stream(_) | Admission::Look(_) => {
                unreachable!("an independent encoder wrote it")
            }
            Admission::Strip { frame, pending } => {
                let sent = stripped(&request, &frame);
                let labels: Vec<String> = sent.iter().map(|entry| entry.label(request.version)).collect();
                lines.push(format!("upstream: only {}", labels.join(" ")));
                self.expect_answer(pending, &request, sent);
            }
            Admission::Answer(local) => {
                lines.push(
                    if self.slots.is_empty() { "upstream: nothing" } else { "upstream: nothing, answer waits" }.into(),
                );
                self.slots.push_back(Slot::Local(local, request.version));
                self.release(present.now, lines);
            }
            Admission::Hold => {
                if !held {
                    lines.push("upstream: held back".into());
                }
                self.held = Some(request);
            }
            Admission::Reset => {
                lines.push("upstream: nothing".into());
                self.reset(lines);
            }
        }
    }

    fn stream(&mut self, request: &Request, pieces: usize, present: &Present, lines: &mut Vec<String>) {
        let frame = frames::request(request);
        let size = u32::try_from(frame.len() - 4).unwrap();
        let mut report = |event: Event<'_>| lines.push(event_text(&event));
        let begun = self.session.begin_stream(&frame[..frame.len().min(64)], size, &mut report);
        let mut streamed = begun.expect("the front has the header");
        for piece in frame.chunks(pieces) {
            if !self.session.stream(&mut streamed, piece, present, &mut report) {
                self.session.cut_stream(streamed, present);
                lines.push("upstream: cut off".into());
                return self.reset(lines);
            }
        }
        if let Some(pending) = self.session.end_stream(streamed, present) {
            self.expect_answer(pending, request, request.entries.clone());
        }
        lines.push("upstream: identical, streamed".into());
    }

    fn expect_answer(&mut self, pending: Pending, request: &Request, sent: Vec<Entry>) {
        let (version, correlation_id) = (request.version, request.correlation_id);
        self.slots.push_back(Slot::Produce { pending, version, correlation_id, sent });
    }

    /// The broker answers the oldest request that it has.
    pub(crate) fn answer(
        &mut self,
        words: &str,
        present: &Present,
        lines: &mut Vec<String>,
    ) -> Result<Option<(String, String)>, String> {
        match self.slots.pop_front() {
            Some(Slot::Produce { pending, version, correlation_id, sent }) => {
                let answer = words::answer(words, &sent)?;
                let id = answer.correlation_id.unwrap_or(correlation_id);
                let mut frame = frames::response(version, id, &answer.said, answer.throttle, answer.endpoints);
                if answer.garbage {
                    frame = frames::framed(&[&id.to_be_bytes()[..], b"garbage"].concat());
                }
                self.settle(pending, version, &frame, present, lines);
                self.release(present.now, lines);
                Ok(None)
            }
            Some(Slot::Other(kind)) => {
                let rest = words.strip_prefix(kind.as_str()).ok_or_else(|| format!("the answer to {kind} is due"))?;
                Ok(Some((kind, rest.trim().into())))
            }
            Some(Slot::Local(..)) => Err("an answer made here was left waiting".into()),
            None => Err("no request waits for an answer".into()),
        }
    }

    fn settle(&mut self, pending: Pending, version: i16, frame: &[u8], present: &Present, lines: &mut Vec<String>) {
        let settled = self.session.settle(pending, frame, present.now, &mut |event| lines.push(event_text(&event)));
        match settled {
            _ if self.client_gone => lines.push("client: gone".into()),
            Settled::Unchanged => lines.push("client: identical".into()),
            Settled::Merged(merged) => lines.push(format!("client: {}", read(version, &merged))),
            Settled::Reset(_) => self.reset(lines),
            Settled::Look(..) => unreachable!("it may not look"),
        }
    }

    /// Answers made here leave as soon as nothing is ahead of them.
    pub(crate) fn release(&mut self, now: Millis, lines: &mut Vec<String>) {
        while let Some(Slot::Local(..)) = self.slots.front() {
            let Some(Slot::Local(local, version)) = self.slots.pop_front() else { return };
            if self.client_gone {
                continue;
            }
            if self.session.still_holds(&local, now) {
                lines.push(format!("client: {}", read(version, local.frame())));
            } else {
                self.reset(lines);
            }
        }
    }

    fn reset(&mut self, lines: &mut Vec<String>) {
        if !self.client_gone {
            lines.push("client: reset".into());
        }
        self.close();
    }

    /// The client is gone; what went to the broker is still answered.
    pub(crate) fn close(&mut self) {
        self.client_gone = true;
        self.held = None;
        self.slots.retain(|slot| !matches!(slot, Slot::Local(..)));
    }

    /// The broker is gone, and the client with it.
    pub(crate) fn lose(&mut self, now: Millis) {
        self.close();
        for slot in std::mem::take(&mut self.slots) {
            if let Slot::Produce { pending, .. } = slot {
                self.session.abandon(pending, now);
            }
        }
    }
}

/// The entries that are left in a request, which must be as they came.
fn stripped(request: &Request, frame: &[u8]) -> Vec<Entry> {
    let left = frames::read_request(request.version, frame);
    let is_left = |entry: &&Entry| {
        left.iter().any(|(topic, partition, records)| {
            format!("{topic}-{partition}") == entry.label(request.version) && *records == entry.records
        })
    };
    let sent: Vec<Entry> = request.entries.iter().filter(is_left).cloned().collect();
    assert_eq!(sent.len(), left.len(), "what is left was not in the request");
    sent
}

fn read(version: i16, frame: &[u8]) -> String {
    let (_, rest, lines) = frames::read_response(version, frame);
    lines.join(" ") + &rest
}

/// One line per event.
pub(crate) fn event_text(event: &Event<'_>) -> String {
    match event {
        Event::Batch(batch) => batch_text(batch),
        Event::Held { topic, partition, waits_for, .. } => {
            format!("{}-{partition}: waits ({})", topic_text(*topic), waits_for.name())
        }
        Event::LookedUp(_) => unreachable!("whoever looks tells of it"),
        Event::GapConfirmed { topic, partition, expected, .. } => {
            format!("{}-{partition}: gap confirmed, expected {}", topic_text(*topic), expected.get())
        }
        Event::Resolved { topic, partition, base_offset, .. } => {
            format!("{}-{partition}: stands in the log at {base_offset}", topic_text(*topic))
        }
        Event::ProofsEnded { topic, partition, evidence } => {
            format!("{}-{partition}: proofs ended by {evidence:?}", topic_text(*topic))
        }
        Event::ProducerNew { producer_id, epoch } => format!("producer {}/{} is new", producer_id.get(), epoch.get()),
        Event::TopicRecreated { name, .. } => format!("topic {} is another one", String::from_utf8_lossy(name)),
        Event::Unread(why) => format!("unread: {}", why.name()),
        Event::ResponseUndecodable => "answer cannot be read".into(),
    }
}

fn batch_text(batch: &BatchEvent<'_>) -> String {
    let expected = batch.expected.map_or(String::new(), |expected| format!(", expected {}", expected.get()));
    let counted = if batch.new_gap { ", counted" } else { "" };
    format!(
        "{}-{}: {} {} {}{expected}{counted}",
        topic_text(batch.topic),
        batch.partition,
        batch.verdict.name(),
        batch.rule.name(),
        batch.action.name()
    )
}

fn topic_text(topic: TopicRef<'_>) -> String {
    match topic {
        TopicRef::Name(name) => String::from_utf8_lossy(name).into_owned(),
        TopicRef::Id(id) => format!("#{}", id.0[0]),
    }
}
