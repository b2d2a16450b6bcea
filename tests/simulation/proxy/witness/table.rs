//! The decision table by other code than that of the tracker: what a batch may be called, wherever that is certain.

use std::cmp::Reverse;

use seqgate_protocol::event::Verdict;

use super::{Asked, Producer, Witness};
use crate::batch::{Batch, Key, advance};

/// So many ranges are remembered in any case.
const WINDOW: usize = 5;

/// Whether a producer is known to be HOT or COLD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Heat {
    /// Nothing was acknowledged.
    #[default]
    Cold,
    /// The newest acknowledged epoch and its ranges are known.
    Hot,
    /// The proxy may have forgotten what it knew.
    Unsure,
}

/// A batch whose outcome is not known.
#[derive(Clone, Debug)]
pub(super) struct Unknown {
    key: Key,
    since_ms: u64,
    /// Nothing happened that may have settled it.
    is_certain: bool,
}

/// A batch whose answer is awaited.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) connection: usize,
    pub(super) key: Key,
    /// Its topic is what it was when it was sent.
    pub(super) is_certain: bool,
    /// It can be taken at its word: of others it is noted that they were sent only where their producer is known.
    pub(super) is_noted: bool,
}

const IN_ORDER: &[Verdict] = &[Verdict::InOrder];
const RETRY: &[Verdict] = &[Verdict::Retry];
const DUPLICATE: &[Verdict] = &[Verdict::Duplicate];
const MISMATCH: &[Verdict] = &[Verdict::Mismatch];
const STALE: &[Verdict] = &[Verdict::Stale];
const SUSPECT: &[Verdict] = &[Verdict::Suspect];
/// Which of the two is judged by itself.
const GAP: &[Verdict] = &[Verdict::Suspect, Verdict::Gap];
/// The proof has ended, or it has not.
const OTHER_CONTENT: &[Verdict] = &[Verdict::Mismatch, Verdict::Duplicate];

impl Producer {
    /// Of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { epoch: -1, clouded: -1, shown_in: -1, ..Self::default() }
    }

    /// What counts from now on is what this generation of the broker says.
    pub(super) fn enter_generation(&mut self, broker: (usize, u32)) {
        if self.acked_by != Some(broker) {
            self.acked_by = Some(broker);
            self.successes.iter_mut().for_each(|success| success.older = true);
        }
    }

    /// What became of a batch is not known. `is_certain`: its topic is what it was when it was sent.
    pub(super) fn lost(&mut self, asked: &Asked, is_certain: bool, now_ms: u64) {
        let key = asked.batch.key();
        // What is proven is not open.
        let is_certain = is_certain && asked.acks != 0 && !asked.opaque && self.success_at(key).is_none();
        self.unknown.push(Unknown { key, since_ms: now_ms, is_certain });
    }

    /// A batch of the present epoch was acknowledged: that settles others, perhaps.
    pub(super) fn settles_unknowns(&mut self, key: Key) {
        self.unknown.retain(|unknown| unknown.key != key && unknown.key.epoch >= self.epoch);
        self.unknown.iter_mut().for_each(|unknown| unknown.is_certain = false);
    }

    /// The proxy knows nothing of it any more, perhaps. If the broker has forgotten it as well, an older epoch may be the next
    /// to be acknowledged.
    pub(super) fn may_be_cold(&mut self) {
        self.unusual = true;
        self.heat = Heat::Unsure;
        self.is_epoch_doubtful = true;
    }

    pub(super) fn cloud(&mut self, epoch: i16) {
        self.heat = Heat::Unsure;
        self.clouded = self.clouded.max(epoch);
    }

    /// Nothing was sent for so long that it is forgotten as soon as nothing is on its way.
    pub(super) fn idles(&mut self) {
        self.alone = None;
        self.is_epoch_doubtful = true;
        let newest = self.in_flight.iter().map(|flight| flight.key.epoch).max();
        self.cloud(newest.unwrap_or(-1));
    }

    /// Its id was handed out, with this epoch or a later one. What is known of older ones is another producer's, and still known.
    pub(super) fn is_handed_out(&mut self, epoch: i16) {
        let known = self.epoch;
        let mut older = std::mem::take(&mut self.successes);
        older.retain(|success| success.batch.epoch < epoch);
        let (newest_ms, alone, acked_by) = (self.newest_ms, self.alone, self.acked_by);
        self.begins_anew();
        if (0..epoch).contains(&known) {
            (self.successes, self.newest_ms, self.unusual) = (older, newest_ms, true);
            (self.alone, self.acked_by) = (alone, acked_by);
            self.cloud(known);
            self.is_unsettled();
        }
    }

    /// It is another producer's from now on, but for what is open.
    fn begins_anew(&mut self) {
        let open = self.in_flight.iter().map(|flight| flight.key).chain(self.unknown.iter().map(|unknown| unknown.key));
        let newest = open.map(|key| key.epoch).max();
        let (in_flight, unknown) = (std::mem::take(&mut self.in_flight), std::mem::take(&mut self.unknown));
        *self = Self { shown_in: self.shown_in, in_flight, unknown, ..Self::unknown() };
        if let Some(newest) = newest {
            self.cloud(newest);
            self.is_unsettled();
        }
    }

    /// What was on its way may belong to a topic that is no more.
    pub(super) fn is_unsettled(&mut self) {
        self.heat = Heat::Unsure;
        self.in_flight.iter_mut().for_each(|flight| flight.is_certain = false);
        self.unknown.iter_mut().for_each(|unknown| unknown.is_certain = false);
    }

    fn success_at(&self, key: Key) -> Option<&Batch> {
        self.successes.iter().rev().map(|success| &success.batch).find(|batch| batch.key() == key)
    }

    /// Whether anything else was acknowledged in the same place.
    pub(super) fn is_other_content(&self, batch: &Batch) -> bool {
        let is_other = |it: &Batch| it.key() == batch.key() && it.bytes() != batch.bytes();
        self.successes.iter().any(|success| is_other(&success.batch))
    }

    /// The acknowledged ranges, newest first.
    fn newest_first(&self) -> Vec<&Batch> {
        let mut batches: Vec<&Batch> = Vec::new();
        let from = self.successes.first().map_or(0, |success| success.batch.base);
        for success in &self.successes {
            match batches.iter_mut().find(|known| known.key() == success.batch.key()) {
                Some(known) => *known = &success.batch,
                None => batches.push(&success.batch),
            }
        }
        // Of two that begin at one place the first is the newer one: what comes behind it is expected.
        batches.sort_by_key(|batch| Reverse(batch.base.wrapping_sub(from).wrapping_add(1 << 30) & i32::MAX));
        batches
    }

    /// The end of what is on its way in an epoch.
    fn end_of_flights(&self, epoch: i16) -> Option<i32> {
        let ends =
            self.in_flight.iter().filter(|flight| flight.key.epoch == epoch).map(|flight| advance(flight.key.last, 1));
        ends.reduce(|a, b| if is_after(b, a) { b } else { a })
    }
}

