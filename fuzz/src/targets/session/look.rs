//! What a connection looks up in the log, and what it keeps back meanwhile.

use std::collections::VecDeque;

use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::Millis;
use seqgate_protocol::session::{Local, LookUp, LookUpKind, LookUpOutcome, Mode, Settled, Unresolved};
use seqgate_protocol::wire::learn::Fact;

use super::super::Bytes;
use super::World;
use super::checks::{check_amended, check_merged};
use super::line::{Exchange, Expected, Line, Manner, evidence_of};
use super::own::{Own, Told};
use super::script::{Name, Request, Said, read_answer};

/// A few looks, one after the other.
pub(super) struct Looking {
    todo: VecDeque<(LookUp, Name)>,
    looked: Vec<LookUp>,
    told: Option<Told>,
    purpose: Purpose,
}

pub(super) enum Purpose {
    /// A request waits to be decided on once more.
    Admit { frame: Vec<u8>, looks_left: u32, asked_ms: u64 },
    /// The first of what is kept back.
    Resolve,
}

/// What is kept back.
pub(super) enum Item {
    Unresolved(Box<KeptBack>),
    Local { local: Local, asked: Request },
}

/// An answer with a 45 in doubt.
pub(super) struct KeptBack {
    pub unresolved: Unresolved,
    pub looks: Vec<LookUp>,
    pub exchange: Exchange,
    pub said: Vec<Said>,
    pub is_stripped: bool,
}

impl Line {
    pub(super) fn begin_looking(&mut self, world: &mut World, request: &Request, looks: Vec<LookUp>, purpose: Purpose) {
        assert!(self.looking.is_none() && world.policy.mode != Mode::Observe || matches!(purpose, Purpose::Resolve));
        let named = |look: LookUp| {
            assert!(look.kind() != LookUpKind::Enforce || world.policy.mode == Mode::Enforce);
            let place = (look.topic().into(), look.partition());
            let part = request.parts.iter().find(|part| part.place == place).expect("it was asked for");
            (look, part.name.clone().expect("only what can be taken at its word is looked up"))
        };
        let todo = looks.into_iter().map(named).collect();
        self.looking = Some(Looking { todo, looked: Vec::new(), told: None, purpose });
        self.look_on(world);
    }

    /// The next look begins, if there is one.
    fn look_on(&mut self, world: &mut World) {
        while let Some(looking) = &mut self.looking {
            let Some((mut look, wanted)) = looking.todo.pop_front() else { return self.end_looking(world) };
            self.session.look_back(&mut look, Millis(world.now_ms));
            let truth = &mut world.truths[self.cluster];
            if look.outcome() == Some(LookUpOutcome::Found) {
                truth.renew(&wanted, world.now_ms);
            }
            let since = truth.now();
            let cluster = self.cluster;
            self.ask(world, Own { look, wanted, since, cluster, is_orphan: false, frame: Vec::new() });
            if self.queue.iter().any(|expected| matches!(expected, Expected::Own(own) if !own.is_orphan)) {
                return;
            }
        }
    }

    /// Sends the next request of a look, if it has one to send, and may.
    fn ask(&mut self, world: &mut World, mut own: Own) {
        let Some(looking) = &mut self.looking else { return };
        let correlation_id = world.next().cast_signed();
        match own.look.request(correlation_id) {
            None => {
                assert!(own.look.outcome().is_some());
                looking.looked.push(own.look);
            }
            Some(frame) if self.session.asks(&world.present(self.broker)) => {
                assert!(own.look.outcome().is_none());
                let length = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
                assert_eq!(length as usize, frame.len() - 4);
                assert_eq!(frame[8..12], correlation_id.to_be_bytes());
                self.queue.push_back(Expected::Own(Box::new(Own { frame, ..own })));
            }
            // The client has begun to authenticate again: all is given up.
            Some(_) => looking.todo.clear(),
        }
    }

