//! Clusters, the connections to them, and a script of what clients send and brokers answer.

mod checks;
mod cluster;
mod line;
mod look;
mod own;
mod sasl;
mod script;
mod truth;

use std::collections::HashMap;

use seqgate_protocol::sequencing::{BrokerGeneration, Millis, ProducerEpoch, ProducerId, TopicId};
use seqgate_protocol::session::{Mixed, Mode, Policy, Present};
use seqgate_protocol::wire::learn::Fact;

use super::Bytes;
pub(super) use cluster::Cluster;
use line::{Exchange, Line};
use script::{Name, Place, Request, Said};
use truth::Truth;

/// How long brokers remember a producer, in ms.
const PRODUCER_EXPIRATION_MS: u64 = 10_000;

/// Whatever clients and brokers do: no panic; success is said here only of a batch that is proven, or was shown in the log,
/// and only when all that was asked for is; a refusal only of what its leader has said that it would refuse; what is
/// stripped is just that; observed traffic is left alone; every ticket can be settled, and nothing is left of it in the end.
pub fn session(data: &[u8]) {
    let mut play = Play::new();
    let mut script = Bytes(data);
    // Long inputs add nothing but time.
    for _ in 0..200 {
        if script.0.is_empty() {
            break;
        }
        play.turn(&mut script);
    }
    play.end();
}

/// What all connections share.
struct World {
    clusters: [Cluster; 2],
    truths: [Truth; 2],
    logs: HashMap<(usize, Place), Log>,
    now_ms: u64,
    generation: u32,
    policy: Policy,
    /// For correlation ids and connections.
    serial: u32,
}

/// What a broker that tells the truth has of a partition.
#[derive(Default)]
struct Log {
    end: i64,
    batches: Vec<(Name, i64)>,
}

impl World {
    fn present(&self, broker: u32) -> Present {
        let broker = BrokerGeneration { broker, generation: self.generation };
        Present {
            now: Millis(self.now_ms),
            broker,
            policy: self.policy,
            serves_without_sasl: true,
            keep_bytes_max: usize::MAX,
            may_look: false,
            guards: true,
            unix_ms: self.now_ms.cast_signed(),
        }
    }

    fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// A broker takes a request of which it says nothing more.
    fn append(&mut self, exchange: &Exchange) {
        for part in exchange.sent.iter().flat_map(|sent| &sent.parts) {
            self.logs.entry((exchange.cluster, part.place.clone())).or_default().append(part.name.as_ref());
        }
    }

    /// What a broker says of the partitions of a request, told by the script: most often the truth.
    fn said(&mut self, cluster: usize, request: &Request, script: &mut Bytes<'_>) -> Vec<Said> {
        const ERRORS: [i16; 16] = [45, 45, 19, 3, 56, 100, 47, 59, 7, 6, -1, 74, 87, 2, 46, 4711];
        let mut said: Vec<Said> = Vec::new();
        for part in &request.parts {
            if said.iter().any(|said| said.place == part.place) {
                continue;
            }
            let log = self.logs.entry((cluster, part.place.clone())).or_default();
            let place = part.place.clone();
            let (error, base_offset) = match script.u8() % 20 {
                n @ 12..=14 => (ERRORS[script.below(16)], if n == 14 { 3 } else { -1 }),
                15 => (0, i64::from(script.u8() % 8)),
                16 => (0, -1),
                17 => continue,
                _ => (0, log.append(part.name.as_ref())),
            };
            said.push(Said { place, error, base_offset });
        }
        if let Some(first) = request.parts.first()
            && script.u8() == 0xff
        {
            said.push(Said { place: (first.place.0.clone(), 9), error: 0, base_offset: 1 });
        }
        said
    }
}

impl Log {
    fn append(&mut self, name: Option<&Name>) -> i64 {
        let known = name.and_then(|name| self.batches.iter().find(|(known, _)| known == name));
        if let Some((_, offset)) = known {
            return *offset;
        }
        let offset = self.end;
        self.end += name.map_or(1, Name::records);
        self.batches.extend(name.map(|name| (name.clone(), offset)));
        offset
    }
}

struct Play {
    world: World,
    lines: [Line; 2],
    /// The frames sent first, for retries.
    sent: Vec<Vec<u8>>,
}

impl Play {
    fn new() -> Self {
        let clusters = [Cluster::new(), Cluster::new()];
        let lines = [0, 1].map(|id| Line::new(id, clusters[0].clone()));
        let policy = Policy {
            mode: Mode::Dedupe,
            mixed: Mixed::Strip,
            authoritative: false,
            look_up: false,
            producer_expiration_ms: PRODUCER_EXPIRATION_MS,
        };
        let world = World {
            clusters,
            truths: Default::default(),
            logs: HashMap::new(),
            now_ms: 1_000,
            generation: 0,
            policy,
            serial: 1,
        };
        Self { world, lines, sent: Vec::new() }
    }

