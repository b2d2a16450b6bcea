//! Judges what a proxy says of batches, and whether it may answer them.

use seqgate_protocol::event::Verdict;
use seqgate_protocol::session::{Mixed, Mode};

use super::World;
use crate::batch::{advance, append_time};
use crate::clients::SKIPPED;
use crate::proxy::{Api, Asked, SMALL, Settle};
use crate::wire::{Request, Response, Said, TopicKey};

/// The oldest version of Produce that is answered here.
const ANSWERED_MIN: i16 = 3;

impl World {
    /// A batch is answered without the broker: it must be proven.
    ///
    /// `said`: what its client will be told, where that is known yet.
    pub(crate) fn judge_answer(&mut self, at: usize, asked: &Asked, said: Option<&Said>) {
        let proof = self.why_true(at, asked, said).and_then(|()| self.why_now(at, asked));
        self.witness(at).gave(asked);
        if let Err(why) = proof {
            self.fail(format!("a false ack of {:?} on partition {}: {why}", asked.batch, asked.partition));
        }
        if asked.batch.transactional || asked.opaque || asked.acks == 0 {
            self.fail(format!("{:?} is not to be answered here", asked.batch));
        }
    }

    /// What was answered without the broker leaves: it must be proven still (T22).
    pub(crate) fn judge_leaving(&mut self, at: usize, asked: &Asked, said: Option<&Said>) {
        if let Err(why) = self.why_true(at, asked, said) {
            self.fail(format!("a false ack of {:?} leaves for partition {}: {why}", asked.batch, asked.partition));
        }
    }

