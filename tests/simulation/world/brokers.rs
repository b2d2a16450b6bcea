//! Brokers take requests, one at a time per connection, and answer them.

use crate::cluster::{Cluster, Handled};
use crate::primitive::framed;
use crate::proxy::{Api, Frame};
use crate::random::Random;
use crate::wire::{Request, Response};

use super::World;

impl World {
    /// A broker takes the next request of a connection.
    pub(super) fn broker_takes(&mut self, at: usize, random: &mut Random) {
        if self.connections[at].hangs && random.percent(80) {
            return;
        }
        self.connections[at].hangs = false;
        let Some(frame) = self.connections[at].to_broker.pop_front() else { return };
        if frame.api == Api::Own {
            return self.broker_reads(at, frame, random);
        }
        let Frame { api, correlation_id, bytes, .. } = frame;
        match api {
            Api::Own | Api::Log | Api::End | Api::Topic | Api::Producers => unreachable!("an answer, or taken care of"),
            Api::Metadata => {
                let bytes = framed(&self.cluster.metadata(correlation_id));
                self.answer(at, Frame { api, correlation_id, bytes, silent: true });
            }
            Api::InitProducerId => {
                let client = &self.clients[self.connections[at].client];
                let known = client.producer_id.filter(|_| client.family.is_transactional());
                let (producer_id, epoch) = match known {
                    Some(known) => (known, client.epoch.saturating_add(1)),
                    None => (self.cluster.hand_out(), 0),
                };
                let bytes = framed(&Cluster::init_producer_id(correlation_id, producer_id, epoch));
                self.answer(at, Frame { api, correlation_id, bytes, silent: true });
            }
            Api::Produce(version) => {
                let throttle_ms = if random.percent(self.setup.throttles) { 50 } else { 0 };
                let request = Request::read(&bytes);
                match self.cluster.handle(self.connections[at].broker, &request, throttle_ms) {
                    Handled::Answered(response) => self.answer_produce(at, version, &response),
                    Handled::Waits(waiting) => {
                        self.connections[at].waiting = Some((version, waiting));
                        if !self.setup.make.lags {
                            self.broker_finishes(at);
                        }
                    }
                    Handled::Silent => {}
                    Handled::Closed => self.broker_goes(at, false),
                }
            }
        }
    }

    /// A broker answers a request whose batches all replicas have, or, now and then, one that has timed out.
    pub(super) fn broker_answers(&mut self, random: &mut Random) {
        let times_out = random.percent(15);
        let waits = self.pick(random, |it| {
            it.waiting.as_ref().is_some_and(|(_, waiting)| times_out || self.cluster.is_done(waiting))
        });
        if let Some(at) = waits {
            self.broker_finishes(at);
        }
    }

    pub(super) fn broker_finishes(&mut self, at: usize) {
        let Some((version, waiting)) = self.connections[at].waiting.take() else { return };
        let response = self.cluster.finish(waiting);
        self.answer_produce(at, version, &response);
    }

    fn answer_produce(&mut self, at: usize, version: i16, response: &Response) {
        for said in &response.said {
            let partition = self.number_of(&said.topic, said.partition);
            self.log_starts.insert((partition, said.log_start));
        }
        // What a version cannot carry is not said.
        let bytes = response.frame(version);
        let correlation_id = response.correlation_id;
        self.answer(at, Frame { api: Api::Produce(version), correlation_id, bytes, silent: true });
    }

    pub(super) fn answer(&mut self, at: usize, frame: Frame) {
        if self.connections[at].broker_here {
            self.connections[at].from_broker.push_back(frame);
        }
    }
}
