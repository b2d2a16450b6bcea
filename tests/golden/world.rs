//! Clusters, brokers, connections and a clock, moved by commands.

use std::collections::BTreeMap;

use seqgate_protocol::sequencing::{BrokerGeneration, ConnectionId, Millis, TrackerLimits};
use seqgate_protocol::session::{Ledger, Mixed, Mode, Policy, Present, Session};
use seqgate_protocol::wire::learn::Fact;

use crate::connection::Connection;
use crate::facts;
use crate::memory::Handle;
use crate::words::{number, pairs};

/// Everything that a scenario moves.
#[derive(Debug)]
pub(crate) struct World {
    clusters: BTreeMap<String, Handle>,
    connections: BTreeMap<String, Connection>,
    generations: BTreeMap<u32, u32>,
    now: Millis,
    policy: Policy,
    serves_without_sasl: bool,
    limits: TrackerLimits,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clusters: BTreeMap::new(),
            connections: BTreeMap::new(),
            generations: BTreeMap::new(),
            now: Millis(1_000_000),
            policy: Policy {
                mode: Mode::Dedupe,
                mixed: Mixed::Strip,
                authoritative: false,
                look_up: false,
                producer_expiration_ms: 0,
            },
            serves_without_sasl: true,
            limits: TrackerLimits::default(),
        }
    }
}

impl World {
    /// Runs one command; returns what it came to.
    pub(crate) fn step(&mut self, command: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let (first, rest) = command.split_once(' ').unwrap_or((command, ""));
        match first {
            "set" => self.set(rest)?,
            "connect" => self.connect(rest)?,
            "close" => self.connection(rest)?.0.close(),
            "lose" => self.lose(rest)?,
            "restart" => self.restart(number(rest)?),
            "wait" => self.now.0 += 1000 * number::<u64>(rest.strip_suffix('s').ok_or("how many seconds")?)?,
            "sweep" => self.sweep(),
            "learn" => {
                let (name, rest) = rest.split_once(' ').ok_or("learn what")?;
                let (kind, words) = rest.split_once(' ').unwrap_or((rest, ""));
                self.learn(name, kind, words, &mut lines)?;
            }
            "state" => self.state(&mut lines),
            _ => match (first.strip_suffix('>'), first.strip_suffix('<')) {
                (Some(name), _) => self.request(name, rest, &mut lines)?,
                (_, Some(name)) => self.response(name, rest, &mut lines)?,
                _ => return Err("not understood".into()),
            },
        }
        self.release_held(&mut lines);
        Ok(lines)
    }

