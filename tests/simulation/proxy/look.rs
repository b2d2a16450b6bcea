//! Requests of the proxy's own, to look into the log: as the relay's uplink sends them between the client's.

use std::collections::VecDeque;

use seqgate_protocol::sequencing::{Millis, TopicRef};
use seqgate_protocol::session::{LookUp, LookUpOutcome, Mode};

use super::{Api, Asked, Frame, Slot};
use crate::cluster::read_shown;
use crate::wire::{Request, TopicKey};
use crate::world::World;

/// A look into the log of one partition, and what the witness has to know of it.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) up: LookUp,
    /// Which of the proxy's ledgers it is for.
    pub(crate) ledger: usize,
    /// When it began, in steps: what is evidence after that ends it.
    pub(crate) since: u64,
    /// One number for all that it shows.
    pub(crate) number: u64,
}

/// Whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The request at the front.
    Request,
    /// The answer that was kept back under this number.
    Answer(u64),
}

/// What an uplink looks up, one look after the other.
#[derive(Debug)]
pub(crate) struct Looking {
    pub(crate) whose: Whose,
    /// The request of our own whose answer is waited for.
    correlation_id: i32,
    left: VecDeque<Look>,
    looked: Vec<LookUp>,
}

/// A request of our own at the broker.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) correlation_id: i32,
    version: i16,
    look: Look,
}

/// What a connection has of looks.
#[derive(Debug)]
pub(crate) struct Looks {
    /// A request of our own is at the broker.
    pub(crate) is_at_broker: bool,
    next_correlation_id: i32,
    pub(crate) looking: Option<Looking>,
    /// What the downlink wants to be looked up.
    pub(crate) wish: Option<(u64, Vec<Look>)>,
}

impl Default for Looks {
    fn default() -> Self {
        // Where clients have no numbers.
        Self { is_at_broker: false, next_correlation_id: i32::MIN, looking: None, wish: None }
    }
}

impl World {
    /// Whether a request of our own may go.
    pub(super) fn may_look(&self, at: usize) -> bool {
        self.setup.looks && !self.connections[at].looks.is_at_broker
    }

    /// What the witness has to know of looks that begin now.
    pub(super) fn note_looks(&mut self, at: usize, ups: Vec<LookUp>) -> Vec<Look> {
        let (ledger, since) = (self.connections[at].ledger, self.step);
        let first = self.tally.looks;
        self.tally.looks += ups.len() as u64;
        (first..).zip(ups).map(|(number, up)| Look { up, ledger, since, number }).collect()
    }

    /// The request at the front has to wait until these logs were looked into.
    pub(super) fn look_for_request(&mut self, at: usize, ups: Vec<LookUp>, request: &Request, asked: &[Asked]) {
        let place = |up: &LookUp| (key_of(up.topic()), up.partition());
        let is_for = |up: &&LookUp, asked: &Asked| place(up) == (asked.topic.clone(), asked.index);
        let may = |asked: &Asked| asked.batch.is_idempotent() && !asked.batch.transactional && !asked.opaque;
        if self.policy(at).mode != Mode::Dedupe
            || request.acks == 0
            || ups.iter().any(|up| !asked.iter().any(|asked| is_for(&up, asked) && may(asked)))
        {
            self.fail(format!("the log is looked into for {request:?}"));
        }
        let looks = self.note_looks(at, ups);
        self.look_into(at, Whose::Request, looks);
    }

    /// The downlink's wish is granted between two requests.
    pub(super) fn grant_wish(&mut self, at: usize) {
        if let Some((number, looks)) = self.connections[at].looks.wish.take() {
            self.look_into(at, Whose::Answer(number), looks);
        }
    }

    fn look_into(&mut self, at: usize, whose: Whose, looks: Vec<Look>) {
        let looking = Looking { whose, correlation_id: 0, left: looks.into(), looked: Vec::new() };
        self.connections[at].looks.looking = Some(looking);
        self.ask_for_more(at);
    }