impl Witness {
    /// The verdicts that the table allows; `None` where it depends on what the proxy may have forgotten.
    pub(crate) fn verdicts(&self, asked: &Asked, now_ms: u64) -> Option<&'static [Verdict]> {
        let key = asked.batch.key();
        if asked.opaque || !asked.batch.is_idempotent() {
            return None;
        }
        let Some(producer) = self.partitions.get(&asked.place()).and_then(|it| it.producers.get(&key.producer_id))
        else {
            // Of one that nothing was ever seen of here, the first batch may begin where it does not (D5a).
            return Some(if key.base == 0 { IN_ORDER } else { &[Verdict::InOrder, Verdict::Suspect, Verdict::Gap] });
        };
        let is_flying = producer.in_flight.iter().find(|flight| flight.key == key);
        let is_unknown = producer.unknown.iter().rfind(|unknown| unknown.key == key);
        let is_certain = |unknown: &Unknown| unknown.is_certain && now_ms - unknown.since_ms < self.ttl_ms;
        if producer.heat == Heat::Unsure
            || producer.in_flight.iter().any(|flight| !flight.is_certain)
            || is_unknown.is_some_and(|unknown| !is_certain(unknown)) && is_flying.is_none()
        {
            return None;
        }
        let is_open = is_flying.is_some() || is_unknown.is_some();
        if producer.heat == Heat::Cold {
            return match (is_open, key.base) {
                (true, _) => Some(RETRY),
                (false, 0) => Some(IN_ORDER),
                // Of one whose batches were all refused nothing is known, as if it had not been seen (D5a).
                (false, _) => None,
            };
        }
        if key.epoch < producer.epoch {
            return Some(STALE);
        }
        if key.epoch > producer.epoch {
            let follows = key.base == 0 || producer.end_of_flights(key.epoch) == Some(key.base);
            return Some(if is_open {
                RETRY
            } else if follows {
                IN_ORDER
            } else {
                SUSPECT
            });
        }
        self.in_epoch(producer, asked, is_open, now_ms)
    }

    /// Whether anything of the producer is known to be on its way, or may be.
    pub(crate) fn is_open(&self, asked: &Asked, now_ms: u64) -> bool {
        self.partitions.get(&asked.place()).and_then(|it| it.producers.get(&asked.batch.producer_id)).is_some_and(
            |it| {
                let is_unknown = it.heat == Heat::Hot && self.is_unknown(it, now_ms, &|_| true);
                it.in_flight.iter().any(|flight| flight.is_certain) || is_unknown
            },
        )
    }

    /// Whether the outcome of the producer's first batch in this epoch is known to be unknown.
    pub(crate) fn has_lost_first(&self, asked: &Asked, now_ms: u64) -> bool {
        let producer = self.partitions.get(&asked.place()).and_then(|it| it.producers.get(&asked.batch.producer_id));
        let is_first = |key: Key| (key.epoch, key.base) == (asked.batch.epoch, 0);
        producer.is_some_and(|it| self.is_unknown(it, now_ms, &is_first))
    }

    fn is_unknown(&self, producer: &Producer, now_ms: u64, which: &dyn Fn(Key) -> bool) -> bool {
        let is_it = |it: &Unknown| it.is_certain && now_ms - it.since_ms < self.ttl_ms && which(it.key);
        producer.unknown.iter().any(is_it)
    }

    /// Whether nothing was ever acknowledged of the producer, and nothing shown, by whatever name of its topic.
    pub(crate) fn knows_nothing_of(&self, asked: &Asked) -> bool {
        let place = |form| (asked.partition, form);
        let here = self.forms(&asked.topic).into_iter().filter_map(|form| self.partitions.get(&place(form)));
        let is_cold = |it: &Producer| it.heat == Heat::Cold && it.successes.is_empty() && it.alone.is_none();
        here.filter_map(|it| it.producers.get(&asked.batch.producer_id)).all(is_cold)
    }

    /// Whether a batch, when it was sent, may have been the one that had to be next. Of transactions nothing is foretold.
    pub(super) fn may_be_expected(&self, asked: &Asked) -> bool {
        let key = asked.batch.key();
        let producer = self.partitions.get(&asked.place()).and_then(|it| it.producers.get(&key.producer_id));
        let is_ahead = |producer: &Producer| {
            let newest = producer.newest_first().first().map_or(key.base, |batch| batch.end());
            producer.heat == Heat::Hot
                && (key.epoch > producer.epoch || key.epoch == producer.epoch && is_after(key.base, newest))
        };
        !asked.batch.transactional && !producer.is_some_and(is_ahead)
    }

    fn in_epoch(&self, producer: &Producer, asked: &Asked, is_open: bool, now_ms: u64) -> Option<&'static [Verdict]> {
        let key = asked.batch.key();
        let acked = producer.newest_first();
        let expected = acked.first()?.end();
        if key.base == expected {
            let is_cut =
                producer.in_flight.iter().any(|flight| flight.key.epoch == key.epoch && overlaps(flight.key, key));
            return Some(if is_open {
                RETRY
            } else if is_cut {
                SUSPECT
            } else {
                IN_ORDER
            });
        }
        let of_all = |which: &dyn Fn(Key) -> bool| acked.iter().position(|batch| which(batch.key()));
        match (of_all(&|other| other == key), self.proof(asked, now_ms).is_ok()) {
            // Beyond what is remembered in any case.
            (Some(place), _) if place >= WINDOW => return None,
            (Some(_), true) if is_open => return Some(&[Verdict::Retry, Verdict::Duplicate]),
            _ if is_open => return Some(RETRY),
            (Some(_), _) if producer.is_other_content(&asked.batch) => return Some(OTHER_CONTENT),
            (Some(_), _) => return Some(DUPLICATE),
            (None, _) => {}
        }
        match of_all(&|other| overlaps(other, key)) {
            Some(place) if place >= WINDOW => return None,
            Some(_) => return Some(MISMATCH),
            None => {}
        }
        let follows = producer.end_of_flights(key.epoch) == Some(key.base);
        Some(if follows {
            IN_ORDER
        } else if is_after(key.base, expected) {
            GAP
        } else {
            STALE
        })
    }
}

/// Whether the shorter way from `b` to `a` goes forward.
fn is_after(a: i32, b: i32) -> bool {
    let distance = a.wrapping_sub(b) & i32::MAX;
    distance != 0 && distance <= i32::MAX / 2
}

fn overlaps(a: Key, b: Key) -> bool {
    let is_in = |sequence: i32, key: Key| {
        sequence.wrapping_sub(key.base) & i32::MAX <= key.last.wrapping_sub(key.base) & i32::MAX
    };
    is_in(a.base, b) || is_in(b.base, a)
}