    /// Ends every connection; nothing may be left in flight.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        let now = self.now;
        self.connections.values_mut().for_each(|connection| connection.lose(now));
        let mut lines = Vec::new();
        self.state(&mut lines);
        let in_flight = lines.iter().filter(|line| line.contains("pending") && !line.contains("pending 0"));
        in_flight.map(|line| Err(format!("a ticket was not settled: {line}"))).next().unwrap_or(Ok(()))
    }

    fn set(&mut self, words: &str) -> Result<(), String> {
        for (key, value) in pairs(words) {
            match (key, value) {
                ("mode", "observe") => self.policy.mode = Mode::Observe,
                ("mode", "dedupe") => self.policy.mode = Mode::Dedupe,
                ("mixed", "forward") => self.policy.mixed = Mixed::Forward,
                ("authoritative", "") => self.policy.authoritative = true,
                ("sasl", "") => self.serves_without_sasl = false,
                ("window", value) => self.limits.window = number(value)?,
                ("producers_max", value) => self.limits.producers_max = number(value)?,
                _ => return Err(format!("{key} is not understood")),
            }
        }
        Ok(())
    }

    fn connect(&mut self, words: &str) -> Result<(), String> {
        let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (mut broker, mut cluster) = (1, "main");
        for (key, value) in pairs(rest) {
            match key {
                "broker" => broker = number(value)?,
                "cluster" => cluster = value,
                _ => return Err(format!("{key} is not understood")),
            }
        }
        let id = ConnectionId(u32::try_from(self.connections.len()).unwrap());
        let session = Session::new(id, self.cluster(cluster));
        if self.connections.insert(name.into(), Connection::new(session, broker)).is_some() {
            return Err(format!("{name} is connected already"));
        }
        Ok(())
    }

    fn cluster(&mut self, name: &str) -> Handle {
        self.clusters.entry(name.into()).or_insert_with(|| Handle::new(self.limits)).clone()
    }

    /// The connection, and what is true for it now.
    fn connection(&mut self, name: &str) -> Result<(&mut Connection, Present), String> {
        if !self.connections.contains_key(name) && name.len() == 1 {
            self.connect(name)?;
        }
        let connection = self.connections.get_mut(name).ok_or_else(|| format!("no connection {name}"))?;
        let broker = connection.broker;
        let generation = self.generations.get(&broker).copied().unwrap_or_default();
        let present = Present {
            now: self.now,
            broker: BrokerGeneration { broker, generation },
            policy: self.policy,
            serves_without_sasl: self.serves_without_sasl,
            keep_bytes_max: usize::MAX,
            may_look: false,
            guards: false,
            unix_ms: 0,
        };
        Ok((connection, present))
    }

    fn request(&mut self, name: &str, words: &str, lines: &mut Vec<String>) -> Result<(), String> {
        let (connection, present) = self.connection(name)?;
        match words.split_once(' ').unwrap_or((words, "")) {
            ("produce", rest) => connection.produce(rest, &present, lines),
            ("unread", why) => connection.ask_unreadable(why, &present, lines),
            (kind, _) => {
                connection.ask(kind);
                Ok(())
            }
        }
    }

    fn response(&mut self, name: &str, words: &str, lines: &mut Vec<String>) -> Result<(), String> {
        let (connection, present) = self.connection(name)?;
        let Some((kind, rest)) = connection.answer(words, &present, lines)? else { return Ok(()) };
        self.learn(name, &kind, &rest, lines)?;
        lines.push("client: identical".into());
        let (connection, present) = self.connection(name)?;
        connection.release(present.now, lines);
        Ok(())
    }

    /// Takes an answer in, as a relay does before the client sees it.
    fn learn(&mut self, name: &str, kind: &str, words: &str, lines: &mut Vec<String>) -> Result<(), String> {
        let (connection, present) = self.connection(name)?;
        let mut numbers = pairs(words).map(|(_, value)| number::<i64>(value));
        let fact = match kind {
            "handshake" => Some((Fact::SaslHandshake { error: 0 }, numbers.next().ok_or("which version")?? as i16)),
            "authenticate" => {
                let session_lifetime_ms = numbers.next().ok_or("which lifetime")??;
                Some((Fact::SaslAuthenticate { error: 0, session_lifetime_ms }, 2))
            }
            _ => None,
        };
        if let Some((fact, version)) = fact {
            connection.session.learn(fact, version, &present, &mut |_| {});
            return Ok(());
        }
        let Some(id) = facts::learn(&mut connection.session, kind, words, &present, lines)? else { return Ok(()) };
        let known = connection.session.ledger().clone();
        let mut known_id = known.0.id.borrow_mut();
        if known_id.as_deref().is_some_and(|known_id| known_id != id) {
            known.each_tracker(|tracker| tracker.end_cluster());
            let other = self.cluster(&id);
            *other.0.id.borrow_mut() = Some(id);
            assert!(self.connection(name)?.0.session.switch(other));
            lines.push("another cluster".into());
        } else {
            *known_id = Some(id);
        }
        Ok(())
    }

    /// The connection's upstream ends in a way that nobody here caused.
    fn lose(&mut self, name: &str) -> Result<(), String> {
        let now = self.now;
        let (connection, present) = self.connection(name)?;
        connection.lose(now);
        *self.generations.entry(present.broker.broker).or_default() += 1;
        Ok(())
    }

    fn restart(&mut self, broker: u32) {
        *self.generations.entry(broker).or_default() += 1;
        let now = self.now;
        for connection in self.connections.values_mut().filter(|connection| connection.broker == broker) {
            connection.lose(now);
        }
    }

    fn sweep(&mut self) {
        for cluster in self.clusters.values() {
            cluster.each_tracker(|tracker| tracker.sweep(1000, self.now));
        }
    }

    fn release_held(&mut self, lines: &mut Vec<String>) {
        let names: Vec<String> = self.connections.keys().cloned().collect();
        for name in names {
            let mut released = Vec::new();
            if let Ok((connection, present)) = self.connection(&name) {
                connection.ask_again(&present, &mut released);
            }
            lines.extend(released.iter().map(|line| format!("{name} goes on: {line}")));
        }
    }

    /// What is known of every producer on every partition.
    fn state(&self, lines: &mut Vec<String>) {
        for (name, cluster) in &self.clusters {
            let prefix = if self.clusters.len() > 1 { format!("{name}: ") } else { String::new() };
            let mut found = Vec::new();
            cluster.each_tracker(|tracker| {
                tracker.report(0, 1000, self.now, |report| {
                    let topic = report.topic.map_or_else(
                        || format!("#{}", report.topic_id.map_or(0, |id| id.0[0])),
                        |name| String::from_utf8_lossy(&name).into_owned(),
                    );
                    let epoch = report.epoch.map_or("cold".into(), |epoch| format!("epoch {epoch}"));
                    let expected = report.expected.map_or(String::new(), |n| format!(", expected {}", n.get()));
                    found.push(format!(
                        "{prefix}{topic}-{} producer {}: {epoch}{expected}, acknowledged {}, proofs {}, pending {}, unknown {}",
                        report.partition,
                        report.producer_id.get(),
                        report.acknowledged,
                        report.proofs,
                        report.pending,
                        report.unknown
                    ));
                    true
                });
            });
            found.sort();
            lines.extend(found);
            lines.push(format!("{prefix}open {}", cluster.open_attempts()));
        }
    }
}
