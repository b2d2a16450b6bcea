//! One connection: what its client sent, in order, and what it is owed.

use std::collections::VecDeque;

use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::{ConnectionId, Evidence as Ended, Millis, Rule};
use seqgate_protocol::session::{Admission, Local, Mixed, Mode, Pending, Present, Session, Settled, Streamed};
use seqgate_protocol::wire::learn::Fact;
use seqgate_protocol::wire::produce::OwnedTopic;

use super::super::Bytes;
use super::super::make::damage;
use super::World;
use super::checks::{check_local, check_merged, check_refused, check_stripped};
use super::cluster::Cluster;
use super::look::{Item, KeptBack, Looking, Purpose};
use super::own::{Own, Told};
use super::sasl::Sasl;
use super::script::{Place, Request, answer, read_answer};
use super::truth::Evidence;

pub struct Line {
    pub session: Session<Cluster>,
    pub cluster: usize,
    pub broker: u32,
    pub sasl: Sasl,
    pub(super) queue: VecDeque<Expected>,
    /// What is looked up at the moment; nothing else is sent meanwhile.
    pub(super) looking: Option<Looking>,
    /// What is kept back until it has been looked up, the first of it now.
    pub(super) back: VecDeque<Item>,
    held: Option<Vec<u8>>,
    streaming: Option<Streaming>,
}

/// What comes next on the way back.
pub(super) enum Expected {
    Broker { pending: Pending, exchange: Exchange },
    Local { local: Local, asked: Request },
    Own(Box<Own>),
}

/// A request at the broker.
pub(super) struct Exchange {
    /// As the client sent it; absent when it cannot be read to its end.
    pub asked: Option<Request>,
    /// As the broker got it.
    pub sent: Option<Request>,
    pub sent_at: u64,
    pub cluster: usize,
}

struct Streaming {
    streamed: Streamed,
    frame: Vec<u8>,
    at: usize,
    cluster: usize,
}

/// How a frame is decided on.
pub(super) struct Manner {
    /// It was told to wait before.
    pub held: bool,
    pub guards: bool,
    pub may_look: bool,
    pub looks_left: u32,
    /// What its leader has said, if it was asked.
    pub told: Option<Told>,
}

impl Manner {
    /// As a request is decided on at first.
    const FIRST: Self = Self { held: false, guards: true, may_look: true, looks_left: 3, told: None };
    /// One that had to wait, and may have to go on waiting.
    const HELD: Self = Self { held: true, may_look: false, ..Self::FIRST };
    /// One that has waited for long.
    const LATE: Self = Self { guards: false, ..Self::HELD };
}

impl Line {
    pub fn new(id: u32, cluster: Cluster) -> Self {
        let session = Session::new(ConnectionId(id), cluster);
        Self {
            session,
            cluster: 0,
            broker: 0,
            sasl: Sasl::default(),
            queue: VecDeque::new(),
            looking: None,
            back: VecDeque::new(),
            held: None,
            streaming: None,
        }
    }

    pub fn has_something_open(&self) -> bool {
        self.streaming.is_some()
            || self.queue.iter().any(|expected| matches!(expected, Expected::Broker { .. }))
            || self.back.iter().any(|item| matches!(item, Item::Unresolved(_)))
    }

    pub const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether nothing can be sent at the moment.
    pub(super) const fn is_busy(&self) -> bool {
        self.held.is_some() || self.streaming.is_some() || self.looking.is_some()
    }

    /// Whoever waits asks again; `late`: it has waited for long.
    pub fn ask_again(&mut self, world: &mut World, late: bool) {
        if let Some(frame) = self.held.take() {
            self.decide(world, frame, if late { Manner::LATE } else { Manner::HELD });
        }
    }

    /// A whole frame comes from the client.
    pub fn admit(&mut self, world: &mut World, frame: Vec<u8>) {
        if !self.is_busy() && !self.session.auth().is_raw() {
            self.decide(world, frame, Manner::FIRST);
        }
    }

