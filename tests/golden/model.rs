//! Random interleavings of clients, losses and restarts against the broker's model, with real sessions in between.

mod clients;

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;
use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::{BrokerGeneration, Millis, TrackerLimits};
use seqgate_protocol::session::{Admission, Ledger, Local, Mixed, Mode, Pending, Policy, Present, Session, Settled};

use crate::broker::{Log, Sent};
use crate::frames::{self, Request, Said};
use crate::memory::Handle;
use clients::{Producer, as_sent};

const PARTITIONS: usize = 2;
const VERSION: i16 = 9;

/// What the proxy owes a client, or what it waits for.
#[derive(Debug)]
enum Slot {
    Asked { pending: Pending, correlation_id: i32, sent: Vec<(usize, Sent)>, answer: Option<Vec<u8>> },
    Local(Local),
}

#[derive(Debug)]
struct Connection {
    session: Session<Handle>,
    producer: usize,
    slots: VecDeque<Slot>,
    /// The first was told to wait; the others are behind it.
    held: VecDeque<Request>,
    /// What the client waits for, in its order.
    awaited: VecDeque<(i32, Vec<usize>)>,
    client_gone: bool,
    upstream_gone: bool,
}

#[derive(Debug)]
struct World {
    ledger: Handle,
    logs: [Log; PARTITIONS],
    /// Everything that ever stood in a log: a log may lose it, nobody else may.
    history: [HashSet<(Sent, i64)>; PARTITIONS],
    lost_something: bool,
    refuse: u8,
    generation: u32,
    now: Millis,
    mode: Mode,
    mixed: Mixed,
    connections: Vec<Connection>,
    producers: Vec<Producer>,
    correlation_id: i32,
}

impl World {
    fn new(mode: Mode, mixed: Mixed) -> Self {
        Self {
            ledger: Handle::new(TrackerLimits { window: 8, ..TrackerLimits::default() }),
            logs: Default::default(),
            history: Default::default(),
            lost_something: false,
            refuse: 0,
            generation: 0,
            now: Millis(1_000_000),
            mode,
            mixed,
            connections: Vec::new(),
            producers: (0..3).map(|_| Producer::default()).collect(),
            correlation_id: 0,
        }
    }

    fn present(&self) -> Present {
        Present {
            now: self.now,
            broker: BrokerGeneration { broker: 1, generation: self.generation },
            policy: Policy {
                mode: self.mode,
                mixed: self.mixed,
                authoritative: true,
                look_up: false,
                producer_expiration_ms: 0,
            },
            serves_without_sasl: true,
            keep_bytes_max: usize::MAX,
            may_look: false,
            guards: false,
            unix_ms: 0,
        }
    }

    /// One step of the interleaving.
    fn step(&mut self, kind: u8, who: usize) {
        let producer = who % self.producers.len();
        let connection = who % self.connections.len().max(1);
        match kind {
            0..=29 => self.send(producer, who),
            30..=59 => self.handle(connection),
            60..=84 => self.deliver(connection),
            85..=88 => self.client_goes(self.producers[producer].connection),
            89..=90 => self.lose(connection),
            91..=92 => self.restart(),
            93 => self.logs[who % PARTITIONS].expire(),
            94..=95 => self.refuse = 1 + (who % 2) as u8,
            96 => self.now.0 += 200_000,
            97 => self.send_plain(who % PARTITIONS),
            98 => self.ledger.each_tracker(|tracker| tracker.sweep(100, self.now)),
            _ => {
                self.lost_something = true;
                self.logs[who % PARTITIONS].lose_newest();
            }
        }
        self.ask_again();
    }

    fn send_plain(&mut self, partition: usize) {
        // Straight to the broker, past the proxy.
        let sent = Sent { producer_id: -1, epoch: -1, base: -1, count: 2 };
        let (_, offset) = self.logs[partition].append(sent);
        self.history[partition].insert((sent, offset));
    }

    /// The request comes back when it has to wait.
    fn admit(&mut self, at: usize, request: Request, held: bool) -> Option<Request> {
        let present = self.present();
        let frame = frames::request(&request);
        let connection = &mut self.connections[at];
        let admission = connection.session.admit(&frame, held, &present, &mut |_: Event<'_>| {});
        let correlation_id = request.correlation_id;
        match admission {
            Admission::Forward(pending) => {
                let pending = pending.expect("an answer will come");
                let sent = as_sent(&frame);
                assert_eq!(sent.len(), request.entries.len());
                connection.slots.push_back(Slot::Asked { pending, correlation_id, sent, answer: None });
            }
            Admission::Strip { frame, pending } => {
                assert!(self.mode == Mode::Dedupe && self.mixed == Mixed::Strip);
                let sent = as_sent(&frame);
                assert!(!sent.is_empty() && sent.len() < request.entries.len());
                connection.slots.push_back(Slot::Asked { pending, correlation_id, sent, answer: None });
            }
            Admission::Answer(local) => {
                assert_eq!(self.mode, Mode::Dedupe);
                connection.slots.push_back(Slot::Local(local));
                self.release(at);
            }
            Admission::Hold => {
                assert_eq!(self.mode, Mode::Dedupe);
                return Some(request);
            }
            Admission::Reset => self.client_goes(Some(at)),
            Admission::Unread | Admission::Stream(_) | Admission::Look(_) => panic!("an independent encoder wrote it"),
        }
        None
    }

    /// The broker takes the oldest request of a connection that it has not handled.
    fn handle(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).filter(|connection| !connection.upstream_gone) else {
            return;
        };
        for slot in &mut connection.slots {
            let Slot::Asked { correlation_id, sent, answer, .. } = slot else { continue };
            if answer.is_some() {
                continue;
            }
            let mut said = Vec::new();
            for (partition, sent) in sent {
                let refused = self.refuse > 0;
                self.refuse = self.refuse.saturating_sub(1);
                let (error, base_offset) = if refused { (19, -1) } else { self.logs[*partition].append(*sent) };
                if error == 0 {
                    self.history[*partition].insert((*sent, base_offset));
                }
                said.push(Said {
                    topic: "t".into(),
                    id: 1,
                    partition: i32::try_from(*partition).unwrap(),
                    error,
                    base_offset,
                    append_time: -1,
                    log_start: 0,
                });
            }
            said.reverse();
            *answer = Some(frames::response(VERSION, *correlation_id, &said, 0, false));
            return;
        }
    }

