//! Judges answers and logs: nothing lost, nothing false, nothing doubled that the proxy could have known of.

use std::collections::HashMap;

use super::World;
use crate::batch::Record;
use crate::clients::{Acked, Client};
use crate::wire::{Request, Response, Said};

impl World {
    /// An answer that was made here: exactly what was asked for, and true.
    pub(crate) fn judge_local(&mut self, at: usize, request: &Request, response: &Response) {
        self.tell(|| format!("# c{at} is answered here: {:?}", response.said));
        let whole = Response {
            correlation_id: request.correlation_id,
            throttle_ms: 0,
            endpoints: Vec::new(),
            ..response.clone()
        };
        if *response != whole {
            self.fail(format!("a local answer says more than it may: {response:?}"));
        }
        for (topic, index, records) in &request.entries {
            let Some(said) = response.said.iter().find(|said| (&said.topic, said.partition) == (topic, *index)) else {
                return self.fail(format!("{topic:?}-{index} is missing in {response:?}"));
            };
            self.judge_truth(at, said, records);
        }
    }

    /// The cluster has acknowledged this very batch there.
    pub(super) fn judge_truth(&mut self, at: usize, said: &Said, records: &[u8]) {
        let batch = crate::batch::Batch::read(records);
        let number = self.number_of(&said.topic, said.partition);
        let born_in = self.connections[at].born_in;
        let is_true = said.error == 0
            && (self.cluster.has_committed(number, said, &batch, born_in) || self.is_brokers_mistake(number, &batch));
        if !is_true {
            self.fail(format!("a false ack: {said:?} of {batch:?}"));
        }
    }

    /// A stripped request's answer: what the broker said, and the rest from proofs.
    pub(crate) fn judge_merged(&mut self, request: &Request, sent: &[usize], broker: &Response, merged: &Response) {
        let rest = (broker.correlation_id, broker.throttle_ms, &broker.endpoints);
        if rest != (merged.correlation_id, merged.throttle_ms, &merged.endpoints) {
            self.fail(format!("{broker:?} became {merged:?}"));
        }
        if merged.said.len() != request.entries.len() {
            self.fail(format!("{} entries were asked for, and {merged:?} came", request.entries.len()));
        }
        for (place, (topic, index, records)) in request.entries.iter().enumerate() {
            let of = |response: &Response| {
                response.said.iter().find(|said| (&said.topic, said.partition) == (topic, *index)).cloned()
            };
            let Some(said) = of(merged) else {
                return self.fail(format!("{topic:?}-{index} is missing in {merged:?}"));
            };
            if !sent.contains(&place) {
                let batch = crate::batch::Batch::read(records);
                let number = self.number_of(topic, *index);
                let is_true =
                    self.cluster.has_committed(number, &said, &batch, 0) || self.is_brokers_mistake(number, &batch);
                if said.error != 0 || !is_true {
                    self.fail(format!("a false ack: {said:?} of {batch:?}"));
                }
            } else if of(broker) != Some(said) {
                self.fail(format!("{broker:?} became {merged:?}"));
            }
        }
    }

    /// Every partition that was asked for is answered, once.
    pub(super) fn judge_complete(&mut self, request: &Request, response: &Response) {
        let mut asked: Vec<_> = request.entries.iter().map(|(topic, index, _)| (topic.clone(), *index)).collect();
        asked.sort();
        asked.dedup();
        let mut told: Vec<_> = response.said.iter().map(|said| (said.topic.clone(), said.partition)).collect();
        told.sort();
        if asked != told {
            self.fail(format!("{asked:?} was asked for, and {told:?} answered"));
        }
    }

    /// A client's account is closed: what it was told must stand in the log.
    pub(super) fn close_account(&mut self, client: usize) {
        let closed = self.clients[client].reborn(0);
        let client = std::mem::replace(&mut self.clients[client], closed);
        self.tally.dead += u64::from(client.dead.is_some());
        for partition in 0..client.parts.len() {
            self.judge_part(&client, partition);
        }
    }

    fn judge_part(&mut self, client: &Client, at: usize) {
        let part = &client.parts[at];
        let log = &self.cluster.partitions[at].log;
        self.tally.acked += part.acked.iter().map(|acked| acked.batch.records.len() as u64).sum::<u64>();
        if !client.family.is_honest() || self.cluster.partitions[at].has_lost || client.born_in < self.cluster.wipes {
            return;
        }
        self.tally.failed += part.failed.len() as u64;
        let mut places: HashMap<Record, Vec<i64>> = HashMap::new();
        let own = |record: &&Record| **record >> 24 == client.id as u32 && **record >> 16 & 0xff == at as u32;
        for (offset, batch) in log.batches() {
            for (place, record) in batch.records.iter().enumerate().filter(|(_, record)| own(record)) {
                places.entry(*record).or_default().push(offset + place as i64);
            }
        }
        self.tally.doubled += places.values().map(|at| at.len() as u64 - 1).sum::<u64>();
        for acked in &part.acked {
            for (place, record) in acked.batch.records.iter().enumerate() {
                let stands = places.get(record);
                let is_there = match (acked.offset, stands) {
                    (Some(offset), Some(stands)) => stands.contains(&(offset + place as i64)),
                    (None, stands) => stands.is_some(),
                    (Some(_), None) => false,
                };
                if !is_there && !Self::may_be_missing(client, acked) {
                    return self.fail(format!("a lost record: {record:x} of {acked:?} is not there: {stands:?}"));
                }
            }
        }
    }

    /// Numbers that are used twice in a partition lead brokers themselves to false acknowledgements, which are passed on.
    fn is_brokers_mistake(&self, partition: usize, batch: &crate::batch::Batch) -> bool {
        self.cluster.has_twice(partition, batch)
    }

    /// Who numbers batches anew while they are on their way is told falsehoods by brokers themselves, which compare ranges
    /// and not what is in them. And what librdkafka takes from a later success nobody has said.
    const fn may_be_missing(client: &Client, acked: &Acked) -> bool {
        client.family.reuses_sequences() || client.family.compresses_anew() && acked.offset.is_none()
    }
}
