//! What a broker does with a produce request.

use super::log::Appended;
use super::{Cluster, Partition};
use crate::batch::{Batch, append_time};
use crate::wire::{Request, Response, Said};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Handled {
    /// It is answered.
    Answered(Response),
    /// It is answered when all replicas have it; until then the broker reads nothing more of the connection.
    Waits(Waiting),
    /// acks=0: there is no answer.
    Silent,
    /// acks=0, and something was refused: the connection is closed.
    Closed,
}

/// A request that waits for replicas.
#[derive(Debug)]
pub(crate) struct Waiting {
    response: Response,
    /// For each entry what it waits for.
    needs: Vec<Option<Need>>,
}

/// A batch that was appended, and must be at all replicas while its leader leads.
#[derive(Clone, Copy, Debug)]
struct Need {
    partition: usize,
    topic_id: u8,
    leader_epoch: u32,
    high_watermark: i64,
}

/// Codes that a leader gives to a batch that it has appended.
const AFTER_APPEND: [i16; 2] = [20, 7];

impl Cluster {
    /// `broker` takes one request.
    pub(crate) fn handle(&mut self, broker: usize, request: &Request, throttle_ms: i32) -> Handled {
        let mut response =
            Response { correlation_id: request.correlation_id, said: Vec::new(), throttle_ms, endpoints: Vec::new() };
        let mut needs = Vec::new();
        for (at, (topic, index, records)) in request.entries.iter().enumerate() {
            // Of a partition that stands twice in a request the last entry counts.
            if request.entries[at + 1..].iter().any(|(other, i, _)| (other, i) == (topic, index)) {
                continue;
            }
            let mut said = Said {
                topic: topic.clone(),
                partition: *index,
                error: 0,
                base_offset: -1,
                append_time: -1,
                log_start: -1,
                leader: None,
            };
            needs.push(self.append(broker, request, &Batch::read(records), &mut said));
            response.said.push(said);
        }
        // Maps are merged on the way: the order is not that of the request.
        response.said.reverse();
        needs.reverse();
        response.note_endpoints();
        match request.acks {
            0 if response.said.iter().any(|said| said.error != 0) => Handled::Closed,
            0 => Handled::Silent,
            -1 => Handled::Waits(Waiting { response, needs }),
            _ => Handled::Answered(response),
        }
    }

    fn append(&mut self, broker: usize, request: &Request, batch: &Batch, said: &mut Said) -> Option<Need> {
        let at = match self.find(&said.topic, said.partition) {
            Ok(at) => at,
            Err(code) => {
                said.error = code;
                return None;
            }
        };
        let (leader, trouble) = (self.partitions[at].leader, self.partitions[at].trouble.take());
        let refusal = match trouble {
            _ if leader != broker => Some(6),
            Some(code) if !AFTER_APPEND.contains(&code) => Some(code),
            _ if batch.transactional => self.verify(batch.producer_id, batch.epoch, at, request.version).err(),
            _ if self.is_unknown_and_late(at, batch) => Some(59),
            _ => None,
        };
        if let Some(code) = refusal {
            said.error = code;
            said.leader = (code == 6).then_some(leader as i32);
            return None;
        }
        self.write(at, batch, said)?;
        if let Some(code) = trouble {
            said.error = code;
            return None;
        }
        (request.acks == -1).then_some(Need {
            partition: at,
            topic_id: self.place(at).0.id,
            leader_epoch: self.partitions[at].epoch,
            high_watermark: said.base_offset + batch.count(),
        })
    }

    /// Whether `broker` would refuse a request of one batch at this moment because of its sequence, and go on doing so. What
    /// it would say of a batch before it looks at its sequence shows only when one is tried.
    ///
    /// Of a producer that is no younger than `forgets`, in ms since 1970, it may forget everything at any moment.
    pub(crate) fn would_refuse(&self, broker: usize, request: &Request, forgets: i64) -> bool {
        let [(topic, index, records)] = &request.entries[..] else { return false };
        let (Ok(at), batch) = (self.find(topic, *index), Batch::read(records)) else { return false };
        let Partition { leader, log, .. } = &self.partitions[at];
        let mut listed = log.listed(self.make.keeping).into_iter();
        let is_young = listed.any(|it| it.producer_id == batch.producer_id && it.timestamp > forgets);
        *leader == broker && is_young && log.clone().append(&batch) == Appended::Refused(45)
    }

    fn is_unknown_and_late(&self, at: usize, batch: &Batch) -> bool {
        self.make.old && batch.is_idempotent() && batch.base != 0 && !self.partitions[at].log.knows(batch.producer_id)
    }

    fn write(&mut self, at: usize, batch: &Batch, said: &mut Said) -> Option<()> {
        let stamps = self.make.keeping.stamps;
        let Partition { log, .. } = &mut self.partitions[at];
        said.log_start = log.start;
        match log.append(batch) {
            Appended::Refused(code) => {
                said.error = code;
                return None;
            }
            Appended::New(offset) => {
                said.base_offset = offset;
                said.append_time = if stamps { append_time(offset) } else { -1 };
            }
            Appended::Duplicate(offset) => {
                said.base_offset = offset;
                // The original's largest timestamp, also where a topic keeps the producer's time.
                let made = batch.time_of(batch.count() - 1);
                said.append_time = if stamps { append_time(offset) } else { made };
            }
        }
        if !self.make.lags {
            self.replicate(at);
        }
        Some(())
    }

    /// Whether the request can be answered by now.
    pub(crate) fn is_done(&self, waiting: &Waiting) -> bool {
        let is_done = |need: &Need| {
            let partition = &self.partitions[need.partition];
            self.place(need.partition).0.id != need.topic_id
                || partition.epoch != need.leader_epoch
                || partition.log.high_watermark >= need.high_watermark
        };
        waiting.needs.iter().flatten().all(is_done)
    }

    /// The answer, at the moment it is given. What replicas still lack has timed out.
    pub(crate) fn finish(&self, waiting: Waiting) -> Response {
        let Waiting { mut response, needs } = waiting;
        for (said, need) in response.said.iter_mut().zip(needs) {
            let Some(need) = need else { continue };
            let partition = &self.partitions[need.partition];
            // Only the error is overwritten: the offset stays (`DelayedProduce`).
            if self.place(need.partition).0.id != need.topic_id {
                said.error = 3;
            } else if partition.epoch != need.leader_epoch {
                said.error = 6;
                said.leader = Some(partition.leader as i32);
            } else if partition.log.high_watermark < need.high_watermark {
                said.error = 7;
            }
        }
        response.note_endpoints();
        response
    }
}

impl Response {
    /// The brokers of which the response says that they lead.
    fn note_endpoints(&mut self) {
        self.endpoints = self.said.iter().filter_map(|said| said.leader).collect();
    }
}
