//! Clients send, hear, and ask for what they need to know.

use super::World;
use crate::clients::{Client, Family};
use crate::proxy::{Api, Frame};
use crate::random::Random;
use crate::wire::{Request, Response, TopicKey};

impl World {
    /// A client sends what it has for one broker, or what it needs before.
    pub(super) fn send(&mut self, random: &mut Random) {
        let client = random.below(self.clients.len());
        let broker = random.below(self.setup.make.brokers);
        self.send_to(client, broker, true, random);
    }

    pub(super) fn send_to(&mut self, client: usize, broker: usize, makes: bool, random: &mut Random) {
        if self.clients[client].dead.is_some() {
            return;
        }
        if makes && self.clients[client].keeps && self.clients[client].family == Family::Rude && random.percent(20) {
            // It leaves the connection as it is, and opens another one.
            self.clients[client].connections[broker] = None;
        }
        let at = match self.clients[client].connections[broker] {
            Some(at) => at,
            None => {
                let proxy = random.below(self.setup.proxies);
                let at = self.connect(client, proxy, broker);
                if random.percent(60) {
                    self.ask(at, Api::Metadata);
                }
                at
            }
        };
        if self.clients[client].producer_id.is_none() {
            if !self.clients[client].asked_for_id {
                self.clients[client].asked_for_id = true;
                self.ask(at, Api::InitProducerId);
            }
            return;
        }
        let places = self.places(client);
        if let Some(request) = self.clients[client].request(broker, at, &places, makes, random) {
            self.post(at, request);
        }
    }

    /// What a client calls the partitions: by name, by the id it knows, and their index.
    fn places(&self, client: usize) -> Vec<(TopicKey, TopicKey, i32)> {
        let ids = &self.clients[client].topic_ids;
        let place = |at: usize| {
            let (topic, index) = self.cluster.place(at);
            let id = ids[at / self.setup.make.partitions];
            (TopicKey::Name(topic.name.clone()), TopicKey::Id(id), index)
        };
        (0..self.cluster.partitions.len()).map(place).collect()
    }

    fn post(&mut self, at: usize, request: Request) {
        self.tell(|| told(at, &request));
        let client = &self.clients[self.connections[at].client];
        if let (Family::Transactional(false), Some(producer_id)) = (client.family, client.producer_id) {
            let epoch = client.epoch;
            for (topic, index, _) in &request.entries {
                if let Ok(partition) = self.cluster.find(topic, *index) {
                    self.cluster.add_to_transaction(producer_id, epoch, partition);
                }
            }
        }
        let (version, correlation_id, silent) = (request.version, request.correlation_id, request.acks == 0);
        let bytes = request.frame();
        let connection = &mut self.connections[at];
        connection.from_client.push_back(Frame { api: Api::Produce(version), correlation_id, bytes, silent });
        if !silent {
            connection.awaited.push_back((correlation_id, Some(request)));
        }
    }

    /// Asks for something else than to produce.
    pub(super) fn ask(&mut self, at: usize, api: Api) {
        let correlation_id = self.clients[self.connections[at].client].next_correlation_id();
        self.tell(|| format!("c{at}> {}", if api == Api::Metadata { "metadata" } else { "init" }));
        let connection = &mut self.connections[at];
        connection.from_client.push_back(Frame { api, correlation_id, bytes: Vec::new(), silent: false });
        connection.awaited.push_back((correlation_id, None));
    }

    pub(super) fn ask_metadata(&mut self, random: &mut Random) {
        if let Some(at) = self.pick(random, |it| it.client_here) {
            self.ask(at, Api::Metadata);
        }
    }

    /// A client reads the next answer: it must be the one that it waits for.
    pub(super) fn client_hears(&mut self, at: usize) {
        let Some(frame) = self.connections[at].to_client.pop_front() else { return };
        let Some((correlation_id, request)) = self.connections[at].awaited.pop_front() else {
            return self.fail("an answer came that nobody waits for".into());
        };
        if frame.correlation_id != correlation_id {
            return self.fail(format!("the answer to {} came where {correlation_id} was due", frame.correlation_id));
        }
        match (frame.api, request) {
            (Api::Produce(version), Some(request)) => {
                self.hear_produce(at, &request, &Response::read(version, &frame.bytes))
            }
            (Api::Metadata, None) => {
                let client = self.connections[at].client;
                self.refresh(client);
            }
            (Api::InitProducerId, None) => {
                let number = |at: usize| i64::from_be_bytes(frame.bytes[at..at + 8].try_into().expect("eight bytes"));
                let epoch = i16::from_be_bytes([frame.bytes[23], frame.bytes[24]]);
                let client = &mut self.clients[self.connections[at].client];
                client.take_id(number(15), epoch);
            }
            _ => self.fail("an answer of another kind".into()),
        }
    }

    pub(super) fn refresh(&mut self, client: usize) {
        self.clients[client].leaders = self.cluster.partitions.iter().map(|partition| partition.leader).collect();
        self.clients[client].topic_ids = self.cluster.topics.iter().map(|topic| topic.id).collect();
    }

    fn hear_produce(&mut self, at: usize, request: &Request, response: &Response) {
        self.judge_complete(request, response);
        let client = self.connections[at].client;
        for said in &response.said {
            let partition = self.number_of(&said.topic, said.partition);
            self.connections[at].disturbed |= said.error != 0;
            self.clients[client].hear(partition, at, response.correlation_id, said);
            if matches!(said.error, 3 | 6 | 100) {
                // Clients ask for metadata; that it comes a little later changes nothing.
                self.refresh(client);
            }
        }
    }

    /// A client ends its transaction: commits it, or aborts it if anything in it has failed.
    pub(super) fn end_transaction(&mut self, random: &mut Random) {
        let client = random.below(self.clients.len());
        self.try_end_transaction(client);
    }

    pub(super) fn try_end_transaction(&mut self, client: usize) {
        let Client { family, transaction_failed, producer_id, epoch, .. } = self.clients[client];
        let (Family::Transactional(bumps), Some(producer_id)) = (family, producer_id) else { return };
        let flies = self.clients[client].parts.iter().any(|part| !part.flying.is_empty());
        if flies || !(transaction_failed || self.clients[client].is_idle()) {
            return;
        }
        self.tell(|| format!("# client {client} ends its transaction"));
        self.cluster.end_transaction(producer_id, bumps);
        // After an abort an older client asks for its next epoch.
        self.clients[client].end_transaction((bumps || transaction_failed).then(|| epoch + 1));
    }
}

/// A request in the words of golden scenarios.
fn told(at: usize, request: &Request) -> String {
    let mut words = format!("c{at}> produce v={} acks={}", request.version, request.acks);
    if let Some(id) = &request.transactional_id {
        words += &format!(" transactional_id={id}");
    }
    for (place, (topic, index, records)) in request.entries.iter().enumerate() {
        let batch = crate::batch::Batch::read(records);
        let topic = match topic {
            TopicKey::Name(name) => format!("topic={name}"),
            TopicKey::Id(id) => format!("id={id}"),
        };
        words += &format!("{} {topic} partition={index} {batch:?}", if place > 0 { " |" } else { "" });
    }
    words
}