    /// The broker answers a request of ours.
    pub(super) fn answer_own(&mut self, world: &mut World, mut own: Own, script: &mut Bytes<'_>) {
        let step = usize::from(script.u8()) + 1;
        let answer = own.answer(world, script);
        let read = own.read(&answer);
        for piece in answer.chunks(step) {
            match own.look.learner() {
                Some((learner, version)) => learner.feed(piece, &mut |fact: Fact<'_>| {
                    if let Fact::Topic { error: 0, name: Some(name), id: Some(id) } = fact {
                        world.truths[self.cluster].link(name, id);
                    }
                    self.learn(world, fact, version);
                }),
                None => own.look.feed(piece),
            }
        }
        world.truths[own.cluster].show(&read.shown, own.since, world.now_ms);
        if read.serves {
            self.sasl.serve();
        }
        while self.session.end_answer(&mut own.look, Millis(world.now_ms)) {}
        let Some(looking) = self.looking.as_mut().filter(|_| !own.is_orphan) else { return };
        if let Some(told) = &mut looking.told {
            told.leads |= read.leads;
        } else {
            looking.told = read.told;
        }
        let before = self.queue.len();
        self.ask(world, own);
        if self.queue.len() == before {
            self.look_on(world);
        }
    }

    /// It takes too long: everything goes on as without it.
    pub fn give_up_looking(&mut self, world: &mut World) {
        for expected in &mut self.queue {
            if let Expected::Own(own) = expected {
                own.is_orphan = true;
            }
        }
        if self.looking.is_some() {
            return self.end_looking(world);
        }
        while let Some(item) = self.back.pop_front() {
            self.deliver(world, item, Vec::new());
        }
    }

    fn end_looking(&mut self, world: &mut World) {
        let Some(Looking { looked, told, purpose, .. }) = self.looking.take() else { return };
        match purpose {
            Purpose::Admit { frame, looks_left, asked_ms } => {
                let stands = self.session.looked(looked);
                let looks_left = looks_left - 1;
                let may_look = looks_left > 0 && !stands;
                let told = told.filter(|told| told.is_remembered(asked_ms));
                self.decide(world, frame, Manner { held: false, guards: true, may_look, looks_left, told });
            }
            Purpose::Resolve => {
                if let Some(first) = self.back.pop_front() {
                    self.deliver(world, first, looked);
                }
                self.deliver_known(world);
            }
        }
    }

    /// What is kept back goes, up to the next that has to be looked up.
    fn deliver_known(&mut self, world: &mut World) {
        while let Some(item) = self.back.pop_front() {
            if let Item::Unresolved(kept) = &item
                && !self.session.is_known(&kept.unresolved, Millis(world.now_ms))
            {
                return self.back.push_front(item);
            }
            self.deliver(world, item, Vec::new());
        }
    }

    /// Looks up the first of what is kept back, once nothing else is sent.
    pub fn grant_wish(&mut self, world: &mut World) {
        if self.is_busy() {
            return;
        }
        let Some(Item::Unresolved(kept)) = self.back.front_mut() else { return };
        let looks = std::mem::take(&mut kept.looks);
        let sent = kept.exchange.sent.clone().expect("answered only when it can be read");
        self.begin_looking(world, &sent, looks, Purpose::Resolve);
    }

    fn deliver(&mut self, world: &mut World, item: Item, looked: Vec<LookUp>) {
        match item {
            Item::Local { local, asked } => self.deliver_local(world, &local, &asked),
            Item::Unresolved(kept) => self.resolve(world, *kept, looked),
        }
    }

    fn resolve(&mut self, world: &mut World, kept: KeptBack, looked: Vec<LookUp>) {
        let KeptBack { unresolved, exchange, said, is_stripped, .. } = kept;
        let Exchange { asked: Some(asked), sent: Some(sent), sent_at, cluster } = exchange else {
            unreachable!("answered only when it can be read")
        };
        let (mut resolved, mut ended) = (Vec::new(), Vec::new());
        let mut report = |event: Event<'_>| {
            ended.extend(evidence_of(&event, 0));
            if let Event::Resolved { topic, partition, base_offset, .. } = event {
                resolved.push(((topic.into(), partition), base_offset));
            }
        };
        let settled = self.session.resolve(unresolved, looked, Millis(world.now_ms), &mut report);
        let name = |place| sent.parts.iter().find(|part| part.place == place).and_then(|part| part.name.clone());
        let resolved = resolved.into_iter().map(|(place, offset)| (name(place).expect("it was looked up"), offset));
        let resolved = resolved.collect::<Vec<_>>();
        for (name, offset) in &resolved {
            assert_eq!(cluster, self.cluster);
            let is_proven = world.truths[cluster].proves(name, *offset, Some(world.now_ms));
            assert!(is_proven, "no proof of {name:?} at {offset}\n{:#?}", world.truths[cluster]);
        }
        let truth = &mut world.truths[cluster];
        let at = truth.resolve(&resolved, sent_at, world.now_ms);
        ended.into_iter().for_each(|evidence| truth.learn(evidence.sparing(at)));
        match settled {
            Settled::Merged(merged) if is_stripped => {
                assert_eq!(cluster, self.cluster);
                check_merged(world, cluster, [&asked, &sent], &said, &merged, &resolved);
            }
            Settled::Merged(merged) => {
                let told = read_answer(sent.version, sent.correlation_id, &merged).expect("it can be read still");
                check_amended(&said, &told, &resolved);
            }
            Settled::Reset(_) => {
                assert!(is_stripped, "a client is reset for nothing");
                self.reset(world);
            }
            Settled::Unchanged | Settled::Look(..) => panic!("it is looked up once"),
        }
    }
}