    /// The next request of the present look, or of the next one.
    fn ask_for_more(&mut self, at: usize) {
        let may_look = self.may_look(at);
        let Looks { next_correlation_id, looking, is_at_broker, .. } = &mut self.connections[at].looks;
        let Some(looking) = looking.as_mut() else { return };
        while let Some(mut look) = looking.left.pop_front().filter(|_| may_look) {
            let correlation_id = *next_correlation_id;
            let Some(bytes) = look.up.request(correlation_id) else {
                looking.looked.push(look.up);
                continue;
            };
            *next_correlation_id += 1;
            *is_at_broker = true;
            looking.correlation_id = correlation_id;
            let version = i16::from_be_bytes([bytes[6], bytes[7]]);
            self.tell(|| format!("#    c{at} looks into the log for {:?}", look.up.topic()));
            let frame = Frame { api: Api::Own, correlation_id, bytes, silent: false };
            self.connections[at].slots.push_back(Slot::Own(Box::new(Own { correlation_id, version, look })));
            self.connections[at].to_broker.push_back(frame);
            return;
        }
        self.end_look(at);
    }

    /// All is looked up, or given up.
    fn end_look(&mut self, at: usize) {
        let Some(Looking { whose, looked, .. }) = self.connections[at].looks.looking.take() else { return };
        self.tell(|| {
            let outcomes: Vec<_> = looked.iter().map(|up| up.outcome().map(LookUpOutcome::name)).collect();
            format!("#    c{at} has looked: {outcomes:?}")
        });
        match whose {
            Whose::Request => {
                let session = self.connections[at].session.as_mut().expect("there is a proxy");
                session.looked(looked);
                self.admit_looked(at);
                self.release(at);
            }
            Whose::Answer(number) => self.answer_is_looked_up(at, number, looked),
        }
    }

    /// Looking takes too long: everything goes on as without.
    pub(crate) fn look_is_late(&mut self, at: usize) {
        self.tell(|| format!("# c{at} has waited too long for the log"));
        self.end_look(at);
    }

    /// The answer to a request of our own: nobody but the look hears it.
    pub(super) fn own_is_answered(&mut self, at: usize, own: Own, frame: &Frame) {
        let Own { correlation_id, version, mut look } = own;
        self.connections[at].looks.is_at_broker = false;
        let piece = 1 + self.step as usize % 67;
        frame.bytes[4..].chunks(piece).for_each(|bytes| look.up.feed(bytes));
        let session = self.connections[at].session.as_ref().expect("there is a proxy");
        session.end_answer(&mut look.up, Millis(self.now_ms));
        self.hear_log(at, &look, version, frame);
        let is_it = |looking: &&mut Looking| looking.correlation_id == correlation_id;
        if let Some(looking) = self.connections[at].looks.looking.as_mut().filter(is_it) {
            looking.left.push_front(look);
            self.ask_for_more(at);
        }
    }

    /// The witness reads the answer by itself.
    fn hear_log(&mut self, at: usize, look: &Look, version: i16, frame: &Frame) {
        if frame.api != Api::Log {
            return;
        }
        let shown = read_shown(version, &frame.bytes);
        let topic = key_of(look.up.topic());
        let partition = self.number_of(&topic, look.up.partition());
        let (step, now_ms, keeping) = (self.step, self.now_ms, self.setup.make.keeping);
        self.tell(|| {
            let batches: Vec<_> = shown.batches.iter().map(|(at, it)| (at, crate::batch::Batch::read(it))).collect();
            format!("#    c{at} is shown {batches:?} below {} with {}", shown.high_watermark, shown.error)
        });
        let proxy = self.connections[at].proxy;
        let since = (look.number, look.since);
        self.proxies[proxy].witness(look.ledger).shown((partition, &topic), since, &shown, keeping, (step, now_ms));
    }
}

pub(super) fn key_of(topic: TopicRef<'_>) -> TopicKey {
    match topic {
        TopicRef::Name(name) => TopicKey::Name(std::str::from_utf8(name).expect("a name of the model's").into()),
        TopicRef::Id(id) => TopicKey::Id(id.0[0]),
    }
}