    fn turn(&mut self, script: &mut Bytes<'_>) {
        let (what, n) = (script.u8(), script.u8());
        let on = usize::from(n & 1);
        match what % 16 {
            0..=3 => {
                let correlation_id = self.world.next().cast_signed();
                let frame = script::request(script, correlation_id);
                self.send(on, frame, n >> 1);
            }
            4..=6 => {
                let places = self.sent.len().max(1);
                if let Some(frame) = self.sent.get(usize::from(n >> 1) % places).cloned() {
                    self.send(on, frame, n >> 1);
                }
            }
            7..=11 => self.answer(on, n, script),
            12 => self.world.now_ms += u64::from(n) * 20,
            13 => self.change(n),
            14 => self.learn(on, script),
            _ => self.turn_of_a_line(on, n),
        }
        for line in &mut self.lines {
            line.grant_wish(&mut self.world);
        }
        for cluster in &self.world.clusters {
            cluster.check();
        }
    }

    /// Sends a frame whole, or, now and then, in pieces.
    fn send(&mut self, on: usize, frame: Vec<u8>, n: u8) {
        if self.sent.len() < 64 {
            self.sent.push(frame.clone());
        }
        if n & 0x70 == 0x70 {
            self.lines[on].begin_stream(&mut self.world, frame);
        } else {
            self.lines[on].admit(&mut self.world, frame);
        }
        self.check_hold();
    }

    /// Whoever waits waits for something.
    fn check_hold(&self) {
        let is_held = self.lines.iter().any(Line::is_held);
        assert!(!is_held || self.lines.iter().any(Line::has_something_open), "a request waits for nothing");
    }

    fn answer(&mut self, on: usize, n: u8, script: &mut Bytes<'_>) {
        self.lines[on].answer(&mut self.world, n, script);
        self.wake_held();
    }

    fn wake_held(&mut self) {
        for line in &mut self.lines {
            line.ask_again(&mut self.world, false);
        }
        self.check_hold();
    }

    fn change(&mut self, n: u8) {
        let world = &mut self.world;
        world.policy.mode = match n & 0x42 {
            0 => Mode::Dedupe,
            0x40 => Mode::Enforce,
            _ => Mode::Observe,
        };
        world.policy.look_up = n & 0x80 != 0;
        world.policy.mixed = if n & 4 == 0 { Mixed::Strip } else { Mixed::Forward };
        world.policy.authoritative = n & 8 != 0;
        world.generation += u32::from(n & 16 != 0);
        if n & 32 != 0 {
            world.clusters[0].sweep(world.now_ms);
        }
    }

    fn learn(&mut self, on: usize, script: &mut Bytes<'_>) {
        let (what, n) = (script.u8(), script.u8());
        let line = &mut self.lines[on];
        let truth = &mut self.world.truths[line.cluster];
        let (name, id) = ([b't' + (n >> 2) % 3], TopicId([n % 4; 16]));
        let name = (n & 0x80 == 0).then_some(&name[..]);
        let id = (n & 0x40 == 0).then_some(id);
        let fact = match what % 8 {
            0 => {
                let (producer, epoch) = (i64::from(n % 6), i16::from(n >> 6));
                truth.learn(truth::Evidence::Producer { id: producer, epoch });
                let (producer_id, epoch) = (ProducerId::new(producer), ProducerEpoch::new(epoch));
                Fact::Producer { error: 0, producer_id, epoch }
            }
            1..=3 => {
                if let (Some(name), Some(id)) = (name, id) {
                    truth.link(name, id);
                }
                Fact::Topic { error: 0, name, id }
            }
            4 => {
                truth.delete(name, id);
                Fact::DeletedTopic { error: 0, name, id }
            }
            what @ (5 | 6) => {
                if n & 8 == 0 {
                    line.sasl.begin();
                    line.session.auth_mut().exchange_begins();
                }
                match (line.sasl.open, what) {
                    (0, _) => return,
                    (_, 5) => Fact::SaslHandshake { error: i16::from(n & 1) },
                    _ => {
                        let session_lifetime_ms = i64::from(n >> 4) * 100;
                        Fact::SaslAuthenticate { error: i16::from(n & 1), session_lifetime_ms }
                    }
                }
            }
            _ => Fact::Topic { error: 5, name, id },
        };
        line.learn(&self.world, fact, i16::from(n >> 1 & 1));
    }

    /// What else happens to a connection.
    fn turn_of_a_line(&mut self, on: usize, n: u8) {
        let (line, world) = (&mut self.lines[on], &mut self.world);
        match n >> 1 & 7 {
            0 => line.reset(world),
            1 => line.switch(world),
            2 => line.learn(world, Fact::Broker { node_id: 1, host: b"h", port: 9 }, 0),
            3 => line.broker = u32::from(n >> 4) & 1,
            4 if line.is_held() => line.ask_again(world, true),
            4 => line.give_up_looking(world),
            _ => line.stream(world, usize::from(n >> 4) * 16 + 1),
        }
        self.wake_held();
    }

    /// The connections end, and time passes: nothing stays in flight, and nothing is kept.
    fn end(mut self) {
        for line in &mut self.lines {
            line.reset(&mut self.world);
        }
        for cluster in &self.world.clusters {
            cluster.check_end(self.world.now_ms);
        }
    }
}
