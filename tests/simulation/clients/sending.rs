//! What a client sends next.

use super::{Client, Family, Flying, Part, Queued};
use crate::batch::{Batch, advance};
use crate::random::Random;
use crate::wire::{Request, TopicKey};

/// From here on topics go by their ids.
const BY_ID: i16 = 13;

/// Sequences that a client with a defect leaves out at a time.
pub(crate) const SKIPPED: i64 = 3;

/// Batches that a rude client remembers.
const REMEMBERED: usize = 8;

/// Records that a client makes of one partition at most: runs are short.
const RECORDS_MAX: u32 = 40;

impl Client {
    /// The next request to `broker`, of whatever may be sent there.
    pub(crate) fn request(
        &mut self,
        broker: usize,
        connection: usize,
        places: &[(TopicKey, TopicKey, i32)],
        makes: bool,
        random: &mut Random,
    ) -> Option<Request> {
        let producer_id = self.producer_id.filter(|_| self.dead.is_none() && !self.transaction_failed)?;
        let in_flight_max = if self.keeps && self.family == Family::Rude { 2 } else { self.family.in_flight_max() };
        if self.in_flight_on(connection) >= in_flight_max {
            return None;
        }
        let correlation_id = self.next_correlation_id();
        let (family, acks) = (self.family, self.acks(random));
        if family == Family::Rude && random.percent(4) {
            self.bump_epoch(1);
        }
        let mut entries = Vec::new();
        let from = random.below(self.parts.len());
        let count = self.parts.len();
        for at in (0..count).map(|at| (at + from) % count) {
            if self.leaders[at] != broker || (family.asks_for_one() && !entries.is_empty()) || random.percent(30) {
                continue;
            }
            let records_max = if self.keeps { 3 * RECORDS_MAX } else { RECORDS_MAX };
            if makes && self.parts[at].waiting.is_empty() && self.parts[at].made < records_max {
                self.make(at, random);
            }
            let again = self.again_for_no_reason(at, random);
            let is_new = again.is_none();
            let next = again.or_else(|| self.parts[at].next_to_send(family, self.epoch, producer_id));
            let Some(queued) = next else { continue };
            self.remember(at, &queued.batch);
            if is_new && self.keeps && family == Family::Rude && random.percent(20) {
                continue;
            }
            let topic = if self.version >= BY_ID { &places[at].1 } else { &places[at].0 };
            entries.push((topic.clone(), places[at].2, queued.batch.bytes()));
            if acks == 0 {
                continue;
            }
            self.parts[at].flying.push(Flying { queued, connection, correlation_id });
        }
        if entries.is_empty() {
            return None;
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if family == Family::Rude && random.percent(if self.keeps { 3 } else { 15 }) {
            self.name_twice(&mut entries, places, random);
        }
        let transactional_id = self.transactional_id();
        Some(Request { version: self.version, correlation_id, acks, timeout_ms: 1000, transactional_id, entries })
    }

    /// A batch that it has sent before, whatever became of it.
    fn again_for_no_reason(&self, at: usize, random: &mut Random) -> Option<Queued> {
        let here: Vec<&Batch> = self.sent.iter().filter(|(part, _)| *part == at).map(|(_, batch)| batch).collect();
        let again = !here.is_empty() && random.percent(40);
        again.then(|| Queued { batch: (*random.pick(&here)).clone(), attempts: 1 })
    }

    fn remember(&mut self, at: usize, batch: &Batch) {
        if self.family != Family::Rude {
            return;
        }
        self.sent.retain(|(part, known)| (*part, known) != (at, batch));
        self.sent.push_back((at, batch.clone()));
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
    }

    /// A partition stands twice in its request: with the same batch, or with another one.
    fn name_twice(
        &self,
        entries: &mut Vec<(TopicKey, i32, Vec<u8>)>,
        places: &[(TopicKey, TopicKey, i32)],
        random: &mut Random,
    ) {
        let place = random.below(entries.len());
        let (topic, index, _) = entries[place].clone();
        let is_there = |at: usize| [&places[at].0, &places[at].1].contains(&&topic) && places[at].2 == index;
        let here: Vec<&Batch> = self.sent.iter().filter(|(part, _)| is_there(*part)).map(|(_, batch)| batch).collect();
        let records = if here.is_empty() { entries[place].2.clone() } else { random.pick(&here).bytes() };
        entries.insert(place + random.below(2), (topic, index, records));
    }

    fn acks(&self, random: &mut Random) -> i16 {
        match self.family.is_honest() {
            true => -1,
            // What is sent without waiting for an answer is open for long: no gap behind it is refused.
            false if self.keeps => *random.pick(&[-1, -1, -1, -1, -1, -1, -1, -1, 1, 0]),
            false => *random.pick(&[-1, -1, 1, 1, 0]),
        }
    }

    fn in_flight_on(&self, connection: usize) -> usize {
        let mut asked: Vec<i32> = self
            .parts
            .iter()
            .flat_map(|part| &part.flying)
            .filter(|flying| flying.connection == connection)
            .map(|flying| flying.correlation_id)
            .collect();
        asked.sort_unstable();
        asked.dedup();
        asked.len()
    }

    fn make(&mut self, at: usize, random: &mut Random) {
        let part = &mut self.parts[at];
        let count = 1 + random.below(3) as u32;
        let name = |n: u32| (self.id as u32) << 24 | (at as u32) << 16 | n;
        let records = (part.made..part.made + count).map(name).collect();
        part.made += count;
        let batch = Batch {
            producer_id: self.producer_id.unwrap_or(-1),
            epoch: 0,
            base: 0,
            transactional: self.family.is_transactional(),
            records,
            variant: 0,
        };
        part.waiting.push_back(Queued { batch, attempts: 0 });
    }

    /// Leaves sequences out, as a client with a defect would.
    pub(crate) fn skip(&mut self, at: usize) -> bool {
        let part = &mut self.parts[at];
        let fits = self.family == Family::Java
            && part.waiting.is_empty()
            && part.flying.is_empty()
            && !part.acked.is_empty()
            && part.epoch == self.epoch
            && !part.disturbed
            && part.gap_at.is_none();
        if fits {
            part.next = advance(part.next, SKIPPED);
            part.gap_at = Some(part.next);
            self.skips = true;
        }
        fits
    }
}

impl Part {
    /// Takes the next batch that may go, numbered if it is new.
    fn next_to_send(&mut self, family: Family, epoch: i16, producer_id: i64) -> Option<Queued> {
        let front = self.waiting.front()?;
        let is_retry = front.attempts > 0;
        // While anything is sent again, one batch at a time (`shouldStopDrainBatchesForPartition`).
        let room = if is_retry { 1 } else { family.in_flight_max() };
        if self.renumbers || self.flying.len() >= room || (!is_retry && self.is_retrying()) {
            return None;
        }
        if self.epoch != epoch && !is_retry {
            if !self.flying.is_empty() {
                return None;
            }
            (self.epoch, self.next) = (epoch, 0);
        }
        let mut queued = self.waiting.pop_front()?;
        if !is_retry && family.is_idempotent() {
            queued.batch.producer_id = producer_id;
            queued.batch.epoch = self.epoch;
            queued.batch.base = self.next;
            self.next = advance(self.next, queued.batch.count());
        } else if !is_retry {
            (queued.batch.producer_id, queued.batch.epoch, queued.batch.base) = (-1, -1, -1);
        }
        queued.attempts += 1;
        Some(queued)
    }

    fn is_retrying(&self) -> bool {
        self.flying.iter().any(|flying| flying.queued.attempts > 1)
    }
}