    /// A proof that is older than the broker's generation is good once the log was seen to have the batch.
    fn why_now(&mut self, at: usize, asked: &Asked) -> Result<(), &'static str> {
        let is_now = asked.found.is_some() || !self.asks(at) || self.witness(at).is_of_now(asked);
        is_now.then_some(()).ok_or("it is older than the broker's generation, and the log was not asked")
    }

    fn why_true(&mut self, at: usize, asked: &Asked, said: Option<&Said>) -> Result<(), &'static str> {
        let (now_ms, keeping) = (self.now_ms, self.setup.make.keeping);
        let witness = self.witness(at);
        let Some((step, at_ms)) = asked.found else { return witness.proof(asked, now_ms).map(drop) };
        let stands = witness.stands(asked, said, keeping, now_ms);
        if stands.is_ok() || witness.proof(asked, now_ms).is_ok() {
            return Ok(());
        }
        // It was known when the log was to be asked, and from then on only what is evidence against the log counts.
        let moment = self.known_since(at, asked).filter(|moment| moment.0 <= step).unwrap_or((step, at_ms));
        let was_known = self.step > moment.0 && self.witness(at).has_stood(asked, moment, now_ms);
        if was_known { Ok(()) } else { stands }
    }

    /// Since when a batch is known by answers that was to be looked for, in steps and in time.
    fn known_since(&self, at: usize, asked: &Asked) -> Option<(u64, u64)> {
        let known = self.connections[at].looks.known.iter().find(|it| (&it.0, it.1) == (&asked.topic, asked.index));
        known.map(|known| known.2)
    }

    /// A refusal is held against the log where the batch may stand there; `open`: of these it is.
    pub(crate) fn judge_refused(&mut self, at: usize, settle: &Settle, response: &Response, open: &[usize]) {
        // With little room its ticket is perhaps none; of what was lost or made anew it says nothing.
        let is_elsewhere = settle.ledger != self.connections[at].ledger;
        if !settle.asks || is_elsewhere || self.has_lost || self.setup.limits.producers_max < SMALL {
            return;
        }
        for place in settle.sent.iter().filter(|place| !open.contains(place)) {
            let asked = &settle.asked[*place];
            let may = asked.may_be_old && asked.batch.is_idempotent() && !asked.batch.transactional && !asked.opaque;
            let is_refused = response.said_of(asked).is_some_and(|said| said.error == 45);
            if may && is_refused && self.witness(at).is_where_it_was(asked) {
                return self.fail(format!("nobody asks the log about {:?}, which was refused", asked.batch));
            }
        }
    }

    /// What was refused was held against the log, and found there, or not: what the client is to be told.
    pub(crate) fn judge_resolved(
        &mut self,
        at: usize,
        settle: &Settle,
        open: &[usize],
        response: &Response,
        found: &[(TopicKey, i32, i64)],
        told: Option<&Response>,
    ) -> Response {
        let mut resolved = response.clone();
        for (topic, index, offset) in found {
            let is_it = |asked: &&Asked| (&asked.topic, asked.index) == (topic, *index);
            let Some(asked) = open.iter().map(|place| &settle.asked[*place]).find(is_it) else {
                self.fail(format!("{topic:?}-{index} was found, and nobody looked for it"));
                return resolved;
            };
            let said = resolved.said.iter_mut().find(|said| asked.is_in(said)).expect("it was refused");
            // A broker that was asked twice has said something else of its time.
            let last = asked.batch.time_of(asked.batch.count() - 1);
            let times = if self.setup.make.keeping.stamps { [append_time(*offset); 2] } else { [-1, last] };
            // And the log may have lost its beginning since.
            let starts = -1..=self.cluster.partitions[asked.partition].log.start.max(said.log_start);
            // Or its end, and what was said of its beginning is the last that anybody has said.
            let is_named = |start: i64| self.log_starts.contains(&(asked.partition, start));
            let is_start = |start: i64| starts.contains(&start) || is_named(start);
            let is_good = |it: &&Said| times.contains(&it.append_time) && is_start(it.log_start);
            let of_log = told.and_then(|told| told.said_of(asked)).filter(is_good).unwrap_or(said);
            let (append_time, log_start) = (of_log.append_time, of_log.log_start);
            *said = Said { error: 0, base_offset: *offset, append_time, log_start, leader: None, ..said.clone() };
            self.tally.resolved += 1;
            let (said, now_ms, keeping) = (said.clone(), self.now_ms, self.setup.make.keeping);
            let known = self.known_since(at, asked);
            let witness = self.proxies[self.connections[at].proxy].witness(settle.ledger);
            let stands = witness.stands(asked, Some(&said), keeping, now_ms);
            let was_known = known.is_some_and(|moment| witness.has_stood(asked, moment, now_ms));
            if let Err(why) = stands
                && witness.proof(asked, now_ms) != Ok(*offset)
                && !was_known
            {
                self.fail(format!("{:?} was refused and is said to stand at {offset}: {why}", asked.batch));
            }
            self.judge_truth(at, &said, &asked.batch.bytes());
        }
        resolved
    }

    /// A request is forwarded whole: nothing in it should have been answered.
    pub(crate) fn judge_forwarded(&mut self, at: usize, request: &Request, asked: &[Asked]) {
        let policy = self.policy(at);
        let proxy = &self.proxies[self.connections[at].proxy];
        let small = self.setup.limits.producers_max < SMALL;
        let may = policy.mode != Mode::Observe
            && request.version >= ANSWERED_MIN
            && request.acks != 0
            && request.transactional_id.is_none()
            && !asked.iter().any(|asked| asked.opaque || asked.batch.transactional)
            && proxy.serves_without_sasl();
        // After all was lost one producer id is two producers', under two forms of its topic perhaps (T9).
        if !may || small || self.cluster.wipes > 0 {
            return;
        }
        let (now_ms, asks) = (self.now_ms, self.asks(at));
        let witness = &*self.witness(at);
        let proven =
            |asked: &&Asked| witness.must_answer(asked, now_ms) && (!asks || witness.has_just_acknowledged(asked));
        let count = asked.iter().filter(proven).count();
        if let Some(asked) = asked.iter().find(proven)
            && (count == request.entries.len() || policy.mixed == Mixed::Strip)
        {
            self.fail(format!("{:?} is proven on partition {} and forwarded", asked.batch, asked.partition));
        }
    }

    /// A batch is called what it is, where that is certain.
    pub(crate) fn judge_verdict(&mut self, at: usize, asked: &Asked, verdict: Verdict) {
        // With little room any producer may be forgotten; after all was lost one producer id is two producers'.
        if self.setup.limits.producers_max < SMALL || self.cluster.wipes > 0 {
            return;
        }
        let now_ms = self.now_ms;
        if asked.found.is_some() {
            // What stands in the log is a duplicate, whatever else is known.
            let stands = self.why_true(at, asked, None);
            if stands.is_err() || verdict != Verdict::Duplicate {
                self.fail(format!("{:?} is called {verdict:?} because of the log: {stands:?}", asked.batch));
            }
            return;
        }
        let Some(allowed) = self.witness(at).verdicts(asked, now_ms) else { return };
        self.tally.judged += 1;
        if !allowed.contains(&verdict) {
            self.fail(format!("{:?} on partition {} is {allowed:?}, not {verdict:?}", asked.batch, asked.partition));
        }
    }

    /// A gap is flagged where there is one, and nowhere else.
    pub(crate) fn judge_gap(&mut self, at: usize, asked: &Asked, verdict: Verdict, is_new: bool) {
        let client = &self.clients[self.connections[at].client];
        let policy = self.policy(at);
        let is_skipped = client.parts[asked.partition].gap_at == Some(asked.batch.base);
        self.tally.gaps += u64::from(is_new);
        // A proxy that began in the middle has not seen all, whatever its configuration says.
        let may_know = self.setup.proxies == 1 && !self.has_lost && !self.proxies[0].has_restarted;
        // Whoever uses numbers again leaves some out now and then.
        let is_honest = client.family.is_honest()
            && !client.family.reuses_sequences()
            && !client.skips
            && !self.overtakes(at, asked);
        if (is_new || verdict == Verdict::Gap) && is_honest && may_know {
            return self.fail(format!("{:?} is called a gap", asked.batch));
        }
        let now_ms = self.now_ms;
        let expected = self.witness(at).expected(asked, now_ms);
        let is_first = expected.is_some_and(|expected| advance(expected, SKIPPED) == asked.batch.base);
        // Sent once more, it is a retry.
        let is_first = is_first && !matches!(verdict, Verdict::Retry | Verdict::Duplicate);
        if is_skipped && is_first && may_know && self.setup.limits.producers_max > SMALL {
            // While something else is open (D17), that may be what is missing, or what was forgotten.
            let witness = self.witness(at);
            let may_be_open =
                witness.verdicts(asked, now_ms).is_some_and(|allowed| allowed.contains(&Verdict::Suspect));
            let may_be_known = may_be_open || witness.may_have_forgotten(asked);
            let is_told = may_be_known && verdict == Verdict::Suspect
                || verdict == if policy.authoritative { Verdict::Gap } else { Verdict::Suspect };
            if !is_told {
                self.fail(format!("{:?} follows a gap and is called {verdict:?}", asked.batch));
            }
        }
    }

    /// On another connection the one before may still be on its way: then there is a gap, until it comes (KAFKA-15591).
    fn overtakes(&self, at: usize, asked: &Asked) -> bool {
        let client = &self.clients[self.connections[at].client];
        if client.producer_id != Some(asked.batch.producer_id) {
            // Nobody remembers what else was on its way when the client's process ended.
            return true;
        }
        let part = &client.parts[asked.partition];
        let elsewhere = part.flying.iter().filter(|flying| flying.connection != at).map(|flying| &flying.queued);
        let again = part.waiting.iter().filter(|queued| queued.attempts > 0);
        elsewhere.chain(again).any(|queued| queued.batch.records < asked.batch.records)
    }

    /// A broker's refusal confirms a gap where there is one, and nowhere else.
    pub(crate) fn judge_confirmed(
        &mut self,
        at: usize,
        asked: &[Asked],
        response: &Response,
        gaps: &[(i64, i32, i32)],
    ) {
        self.tally.gaps += gaps.len() as u64;
        let client = &self.clients[self.connections[at].client];
        let may_know = self.setup.proxies == 1 && !self.has_lost && !self.proxies[0].has_restarted;
        let is_honest = client.family.is_honest() && !client.family.reuses_sequences() && !client.skips;
        let is_it = |gap: (i64, i32, i32), it: &Asked| gap == (it.batch.producer_id, it.index, it.batch.base);
        let is_invented = |gap: &(i64, i32, i32)| !asked.iter().any(|it| is_it(*gap, it) && self.overtakes(at, it));
        // Where there is little room, and a broker forgets as well, nobody knows that what it misses was acknowledged.
        let may_know = may_know && self.setup.limits.producers_max > SMALL;
        if gaps.iter().any(is_invented) && is_honest && may_know && self.policy(at).authoritative {
            return self.fail(format!("{gaps:?} are called gaps"));
        }
        let authoritative = self.policy(at).authoritative;
        for asked in asked {
            let part = &self.clients[self.connections[at].client].parts[asked.partition];
            let is_refused = response
                .said
                .iter()
                .any(|said| said.error == 45 && said.topic == asked.topic && said.partition == asked.index);
            let is_it = (asked.batch.producer_id, asked.index, asked.batch.base);
            let is_gap = part.gap_at == Some(asked.batch.base) && is_refused && !part.disturbed && may_know;
            if is_gap && !authoritative && asked.is_suspect && !gaps.contains(&is_it) {
                return self.fail(format!("the gap before {:?} was not confirmed", asked.batch));
            }
        }
    }

    /// What a proxy learns, its witness hears.
    pub(crate) fn witness_learns(&mut self, at: usize, api: Api, bytes: &[u8]) {
        let partitions = self.setup.make.partitions;
        let step = self.step;
        if api == Api::InitProducerId {
            let witness = self.witness(at);
            let id = i64::from_be_bytes(bytes[15..23].try_into().expect("eight bytes"));
            let epoch = i16::from_be_bytes([bytes[23], bytes[24]]);
            witness.handed_out(id, epoch, step);
            return self.tell(|| format!("c{at}< {id}/{epoch}"));
        }
        let (cluster, topics) = crate::cluster::read_metadata(bytes);
        let witness = self.witness(at);
        let mut words = format!("c{at}< cluster=cluster-{cluster}");
        for (number, (name, id)) in topics.iter().enumerate() {
            witness.linked(name, *id, number * partitions..(number + 1) * partitions, step);
            words += &format!(" {name}={id}");
        }
        self.tell(|| words);
    }

    /// Likewise of the topic that a look has asked for.
    pub(crate) fn witness_learns_topic(&mut self, at: usize, version: i16, bytes: &[u8]) {
        let (cluster, topic) = crate::cluster::read_topic(version, bytes);
        self.tell(|| format!("#    c{at} is told of cluster-{cluster} and {topic:?}"));
        let Some((name, id)) = topic else { return };
        // What goes because of it goes in the same step, and to the topic that it tells of.
        let (step, partitions) = (self.step - 1, self.setup.make.partitions);
        let first = self.number_of(&TopicKey::Name(name.as_str().into()), 0);
        self.witness(at).linked(&name, id, first..first + partitions, step);
    }
}
