//! The end of a run: nothing goes wrong any more, everybody gets through, and all accounts are closed.

use super::World;
use crate::clients::Client;
use crate::random::{Random, mix};

/// Rounds in which everybody must get through, beside those in which somebody reads on in a log.
const ROUNDS: usize = 300;

/// How many of those there may be: an answer holds one batch perhaps, and a request may have to wait for the looks of
/// several partitions, and for those of others into the same ones. More is a look that comes to no end.
const READING_ROUNDS: usize = 10_000;

impl World {
    pub(super) fn end(&mut self) {
        if self.problem.is_some() {
            return;
        }
        self.tell(|| "# calm".into());
        self.is_calm = true;
        self.cluster.partitions.iter_mut().for_each(|partition| partition.trouble = None);
        self.connections.iter_mut().for_each(|connection| connection.hangs = false);
        let mut random = Random::new(1);
        let (mut rounds, mut reading_rounds) = (0, 0);
        while self.problem.is_none() && !(0..self.clients.len()).all(|client| self.is_through(client)) {
            if rounds > ROUNDS || reading_rounds > READING_ROUNDS {
                let waits = (0..self.clients.len()).find(|client| !self.is_through(*client));
                return self.fail(format!("a client waits for ever: {:?}", waits.map(|client| self.show(client))));
            }
            let read = self.own_answers;
            self.calm_round(&mut random);
            *(if self.own_answers > read { &mut reading_rounds } else { &mut rounds }) += 1;
        }
        self.judge_limits();
        (0..self.clients.len()).for_each(|client| self.close_account(client));
        if !self.direct && self.problem.is_none() {
            self.judge_tickets();
        }
    }

    fn show(&self, client: usize) -> String {
        let Client { family, parts, epoch, .. } = &self.clients[client];
        let part = parts.iter().find(|part| !part.flying.is_empty() || !part.waiting.is_empty());
        format!("{} at epoch {epoch}: {part:?}", family.name())
    }

    fn is_through(&self, client: usize) -> bool {
        let client = &self.clients[client];
        client.dead.is_some() || !client.family.is_honest() || (client.is_idle() && !client.transaction_failed)
    }

    fn calm_round(&mut self, random: &mut Random) {
        for client in 0..self.clients.len() {
            for broker in 0..self.setup.make.brokers {
                self.step += 1;
                self.send_to(client, broker, false, random);
            }
            self.try_end_transaction(client);
        }
        (0..self.cluster.partitions.len()).for_each(|partition| self.cluster.replicate(partition));
        for at in self.live.clone() {
            self.deliver_all(at, random);
        }
    }

    /// Most of what is on its way arrives, and nothing new is sent.
    pub(super) fn deliver_most(&mut self, random: &mut Random) {
        let number = random.next();
        for at in self.live.clone() {
            // With a proxy others are alive, and they take nothing of what these are drawn from.
            let mut random = Random::new(mix(number ^ at as u64));
            if random.percent(80) {
                self.deliver_all(at, &mut random);
            }
        }
    }

    /// What is on its way on a connection arrives.
    fn deliver_all(&mut self, at: usize, random: &mut Random) {
        self.step += 1;
        while self.connections[at].has_to_send() {
            // Of its own, so that a proxy takes nothing of what the others are drawn from.
            self.proxy_takes(at, &mut Random::new(self.step));
            if self.connections[at].held {
                break;
            }
        }
        while !self.connections[at].to_broker.is_empty() && self.connections[at].waiting.is_none() {
            self.broker_takes(at, random);
            (0..self.cluster.partitions.len()).for_each(|partition| self.cluster.replicate(partition));
            self.broker_finishes(at);
        }
        self.broker_finishes(at);
        while self.connections[at].broker_here && !self.connections[at].from_broker.is_empty() {
            self.step += 1;
            self.proxy_hears(at);
        }
        while self.connections[at].client_here && !self.connections[at].to_client.is_empty() {
            self.client_hears(at);
        }
        self.tidy(at);
    }

    /// Memory stays within its limits.
    fn judge_limits(&mut self) {
        if self.direct {
            return;
        }
        for at in 0..self.proxies.len() {
            let usage = self.proxies[at].usage(self.now_ms);
            let limits = self.proxies[at].limits;
            // Each of the trackers of each cluster has room for one of its own, and what is in flight is not evicted.
            let producers_max = limits.producers_max * 2 * usage.ledgers + usage.pending + usage.unknown;
            if usage.producers > producers_max {
                self.fail(format!("{} producers where {} are allowed", usage.producers, limits.producers_max));
            }
        }
    }

    /// Every ticket is settled once everything has ended, and nothing stays for ever.
    fn judge_tickets(&mut self) {
        for at in self.live.clone() {
            self.broker_goes(at, false);
        }
        for at in 0..self.proxies.len() {
            let usage = self.proxies[at].usage(self.now_ms);
            if usage.pending != 0 || usage.open != usage.unknown {
                self.fail(format!("tickets are left: {usage:?}"));
            }
        }
        self.now_ms += 2 * 3_600_000;
        for _ in 0..3 {
            self.proxies.iter().for_each(|proxy| proxy.sweep(self.now_ms));
        }
        for at in 0..self.proxies.len() {
            let usage = self.proxies[at].usage(self.now_ms);
            if usage.producers != 0 || usage.open != 0 {
                self.fail(format!("something stays for ever: {usage:?}"));
            }
        }
    }
}