    /// The oldest answer reaches the proxy, and the client if it is there.
    fn deliver(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        let Some(Slot::Asked { answer: Some(_), .. }) = connection.slots.front() else { return };
        let Some(Slot::Asked { pending, answer: Some(frame), .. }) = connection.slots.pop_front() else { return };
        let settled = connection.session.settle(pending, &frame, self.now, &mut |_: Event<'_>| {});
        match settled {
            Settled::Unchanged => self.receive(at, &frame),
            Settled::Merged(frame) => self.receive(at, &frame),
            Settled::Reset(_) => self.client_goes(Some(at)),
            Settled::Look(..) => panic!("it may not look"),
        }
        self.release(at);
    }

    fn release(&mut self, at: usize) {
        while matches!(self.connections[at].slots.front(), Some(Slot::Local(_))) {
            let Some(Slot::Local(local)) = self.connections[at].slots.pop_front() else { return };
            if self.connections[at].session.still_holds(&local, self.now) {
                self.receive(at, local.frame());
            } else {
                self.client_goes(Some(at));
            }
        }
    }

    /// The broker's side of a connection ends; what it had not begun is never executed.
    fn lose(&mut self, at: usize) {
        if at >= self.connections.len() || self.connections[at].upstream_gone {
            return;
        }
        self.generation += 1;
        self.client_goes(Some(at));
        let now = self.now;
        let connection = &mut self.connections[at];
        connection.upstream_gone = true;
        for slot in std::mem::take(&mut connection.slots) {
            if let Slot::Asked { pending, .. } = slot {
                connection.session.abandon(pending, now);
            }
        }
    }

    fn restart(&mut self) {
        (0..self.connections.len()).for_each(|at| self.lose(at));
        self.logs.iter_mut().for_each(Log::restart);
        self.generation += 1;
    }

    fn ask_again(&mut self) {
        for at in 0..self.connections.len() {
            let mut was_held = true;
            while let Some(request) = self.connections[at].held.pop_front() {
                if let Some(request) = self.admit(at, request, was_held) {
                    self.connections[at].held.push_front(request);
                    break;
                }
                was_held = false;
            }
        }
    }

    /// Nothing goes wrong any more: everybody gets through.
    fn calm(&mut self) {
        self.refuse = 0;
        for _ in 0..60 {
            for at in 0..self.connections.len() {
                self.handle(at);
                self.deliver(at);
                self.ask_again();
            }
            for producer in 0..self.producers.len() {
                let client = &self.producers[producer];
                let waits = client.unacked.iter().any(|queue| !queue.is_empty());
                if waits && client.connection.is_none() && !client.given_up {
                    self.reconnect(producer, 1);
                }
            }
        }
    }

    fn check_the_end(&mut self) {
        self.calm();
        for (producer, client) in self.producers.iter().enumerate().filter(|(_, client)| !client.given_up) {
            for partition in 0..PARTITIONS {
                assert!(client.unacked[partition].is_empty(), "producer {producer} waits for ever");
                let own = |sent: &&(Sent, i64)| sent.0.producer_id == producer as i64;
                let mut sequences: Vec<i32> =
                    self.logs[partition].batches.iter().filter(own).map(|b| b.0.base).collect();
                sequences.sort_unstable();
                sequences.dedup();
                let mut next = 0;
                for base in sequences.into_iter().filter(|_| !self.lost_something) {
                    assert_eq!(base, next, "a batch of producer {producer} is missing");
                    let is_it = |sent: &&(Sent, i64)| sent.0.producer_id == producer as i64 && sent.0.base == base;
                    next += self.logs[partition].batches.iter().find(is_it).unwrap().0.count;
                }
                assert!(self.lost_something || next == client.next[partition], "an acknowledged batch is missing");
            }
        }
        (0..self.connections.len()).for_each(|at| self.lose(at));
        let (mut pending, mut unknown) = (0, 0);
        self.ledger.each_tracker(|tracker| {
            tracker.report(0, 1000, self.now, |report| {
                pending += u32::from(report.pending);
                unknown += u32::from(report.unknown);
                true
            });
        });
        assert_eq!((pending, self.ledger.open_attempts()), (0, unknown), "a ticket was not settled");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn model_check_vs_broker_oracle(
        steps in prop::collection::vec((0_u8..100, any::<usize>()), 1..250),
        strips in any::<bool>(),
    ) {
        let mut world = World::new(Mode::Dedupe, if strips { Mixed::Strip } else { Mixed::Forward });
        steps.into_iter().for_each(|(kind, who)| world.step(kind, who));
        world.check_the_end();
    }

    #[test]
    fn observe_mode_touches_nothing(steps in prop::collection::vec((0_u8..100, any::<usize>()), 1..150)) {
        let mut world = World::new(Mode::Observe, Mixed::Strip);
        steps.into_iter().for_each(|(kind, who)| world.step(kind, who));
        world.check_the_end();
    }
}