    pub(super) fn decide(&mut self, world: &mut World, frame: Vec<u8>, manner: Manner) {
        let Manner { held, guards, may_look, looks_left, told } = manner;
        let present = Present { may_look, guards, ..world.present(self.broker) };
        let mut rules = Vec::new();
        let admission =
            self.session.admit(&frame, held, &present, &mut |event: Event<'_>| note_rule(event, &mut rules));
        let asked = Request::read(&frame).map(|asked| tracked(asked, &rules));
        assert_eq!(asked.is_none(), matches!(admission, Admission::Unread), "{asked:?}");
        let Some(asked) = asked else { return };
        if world.policy.mode == Mode::Observe {
            assert!(matches!(admission, Admission::Forward(_)), "observed traffic is left alone: {admission:?}");
        }
        match admission {
            Admission::Forward(pending) => {
                assert_eq!(pending.is_none(), asked.acks == 0);
                let sent = Some(asked.clone());
                self.queue.extend(pending.map(|pending| self.expected(world, pending, Some(asked), sent)));
            }
            Admission::Strip { frame: left, pending } => {
                assert!(pending.is_stripped() && world.policy.mixed == Mixed::Strip);
                self.check_may_answer(world, &asked);
                let left = tracked(Request::read(&left).expect("what is left can be read"), &rules);
                check_stripped(world, self.cluster, &asked, &left);
                let expected = self.expected(world, pending, Some(asked), Some(left));
                self.queue.push_back(expected);
            }
            Admission::Answer(local) => {
                self.check_may_answer(world, &asked);
                if !self.is_refusal(world, &asked, &local, told.as_ref()) {
                    check_local(world, self.cluster, &asked, &local, Some(world.now_ms));
                }
                self.queue.push_back(Expected::Local { local, asked });
            }
            Admission::Look(looks) => {
                assert!(may_look && world.policy.look_up, "it may not look");
                let purpose = Purpose::Admit { frame, looks_left, asked_ms: world.now_ms };
                self.begin_looking(world, &asked, looks, purpose);
            }
            Admission::Hold => self.held = Some(frame),
            Admission::Reset => self.reset(world),
            Admission::Unread => {}
            Admission::Stream(_) => panic!("a small frame is decided on at once"),
        }
    }

    fn expected(&self, world: &mut World, pending: Pending, asked: Option<Request>, sent: Option<Request>) -> Expected {
        if let Some(sent) = &sent {
            assert_eq!(pending.correlation_id(), sent.correlation_id);
        }
        let (cluster, sent_at) = (self.cluster, world.truths[self.cluster].now());
        Expected::Broker { pending, exchange: Exchange { asked, sent, sent_at, cluster } }
    }

    fn check_may_answer(&self, world: &World, asked: &Request) {
        assert!(asked.may_be_answered(), "answered without a right to: {asked:?}");
        assert!(self.sasl.is_over(world.now_ms), "answered to a client that has to authenticate");
    }

    /// Whether an answer of ours refuses what was asked for. Its leader would, then, and nothing else of the producer is on
    /// its way.
    fn is_refusal(&self, world: &World, asked: &Request, local: &Local, told: Option<&Told>) -> bool {
        let said =
            read_answer(asked.version, asked.correlation_id, local.frame()).expect("an answer of ours can be read");
        if said.iter().all(|said| said.error == 0) {
            return false;
        }
        assert!(world.policy.mode == Mode::Enforce && world.policy.authoritative);
        let name = check_refused(asked, &said, told);
        let is_open = self.queue.iter().any(|expected| match expected {
            Expected::Broker { exchange: Exchange { sent: Some(sent), cluster, .. }, .. }
                if *cluster == self.cluster =>
            {
                let is_of_it = |other: &super::Name| other.producer == name.producer && other.place == name.place;
                sent.parts.iter().filter_map(|part| part.name.as_ref()).any(is_of_it)
            }
            Expected::Broker { .. } | Expected::Local { .. } | Expected::Own(_) => false,
        });
        assert!(!is_open, "what is on its way may fill the gap ahead of {name:?}");
        true
    }

    pub fn begin_stream(&mut self, world: &mut World, frame: Vec<u8>) {
        if self.is_busy() || self.session.auth().is_raw() {
            return;
        }
        let size = u32::try_from(frame.len() - 4).expect("a small frame");
        let Some(streamed) = self.session.begin_stream(&frame, size, &mut |_: Event<'_>| {}) else { return };
        self.streaming = Some(Streaming { streamed, frame, at: 0, cluster: self.cluster });
        self.stream(world, 30);
    }

    /// More of a frame that comes in pieces.
    pub fn stream(&mut self, world: &mut World, count: usize) {
        let Some(Streaming { mut streamed, frame, at, cluster }) = self.streaming.take() else { return };
        let present = world.present(self.broker);
        let to = frame.len().min(at + count);
        if !self.session.stream(&mut streamed, &frame[at..to], &present, &mut |_: Event<'_>| {}) {
            self.session.cut_stream(streamed, &present);
            return self.reset(world);
        }
        if to < frame.len() {
            self.streaming = Some(Streaming { streamed, frame, at: to, cluster });
            return;
        }
        let Some(pending) = self.session.end_stream(streamed, &present) else { return };
        assert!(!pending.is_stripped());
        // What came of it in another cluster is not known.
        let asked = Request::read(&frame).filter(|_| cluster == self.cluster);
        let expected = self.expected(world, pending, asked.clone(), asked);
        self.queue.push_back(expected);
    }

    /// The next answer leaves, or the broker gives it first.
    pub fn answer(&mut self, world: &mut World, n: u8, script: &mut Bytes<'_>) {
        match self.queue.pop_front() {
            None => {}
            Some(Expected::Local { local, asked }) if self.back.is_empty() => self.deliver_local(world, &local, &asked),
            Some(Expected::Local { local, asked }) => self.back.push_back(Item::Local { local, asked }),
            Some(Expected::Own(own)) => self.answer_own(world, *own, script),
            Some(Expected::Broker { pending, exchange }) if n < 0xf0 && exchange.sent.is_some() => {
                let sent = exchange.sent.as_ref().expect("it is there");
                let said = world.said(exchange.cluster, sent, script);
                let correlation_id = sent.correlation_id ^ i32::from(n == 0xef);
                let mut frame = answer(sent.version, correlation_id, &said, script);
                damage(&mut frame[4..], script);
                self.settle(world, pending, exchange, &frame);
            }
            Some(Expected::Broker { pending, exchange }) => {
                world.append(&exchange);
                let is_stripped = pending.is_stripped();
                let whole = self.session.overlook(pending, Millis(world.now_ms));
                assert_eq!(whole, !is_stripped);
                if is_stripped {
                    self.reset(world);
                }
            }
        }
    }

    pub(super) fn deliver_local(&mut self, world: &mut World, local: &Local, asked: &Request) {
        if !self.session.still_holds(local, Millis(world.now_ms)) {
            return self.reset(world);
        }
        let said =
            read_answer(asked.version, asked.correlation_id, local.frame()).expect("an answer of ours can be read");
        if said.iter().all(|said| said.error == 0) {
            check_local(world, self.cluster, asked, local, None);
        }
    }

    fn settle(&mut self, world: &mut World, pending: Pending, exchange: Exchange, frame: &[u8]) {
        // A produce answer is one of those that nobody gets who still has to authenticate.
        self.sasl.serve();
        let Exchange { asked, sent, sent_at, cluster } = &exchange;
        let (Some(asked), Some(sent)) = (asked, sent) else { unreachable!("answered only when it can be read") };
        let said = read_answer(sent.version, sent.correlation_id, frame);
        let truth = &mut world.truths[*cluster];
        let at = truth.answer(sent, *sent_at, said.as_deref().unwrap_or_default(), world.now_ms);
        let is_stripped = pending.is_stripped();
        let mut ended = Vec::new();
        let mut report = |event: Event<'_>| ended.extend(evidence_of(&event, at));
        let settled = self.session.settle(pending, frame, Millis(world.now_ms), &mut report);
        ended.into_iter().for_each(|evidence| truth.learn(evidence));
        match settled {
            Settled::Unchanged => assert!(!is_stripped, "an answer without what was left out"),
            Settled::Merged(merged) => {
                assert!(is_stripped && *cluster == self.cluster);
                check_merged(world, *cluster, [asked, sent], &said.expect("it was read"), &merged, &[]);
            }
            Settled::Reset(_) => {
                assert!(is_stripped, "a client is reset for nothing");
                self.reset(world);
            }
            Settled::Look(unresolved, looks) => {
                assert!(*cluster == self.cluster && !looks.is_empty());
                let said = said.expect("it was read");
                let kept = KeptBack { unresolved: *unresolved, looks, exchange, said, is_stripped };
                self.back.push_back(Item::Unresolved(Box::new(kept)));
            }
        }
    }

    pub fn learn(&mut self, world: &World, fact: Fact<'_>, version: i16) {
        self.sasl.learn(&fact, world.now_ms);
        let present = world.present(self.broker);
        let _nothing_to_do = self.session.learn(fact, version, &present, &mut |_: Event<'_>| {});
    }

    /// The connection turns out to lead to the other cluster.
    pub fn switch(&mut self, world: &World) {
        let other = 1 - self.cluster;
        if self.session.switch(world.clusters[other].clone()) {
            self.cluster = other;
        }
    }

    /// The connection ends, and another one begins.
    pub fn reset(&mut self, world: &mut World) {
        let present = world.present(self.broker);
        if let Some(Streaming { streamed, .. }) = self.streaming.take() {
            self.session.cut_stream(streamed, &present);
        }
        for expected in std::mem::take(&mut self.queue) {
            if let Expected::Broker { pending, exchange } = expected {
                world.append(&exchange);
                self.session.abandon(pending, present.now);
            }
        }
        for item in std::mem::take(&mut self.back) {
            if let Item::Unresolved(kept) = item {
                self.session.give_up(kept.unresolved, present.now);
            }
        }
        *self = Self::new(world.next(), world.clusters[0].clone());
    }
}

/// What ends proofs of a partition; `at`: when the answer came that says it.
pub(super) fn evidence_of(event: &Event<'_>, at: u64) -> Option<Evidence> {
    let Event::ProofsEnded { topic, partition, evidence } = event else { return None };
    // The answer that contradicts the others is the newest, and stands.
    let spares = if matches!(evidence, Ended::Regression | Ended::Collision) { at } else { 0 };
    Some(Evidence::Log { place: (OwnedTopic::from(*topic), *partition), spares })
}

fn note_rule(event: Event<'_>, rules: &mut Vec<(Place, Rule)>) {
    if let Event::Batch(batch) = event {
        rules.push(((OwnedTopic::from(batch.topic), batch.partition), batch.rule));
    }
}

/// Notes what the session keeps track of: not what it has no room for, nor what it cannot take at its word.
fn tracked(mut request: Request, rules: &[(Place, Rule)]) -> Request {
    for part in &mut request.parts {
        let rule = rules.iter().find(|(place, _)| *place == part.place).map(|(_, rule)| rule);
        part.tracked = rule.is_some_and(|rule| !matches!(rule, Rule::T36 | Rule::D1 | Rule::D2));
    }
    request
}
