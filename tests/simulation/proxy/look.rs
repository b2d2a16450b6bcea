//! Requests of the proxy's own, to look into the log: as the relay's uplink sends them between the client's.

use std::collections::VecDeque;

use seqgate_protocol::sequencing::{Millis, TopicRef};
use seqgate_protocol::session::{LookUp, LookUpKind, LookUpOutcome, Mode};

use super::{Api, Connection, Frame, Slot};
use crate::batch::Batch;
use crate::cluster::{Listed, read_end, read_producers, read_shown};
use crate::wire::{Request, TopicKey};
use crate::world::World;

/// A look into the log of one partition, and what the witness has to know of it.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) up: LookUp,
    /// Which of the proxy's ledgers it is for.
    pub(crate) ledger: usize,
    /// The generation of the broker that is asked.
    pub(crate) broker: (usize, u32),
    /// When it began, in steps: what is evidence after that ends it. And in time.
    pub(crate) since: u64,
    pub(crate) since_ms: u64,
    /// The log may not be read.
    is_denied: bool,
}

/// Whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The request at the front.
    Request,
    /// The answer that was kept back under this number.
    Answer(u64),
}

/// A partition that one connection of a proxy looks into at a time, in one of its ledgers.
pub(crate) type Place = (usize, TopicKey, i32);

/// What an uplink looks up, one look after the other.
#[derive(Debug)]
pub(crate) struct Looking {
    whose: Whose,
    /// The request of our own whose answer is waited for.
    correlation_id: i32,
    left: VecDeque<Look>,
    looked: Vec<LookUp>,
    /// Where it is this connection's turn, and where it waits for another one's end.
    turn: Option<Place>,
    waits_for: Option<Place>,
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
    /// How often the log was looked into for the request at the front.
    pub(crate) rounds: u32,
    /// What of it, or of an answer that is kept back, was known by answers when its turn to be looked for came, and when
    /// that was, in steps and in time.
    pub(crate) known: Vec<(TopicKey, i32, (u64, u64))>,
    pub(crate) looking: Option<Looking>,
    /// For the request at the front: whether its leader would have refused it since it came, and what it has said of that.
    pub(crate) would_refuse: bool,
    pub(crate) told: Told,
    /// What the downlink wants to be looked up.
    pub(crate) wish: Option<(u64, Vec<Look>)>,
}

/// What a broker has said of who is known to it, if it has said without an error that it leads the partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) listed: Vec<Listed>,
    pub(crate) leads: bool,
}

/// How far a look has come.
enum Asked {
    /// Its next request is at the broker.
    Sent,
    Over(Box<LookUp>),
    GivenUp,
}

impl Default for Looks {
    fn default() -> Self {
        // Where clients have no numbers.
        let next_correlation_id = i32::MIN;
        Self {
            is_at_broker: false,
            next_correlation_id,
            rounds: 0,
            known: Vec::new(),
            looking: None,
            would_refuse: false,
            told: Told::default(),
            wish: None,
        }
    }
}

impl World {
    /// Whether a request of our own may go.
    pub(super) fn may_look(&self, at: usize) -> bool {
        self.setup.may_look && !self.connections[at].looks.is_at_broker
    }

    /// What the witness has to know of looks that begin now. `broker`: the one that is asked, as it was then.
    pub(super) fn note_looks(&mut self, at: usize, ups: Vec<LookUp>, broker: (usize, u32)) -> Vec<Look> {
        let (ledger, since, since_ms) = (self.connections[at].ledger, self.step, self.now_ms);
        self.tally.looks += ups.len() as u64;
        ups.into_iter().map(|up| Look { up, ledger, broker, since, since_ms, is_denied: false }).collect()
    }

    /// The request at the front has to wait until these logs were looked into.
    pub(super) fn look_for_request(&mut self, at: usize, ups: Vec<LookUp>, request: &Request, asked: &[super::Asked]) {
        let place = |up: &LookUp| (key_of(up.topic()), up.partition());
        let is_for = |up: &&LookUp, it: &super::Asked| place(up) == (it.topic.clone(), it.index);
        let may = |it: &super::Asked| it.batch.is_idempotent() && !it.batch.transactional && !it.opaque;
        let is_wrong = |up: &LookUp| !asked.iter().any(|asked| is_for(&up, asked) && may(asked));
        if !self.asks(at) || request.acks == 0 || ups.iter().any(is_wrong) {
            self.fail(format!("the log is looked into for {request:?}"));
        }
        self.tally.asked += ups.iter().filter(|up| up.kind() == LookUpKind::Enforce).count() as u64;
        self.connections[at].looks.rounds += 1;
        self.connections[at].looks.known.clear();
        let broker = asked.first().map_or((0, 0), |asked| asked.broker);
        let looks = self.note_looks(at, ups, broker);
        self.look_into(at, Whose::Request, looks);
    }

