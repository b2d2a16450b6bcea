//! The clients: what they send, and what they make of the answers.

use std::collections::VecDeque;

use seqgate_protocol::sequencing::ConnectionId;
use seqgate_protocol::session::Session;

use super::{Connection, PARTITIONS, Slot, VERSION, World};
use crate::broker::Sent;
use crate::frames::{self, BatchSpec, Entry, Request};

/// A client with one idempotent producer that retries in order, over a new connection.
#[derive(Debug, Default)]
pub(super) struct Producer {
    pub(super) next: [i32; PARTITIONS],
    pub(super) unacked: [VecDeque<Sent>; PARTITIONS],
    pub(super) connection: Option<usize>,
    /// It was told 45 by the broker, and would begin a new epoch or give up.
    pub(super) given_up: bool,
}

impl World {
    /// A producer sends one new batch to one or two partitions; after a loss, first all that is not acknowledged.
    pub(super) fn send(&mut self, producer: usize, how: usize) {
        if self.producers[producer].given_up {
            return;
        }
        if self.producers[producer].connection.is_none() {
            self.reconnect(producer, how);
            return;
        }
        let mut entries = Vec::new();
        for partition in 0..PARTITIONS {
            let client = &mut self.producers[producer];
            if (how >> 4) % 3 != partition && client.unacked[partition].len() < 5 {
                let count = 1 + i32::try_from(how % 3).unwrap();
                let base = client.next[partition];
                let sent = Sent { producer_id: producer as i64, epoch: 0, base, count };
                client.next[partition] += count;
                client.unacked[partition].push_back(sent);
                entries.push((partition, sent));
            }
        }
        self.request(producer, &entries);
    }

    /// All that is not acknowledged is sent again, grouped otherwise than at first.
    pub(super) fn reconnect(&mut self, producer: usize, how: usize) {
        let id = ConnectionId(u32::try_from(self.connections.len()).unwrap());
        self.producers[producer].connection = Some(self.connections.len());
        self.connections.push(Connection {
            session: Session::new(id, self.ledger.clone()),
            producer,
            slots: VecDeque::new(),
            held: VecDeque::new(),
            awaited: VecDeque::new(),
            client_gone: false,
            upstream_gone: false,
        });
        let mut queues = self.producers[producer].unacked.clone();
        while queues.iter().any(|queue| !queue.is_empty()) {
            let mut entries = Vec::new();
            for (partition, queue) in queues.iter_mut().enumerate() {
                if !how.is_multiple_of(3) || entries.is_empty() {
                    entries.extend(queue.pop_front().map(|sent| (partition, sent)));
                }
            }
            self.request(producer, &entries);
        }
    }

    pub(super) fn request(&mut self, producer: usize, entries: &[(usize, Sent)]) {
        let Some(at) = self.producers[producer].connection else { return };
        if entries.is_empty() {
            return;
        }
        self.correlation_id += 1;
        let request = Request {
            version: VERSION,
            correlation_id: self.correlation_id,
            acks: -1,
            transactional_id: None,
            entries: entries.iter().map(|(partition, sent)| entry(*partition, *sent)).collect(),
        };
        let partitions = entries.iter().map(|(partition, _)| *partition).collect();
        self.connections[at].awaited.push_back((self.correlation_id, partitions));
        if !self.connections[at].held.is_empty() {
            return self.connections[at].held.push_back(request);
        }
        if let Some(request) = self.admit(at, request, false) {
            self.connections[at].held.push_back(request);
        }
    }

    /// The client reads an answer: it must be the next one, and say of every success what the log says.
    pub(super) fn receive(&mut self, at: usize, frame: &[u8]) {
        if self.connections[at].client_gone {
            return;
        }
        let (correlation_id, mut partitions) = self.connections[at].awaited.pop_front().expect("it was asked for");
        let (id, _, lines) = frames::read_response(VERSION, frame);
        assert_eq!(id, correlation_id, "answers leave in the order of their requests");
        partitions.sort_unstable();
        let mut fails = false;
        let mut told = Vec::new();
        for line in lines {
            let (label, said) = line.split_once('=').expect("a partition and what is said of it");
            let partition: usize = label.rsplit_once('-').unwrap().1.parse().unwrap();
            told.push(partition);
            let client = &mut self.producers[self.connections[at].producer];
            // Nothing failed before on this connection: it is the oldest that is not acknowledged.
            let sent = *client.unacked[partition].front().expect("it was sent");
            match said.strip_prefix("ok@") {
                Some(rest) => {
                    let offset: i64 = rest.split('/').next().unwrap().parse().unwrap();
                    assert!(self.history[partition].contains(&(sent, offset)), "a false ack of {sent:?} at {offset}");
                    client.unacked[partition].pop_front();
                }
                None => {
                    client.given_up |= said.starts_with("45");
                    fails = true;
                }
            }
        }
        assert_eq!(told, partitions, "every partition is answered once");
        if fails {
            self.client_goes(Some(at));
        }
    }

    pub(super) fn client_goes(&mut self, at: Option<usize>) {
        let Some(connection) = at.and_then(|at| self.connections.get_mut(at)) else { return };
        connection.client_gone = true;
        connection.held.clear();
        connection.slots.retain(|slot| matches!(slot, Slot::Asked { .. }));
        let client = &mut self.producers[connection.producer];
        if client.connection == at {
            client.connection = None;
        }
    }
}

fn entry(partition: usize, sent: Sent) -> Entry {
    let batch = frames::batch(&BatchSpec {
        producer_id: sent.producer_id,
        epoch: sent.epoch,
        base: sent.base,
        count: sent.count,
        transactional: false,
        control: false,
        content: format!("{sent:?}"),
    });
    Entry { topic: "t".into(), id: 1, partition: i32::try_from(partition).unwrap(), records: Some(batch) }
}

/// What a broker finds in a request's frame.
pub(super) fn as_sent(frame: &[u8]) -> Vec<(usize, Sent)> {
    let read = |(_, partition, records): (String, i32, Option<Vec<u8>>)| {
        let records = records.expect("a batch");
        let number = |at: usize| i32::from_be_bytes(records[at..at + 4].try_into().unwrap());
        let sent = Sent {
            producer_id: i64::from_be_bytes(records[43..51].try_into().unwrap()),
            epoch: i16::from_be_bytes(records[51..53].try_into().unwrap()),
            base: number(53),
            count: number(57),
        };
        assert_eq!(entry(usize::try_from(partition).unwrap(), sent).records, Some(records), "bytes were changed");
        (usize::try_from(partition).unwrap(), sent)
    };
    frames::read_request(VERSION, frame).into_iter().map(read).collect()
}