    /// Whether the cluster is asked at all for what goes up a connection.
    pub(crate) fn asks(&self, at: usize) -> bool {
        let policy = self.policy(at);
        policy.look_up && policy.mode != Mode::Observe
    }

    /// The downlink's wish is granted between two requests.
    pub(super) fn grant_wish(&mut self, at: usize) {
        if let Some((number, looks)) = self.connections[at].looks.wish.take() {
            self.connections[at].looks.known.clear();
            self.look_into(at, Whose::Answer(number), looks);
        }
    }

    fn look_into(&mut self, at: usize, whose: Whose, looks: Vec<Look>) {
        let (left, looked) = (looks.into(), Vec::new());
        let looking = Looking { whose, correlation_id: 0, left, looked, turn: None, waits_for: None };
        self.connections[at].looks.looking = Some(looking);
        self.look_on(at);
    }

    /// The next look, once nobody else looks there.
    fn look_on(&mut self, at: usize) {
        loop {
            let connection = &mut self.connections[at];
            let Some(looking) = connection.looks.looking.as_mut() else { return };
            let Some(mut look) = looking.left.pop_front() else { return self.end_look(at) };
            let place = (connection.ledger, key_of(look.up.topic()), look.up.partition());
            let broker = self.proxies[connection.proxy].generation(connection.broker);
            if !self.proxies[connection.proxy].take_turn(&place) {
                looking.left.push_front(look);
                looking.waits_for = Some(place);
                return;
            }
            (looking.turn, looking.waits_for) = (Some(place), None);
            let session = connection.session.as_ref().expect("there is a proxy");
            session.look_back(&mut look.up, Millis(self.now_ms));
            let (whose, is_known) = (looking.whose, look.up.outcome() == Some(LookUpOutcome::Found));
            if is_known {
                self.note_known(at, whose, &look);
            }
            // What was said before its turn has come is nothing that ends it; and it is asked of the broker as that is now.
            (look.since, look.since_ms) = (self.step, self.now_ms);
            look.broker = broker;
            if !self.goes_on(at, look) {
                return;
            }
        }
    }

    /// What a look finds known by answers is good from then on as what it finds in the log: only evidence ends it.
    fn note_known(&mut self, at: usize, whose: Whose, look: &Look) {
        let (ledger, wanted) = match whose {
            Whose::Request => {
                let Some(frame) = self.connections[at].from_client.front() else { return };
                (self.connections[at].ledger, self.asked(at, &Request::read(&frame.bytes)))
            }
            Whose::Answer(number) => self.connections[at].back.looked_up_for(number),
        };
        let place = (key_of(look.up.topic()), look.up.partition());
        let moment = (self.step, self.now_ms);
        for asked in wanted.iter().filter(|it| (&it.topic, it.index) == (&place.0, place.1)) {
            let witness = self.proxies[self.connections[at].proxy].witness(ledger);
            if witness.proof(asked, moment.1).is_ok() {
                self.connections[at].looks.known.push((place.0.clone(), place.1, moment));
            }
        }
    }

    /// Asks for what the look wants to know. Whether it is over, and the next one may begin.
    fn goes_on(&mut self, at: usize, look: Look) -> bool {
        match self.ask_for_look(at, look) {
            Asked::Sent => return false,
            Asked::GivenUp => {
                self.end_look(at);
                return false;
            }
            Asked::Over(up) => {
                if let Some(looking) = self.connections[at].looks.looking.as_mut() {
                    looking.looked.push(*up);
                }
            }
        }
        self.end_turn(at);
        true
    }

    fn ask_for_look(&mut self, at: usize, mut look: Look) -> Asked {
        let may_send = self.may_look(at) && self.policy(at).look_up;
        let looks = &mut self.connections[at].looks;
        let correlation_id = looks.next_correlation_id;
        looks.next_correlation_id += 1;
        let Some(bytes) = look.up.request(correlation_id) else { return Asked::Over(Box::new(look.up)) };
        let Some(looking) = looks.looking.as_mut().filter(|_| may_send) else { return Asked::GivenUp };
        looking.correlation_id = correlation_id;
        looks.is_at_broker = true;
        self.tell(|| {
            let (kind, topic, index) = (look.up.kind().name(), key_of(look.up.topic()), look.up.partition());
            format!("#    c{at} asks about {topic:?}-{index} to {kind}: {:?}", crate::cluster::Read::parse(&bytes).what)
        });
        let version = i16::from_be_bytes([bytes[6], bytes[7]]);
        let frame = Frame { api: Api::Own, correlation_id, bytes, silent: false };
        self.connections[at].slots.push_back(Slot::Own(Box::new(Own { correlation_id, version, look })));
        self.connections[at].to_broker.push_back(frame);
        Asked::Sent
    }

    /// Another connection may look there now.
    fn end_turn(&mut self, at: usize) {
        let proxy = self.connections[at].proxy;
        let turn = self.connections[at].looks.looking.as_mut().and_then(|looking| looking.turn.take());
        if let Some(place) = turn {
            self.give_turn(proxy, &place);
        }
    }

    fn give_turn(&mut self, proxy: usize, place: &Place) {
        self.proxies[proxy].end_turn(place);
        let waits = |it: &Connection| {
            let looking = it.looks.looking.as_ref();
            it.proxy == proxy && looking.is_some_and(|looking| looking.waits_for.as_ref() == Some(place))
        };
        for at in 0..self.connections.len() {
            if waits(&self.connections[at]) {
                self.look_on(at);
            }
        }
    }

    /// All is looked up, or given up.
    fn end_look(&mut self, at: usize) {
        self.end_turn(at);
        let Some(Looking { whose, looked, .. }) = self.connections[at].looks.looking.take() else { return };
        self.tell(|| {
            let outcomes: Vec<_> = looked.iter().map(|up| up.outcome().map(LookUpOutcome::name)).collect();
            format!("#    c{at} has looked: {outcomes:?}")
        });
        match whose {
            Whose::Request => {
                let session = self.connections[at].session.as_mut().expect("there is a proxy");
                let stands = session.looked(looked);
                self.admit_looked(at, stands);
                self.release(at);
            }
            Whose::Answer(number) => self.answer_is_looked_up(at, number, looked),
        }
    }

    /// Nothing is looked up any more.
    pub(crate) fn stop_looking(&mut self, at: usize) {
        let now = Millis(self.now_ms);
        if let Some(session) = self.connections[at].session.as_mut() {
            session.end_waiting(true, now);
        }
        let looks = &mut self.connections[at].looks;
        looks.wish = None;
        let turn = looks.looking.take().and_then(|looking| looking.turn);
        if let Some(place) = turn {
            self.give_turn(self.connections[at].proxy, &place);
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
        self.own_answers += 1;
        let bytes = &frame.bytes[4..];
        if let Some(learner) = look.up.learner() {
            self.learn_from(at, learner, bytes);
        } else {
            bytes.chunks(1 + self.step as usize % 67).for_each(|piece| look.up.feed(piece));
        }
        let session = self.connections[at].session.as_mut().expect("there is a proxy");
        while session.end_answer(&mut look.up, Millis(self.now_ms)) {}
        self.hear_log(at, &mut look, version, frame);
        let is_it = |looking: &Looking| looking.correlation_id == correlation_id;
        if self.connections[at].looks.looking.as_ref().is_some_and(is_it) && self.goes_on(at, look) {
            self.look_on(at);
        }
    }

    /// The witness reads the answer by itself.
    fn hear_log(&mut self, at: usize, look: &mut Look, version: i16, frame: &Frame) {
        let topic = key_of(look.up.topic());
        let partition = self.number_of(&topic, look.up.partition());
        let (step, now_ms, proxy) = (self.step, self.now_ms, self.connections[at].proxy);
        let place = (partition, &topic);
        match frame.api {
            Api::Log => {
                let shown = read_shown(version, &frame.bytes);
                self.tell(|| {
                    let batches: Vec<_> = shown.batches.iter().map(|(at, it)| (at, Batch::read(it))).collect();
                    format!("#    c{at} is shown {batches:?} below {} with {}", shown.high_watermark, shown.error)
                });
                look.is_denied |= shown.error == TOPIC_AUTHORIZATION_FAILED;
                self.proxies[proxy].witness(look.ledger).shown(place, look, &shown, (step, now_ms));
            }
            Api::Producers => {
                let listed = read_producers(&frame.bytes);
                self.tell(|| format!("#    c{at} is told of producers: {listed:?}"));
                self.connections[at].looks.told = Told { listed, leads: false };
            }
            Api::End if look.up.kind() == LookUpKind::Enforce => {
                let leads = read_end(&frame.bytes) >= 0;
                self.connections[at].looks.told.leads = leads;
            }
            Api::End => {
                let end = read_end(&frame.bytes);
                self.tell(|| format!("#    c{at} is told that the log ends at {end}"));
                if !look.is_denied || look.up.kind() != LookUpKind::Confirm {
                    self.fail("the end of a log has to do for what may be read".into());
                }
                self.proxies[proxy].witness(look.ledger).log_ends(place, look, end);
            }
            Api::Topic => self.witness_learns_topic(at, version, &frame.bytes),
            Api::Produce(_) | Api::Metadata | Api::InitProducerId | Api::Own => {}
        }
    }
}

/// The error that says so.
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

pub(super) fn key_of(topic: TopicRef<'_>) -> TopicKey {
    match topic {
        TopicRef::Name(name) => TopicKey::Name(std::str::from_utf8(name).expect("a name of the model's").into()),
        TopicRef::Id(id) => TopicKey::Id(id.0[0]),
    }
}
