//! What one proxy was shown, noted down by other code than its own: from that, whether it may answer a batch itself.
//!
//! Deliberately plain: lists that are searched from end to end. It says "no" only where the contract does, and "must"
//! only where nothing at all speaks against it.

mod evidence;
mod shown;
mod table;

use std::collections::{HashMap, HashSet};

use seqgate_protocol::sequencing::TrackerLimits;

use crate::batch::{Batch, Key};
use crate::wire::{Said, TopicKey};
use shown::Shown;
use table::{Flight, Heat, Unknown};

/// How many acknowledged intervals of a partition contradict a new one.
const INTERVALS: usize = 64;

/// Codes that leave open what became of a batch.
const UNKNOWN: [i16; 9] = [-1, 3, 6, 7, 13, 20, 56, 74, 100];

/// Producers that idle for longer are forgotten.
pub(crate) const IDLE_MS_MAX: u64 = 3_600_000;

/// A broker's word that it has a batch.
#[derive(Clone, Debug)]
struct Success {
    batch: Batch,
    offset: i64,
    /// When it was sent for, and when the answer came, in steps of the simulation.
    sent: u64,
    proves: bool,
    /// The generation of the broker that has said it.
    by: (usize, u32),
    /// Another generation has told the producer something since.
    older: bool,
}

/// What is held against a batch.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The partition's number in the cluster, and as the request names it.
    pub(crate) partition: usize,
    pub(crate) topic: TopicKey,
    pub(crate) index: i32,
    pub(crate) batch: Batch,
    pub(crate) acks: i16,
    /// When it was sent, in steps.
    pub(crate) sent: u64,
    /// By which connection to which generation of which broker.
    pub(crate) connection: usize,
    pub(crate) broker: (usize, u32),
    /// The partition stands twice in its request.
    pub(crate) opaque: bool,
    /// It was called a suspect.
    pub(crate) is_suspect: bool,
    /// By what it was called, it may have stood in the log before it was sent.
    pub(crate) may_be_old: bool,
    /// It was found in the log, or known by then: when it was answered, in steps and in time.
    pub(crate) found: Option<(u64, u64)>,
    /// What would be the first that the broker sees of its producer may have to wait, and others for it.
    pub(crate) guarded: bool,
}

impl Asked {
    /// Whether that is said of it.
    pub(crate) fn is_in(&self, said: &Said) -> bool {
        (&self.topic, self.index) == (&said.topic, said.partition)
    }

    fn place(&self) -> Place {
        match self.topic {
            TopicKey::Name(_) => (self.partition, 0),
            TopicKey::Id(id) => (self.partition, id),
        }
    }
}

/// One producer on one partition.
#[derive(Clone, Debug, Default)]
struct Producer {
    successes: Vec<Success>,
    newest_ms: u64,
    epoch: i16,
    /// The proxy has perhaps not kept it: it was told of a topic whose names were joined since, or the proxy has seen that it
    /// does not know the producer as its broker does.
    is_epoch_doubtful: bool,
    /// Something happened after which a proxy need not know anything any more.
    unusual: bool,
    in_flight: Vec<Flight>,
    unknown: Vec<Unknown>,
    heat: Heat,
    /// The last epoch in which something was sent of which it is not known how the proxy keeps it.
    clouded: i16,
    /// The last epoch of which a log has shown something.
    shown_in: i16,
    /// A local answer was older than its broker's generation: until this one has acknowledged something, one at a time.
    alone: Option<(usize, u32)>,
    acked_by: Option<(usize, u32)>,
}

/// One partition.
#[derive(Clone, Debug, Default)]
struct Partition {
    producers: HashMap<i64, Producer>,
    intervals: Vec<(i64, i64, Option<Key>)>,
    /// Those that the proxy has forgotten, or not.
    perhaps: Vec<(i64, i64, Option<Key>)>,
    /// Nothing that was sent before is proven.
    doubted: u64,
    /// What a broker has shown of its log.
    shown: Vec<Shown>,
    /// Where it ends at least, as generations of brokers have told.
    ends: Vec<((usize, u32), i64)>,
    /// Its last answer was an error, and not because of a sequence or an epoch.
    refuses: bool,
}

/// A partition under one form of its topic: clients of one producer id keep to one.
type Place = (usize, u8);

/// The witness of one proxy.
#[derive(Debug)]
pub(crate) struct Witness {
    partitions: HashMap<Place, Partition>,
    ids: HashMap<String, u8>,
    /// Ids that a name had before another one.
    retired: HashSet<u8>,
    /// When each partition was doubted last, under whatever name.
    doubted_at: HashMap<usize, u64>,
    /// When the last name was joined with an id.
    linked_at: u64,
    /// When each producer id was handed out last.
    handed_out: HashMap<i64, (u64, i16)>,
    doubted: u64,
    ttl_ms: u64,
    waited_ms: u64,
    window: usize,
    /// There is so little room that a partition may be forgotten with all that was acknowledged in it.
    forgets: bool,
    /// Whose batches were answered without the broker.
    given: HashSet<i64>,
    /// Of whom something is not known any more, perhaps, in whichever partition.
    forgotten: HashSet<i64>,
}

impl Witness {
    pub(crate) fn new(limits: &TrackerLimits) -> Self {
        Self {
            partitions: HashMap::new(),
            ids: HashMap::new(),
            retired: HashSet::new(),
            doubted_at: HashMap::new(),
            linked_at: 0,
            handed_out: HashMap::new(),
            doubted: 0,
            ttl_ms: limits.proof_ttl_ms,
            waited_ms: 0,
            window: limits.window,
            forgets: limits.producers_max < super::SMALL,
            given: HashSet::new(),
            forgotten: HashSet::new(),
        }
    }

    /// A batch goes to a broker. What is wrong with that, if anything.
    pub(crate) fn forwarded(&mut self, asked: &Asked) -> Option<String> {
        let has_twin = self.has_twin(asked);
        if asked.opaque {
            self.forgotten.insert(asked.batch.producer_id);
        }
        let producer = self.producer(asked)?;
        let key = asked.batch.key();
        producer.unusual |= asked.opaque || asked.acks == 0;
        if asked.opaque || asked.acks == 0 {
            // Of ranges that are sent without waiting for an answer, those that follow each other are one.
            producer.cloud(asked.batch.epoch);
        }
        // The retry of one that is in flight is not the next one. What went to a topic that was made anew since is in
        // flight to another log.
        let is_next = producer.in_flight.iter().any(|flight| flight.is_certain && flight.is_noted)
            && producer.in_flight.iter().all(|flight| flight.key != key);
        let problem = producer.alone.is_some() && asked.acks != 0 && !asked.opaque && is_next;
        if asked.acks != 0 && !asked.opaque {
            // The generation that has to acknowledge something is the one that is asked. Until one is, what the one before
            // acknowledges stands in the log, and so its successor knows the producer.
            producer.alone = producer.alone.map(|_| asked.broker);
        }
        if asked.acks != 0 {
            let (connection, is_noted) = (asked.connection, !asked.opaque);
            producer.in_flight.push(Flight { connection, key, is_certain: true, is_noted });
        }
        let is_wrong = problem && !has_twin;
        is_wrong.then(|| format!("T27: {:?} goes while another one is in flight", asked.batch))
    }

    /// Whether no two names were found to be one topic's since it was sent: what is known of it may be in two places else.
    pub(crate) fn is_where_it_was(&self, asked: &Asked) -> bool {
        asked.sent > self.linked_at
    }

    /// Whether something was sent with this producer id under another form of the topic: after all was lost one id is
    /// two producers'.
    fn has_twin(&self, asked: &Asked) -> bool {
        let place = asked.place();
        let others = self.partitions.iter().filter(|(other, _)| other.0 == place.0 && **other != place);
        let of_others = others.filter_map(|(_, partition)| partition.producers.get(&asked.batch.producer_id));
        of_others.into_iter().any(|other| !other.in_flight.is_empty() || !other.successes.is_empty())
    }

    /// Nothing more will be heard of a batch.
    pub(crate) fn unanswered(&mut self, asked: &Asked, now_ms: u64) {
        self.lands(asked);
        let is_certain = asked.sent > self.linked_at;
        if let Some(producer) = self.producer(asked) {
            producer.lost(asked, is_certain, now_ms);
        }
    }

    /// A request was cut off on its way: what the proxy has seen of it by then, it holds for sent.
    pub(crate) fn cut_off(&mut self, asked: &Asked) {
        if let Some(producer) = self.producer(asked) {
            producer.cloud(asked.batch.epoch);
        }
    }

    fn lands(&mut self, asked: &Asked) {
        if let Some(producer) = self.producer(asked) {
            let is_it = |flight: &Flight| flight.connection == asked.connection && flight.key == asked.batch.key();
            if let Some(place) = producer.in_flight.iter().position(is_it) {
                producer.in_flight.remove(place);
            }
        }
    }

    /// The broker said something of a batch, or, not `by_broker`, its log did.
    pub(crate) fn answered(&mut self, asked: &Asked, said: &Said, by_broker: bool, (step, now_ms): (u64, u64)) {
        self.lands(asked);
        let is_open = said.error != 0 && (said.base_offset >= 0 || UNKNOWN.contains(&said.error));
        let is_certain = asked.sent > self.linked_at;
        if let Some(producer) = self.producer(asked).filter(|_| is_open) {
            producer.lost(asked, is_certain, now_ms);
        }
        match said.error {
            0 | 46 => self.succeeded(asked, said, by_broker, (step, now_ms)),
            3 | 56 | 100 => self.doubt(asked.place(), step),
            45 if !self.may_be_expected(asked) => {}
            45 | 47 | 59 => {
                self.forgotten.insert(asked.batch.producer_id);
                let is_present = |producer: &&mut Producer| said.error != 47 || asked.batch.epoch >= producer.epoch;
                if let Some(producer) = self.producer(asked).filter(is_present) {
                    producer.may_be_cold();
                }
                if said.error == 45 {
                    // Of the expected sequence it says that the log is not what it was.
                    self.begin_anew(asked.partition, step);
                }
            }
            _ => {}
        }
        if said.error != 0 {
            self.may_be_dropped(asked, step);
        }
        // An error may be that of a topic that is no more.
        if by_broker && (is_certain || said.error == 0) {
            self.note_answer(asked, said.error);
        }
    }

    /// What the leader takes of the partition's batches.
    fn note_answer(&mut self, asked: &Asked, error: i16) {
        for form in self.forms(&asked.topic) {
            let partition = self.partitions.entry((asked.partition, form)).or_default();
            partition.refuses = match error {
                // It asks for replicas only where all of them are to acknowledge.
                0 | 46 => partition.refuses && asked.acks != -1,
                45 | 47 => partition.refuses,
                _ => true,
            };
        }
    }

    /// A partition of whose producers nothing is known any more goes, and the places of its batches with it.
    fn may_be_dropped(&mut self, asked: &Asked, step: u64) {
        let is_known = |it: &Producer| !it.in_flight.is_empty() || !it.successes.is_empty() && it.heat != Heat::Unsure;
        let producers = self.partitions.get(&asked.place()).map(|partition| partition.producers.values());
        if producers.is_some_and(|mut producers| !producers.any(is_known)) {
            self.begin_anew(asked.partition, step);
        }
    }

    fn succeeded(&mut self, asked: &Asked, said: &Said, by_broker: bool, (step, now_ms): (u64, u64)) {
        let late = asked.sent <= self.partitions.entry(asked.place()).or_default().doubted.max(self.doubted);
        let handed = self.handed_out.get(&asked.batch.producer_id).filter(|(at, _)| asked.sent <= *at);
        let handed_out = handed.is_some();
        // The cluster that has said it is perhaps not the one that hands this id out: it may contradict what is known, but
        // what comes need not fit to it.
        let is_anothers = handed.is_some_and(|(_, lowest)| asked.batch.epoch >= *lowest);
        let mut sent = asked.sent;
        // What was sent before a topic's two names were known to be one is perhaps not kept.
        let unsettled = self.doubted_at.get(&asked.partition).copied().unwrap_or(0);
        let is_kept = asked.sent > self.linked_at.max(unsettled);
        let is_same_topic = asked.sent > self.linked_at;
        if late && !is_same_topic {
            // Of a topic that was made anew it says nothing, of one whose id was learnt it may be evidence.
            self.begin_anew(asked.partition, step);
        }
        let is_held = is_kept || late && is_same_topic;
        if !asked.opaque && asked.batch.is_idempotent() && said.base_offset >= 0 {
            let new = (said.base_offset, said.base_offset + asked.batch.count() - 1, Some(asked.batch.key()));
            if !is_held {
                self.partitions.entry(asked.place()).or_default().perhaps.push(new);
                self.begin_anew(asked.partition, step);
            } else if self.fits_not(asked.place(), new, late || is_anothers, step) && !late {
                // The newer one stays.
                sent = step + 1;
            }
            if is_held && is_anothers {
                self.partitions.entry(asked.place()).or_default().perhaps.push(new);
            }
        }
        if asked.opaque && !late && self.is_cut_by(asked.place(), said.base_offset) {
            self.contradicts(asked.place(), step);
        }
        if !asked.batch.is_idempotent() {
            // Where it stands is evidence to the proxy, and may be to what comes.
            self.begin_anew(asked.partition, step);
            if said.base_offset >= 0 {
                let place = (said.base_offset, said.base_offset + asked.batch.count() - 1, None);
                self.partitions.entry(asked.place()).or_default().perhaps.push(place);
            }
        }
        let linked_at = self.linked_at.max(self.doubted_at.get(&asked.partition).copied().unwrap_or(0));
        let is_misplaced = said.base_offset >= 0 && self.is_misplaced(asked.place(), &asked.batch, said.base_offset);
        let forgets = self.forgets;
        let Some(producer) = self.producer(asked) else { return };
        if asked.opaque {
            producer.may_be_cold();
            // Whichever of the two it was: this generation knows the producer.
            producer.alone = producer.alone.filter(|by| *by != asked.broker);
            return;
        }
        // What an epoch that is over was told says nothing of who knows the producer now.
        // Nor what a generation says that is over, of who knows it now.
        let is_newer = producer.acked_by.is_none_or(|by| by.0 != asked.broker.0 || by.1 <= asked.broker.1);
        // Nor what stands in the log.
        // Unless that it is over was forgotten, perhaps.
        let is_older = asked.batch.epoch < producer.epoch;
        let is_over = is_older && !forgets && !producer.is_epoch_doubtful;
        if by_broker && !is_over && producer.alone.is_none_or(|by| by == asked.broker) && is_newer {
            producer.alone = None;
            producer.enter_generation(asked.broker);
        }
        let proves =
            !late && asked.acks == -1 && !asked.batch.transactional && said.base_offset >= 0 && said.error == 0;
        if handed_out {
            // It is another one's by now.
            producer.unusual = true;
            producer.cloud(asked.batch.epoch);
            if !is_anothers {
                // Or that one's, from an epoch before.
                producer.newest_ms = if proves { now_ms } else { producer.newest_ms };
                let (batch, by) = (asked.batch.clone(), asked.broker);
                producer.successes.push(Success { batch, offset: said.base_offset, sent, proves, by, older: true });
            }
            return;
        }
        // The epoch may be news to a topic that is no more, and not to the one that is there now.
        let is_elsewhere = !is_same_topic && asked.batch.epoch > producer.epoch && !producer.successes.is_empty();
        if is_elsewhere {
            producer.cloud(asked.batch.epoch);
        }
        if asked.batch.epoch < producer.epoch || is_elsewhere {
            if forgets || is_elsewhere || producer.is_epoch_doubtful {
                // The later epoch was forgotten, perhaps: then this is the only one that the proxy knows of.
                producer.unusual = true;
                producer.newest_ms = if proves { now_ms } else { producer.newest_ms };
                let (batch, by) = (asked.batch.clone(), asked.broker);
                let older = producer.acked_by != Some(by);
                producer.successes.push(Success { batch, offset: said.base_offset, sent, proves, by, older });
            }
            return;
        }
        let is_clear =
            asked.batch.epoch > producer.clouded && (asked.batch.epoch > producer.epoch || producer.heat == Heat::Cold);
        if asked.batch.epoch > producer.epoch || producer.successes.is_empty() {
            producer.epoch = asked.batch.epoch;
            producer.is_epoch_doubtful = true;
            producer.successes.retain(|known| known.batch.epoch == asked.batch.epoch);
            producer.unusual = asked.batch.epoch <= producer.shown_in || !producer.successes.is_empty();
            producer.heat = if is_clear { Heat::Hot } else { Heat::Unsure };
        }
        producer.is_epoch_doubtful &= !is_same_topic;
        producer.settles_unknowns(asked.batch.key());
        // A newer batch at an older offset says that the log is not what it was; which one is wrong is not for us.
        let is_behind = |other: &Success| {
            other.batch.base != asked.batch.base && said.base_offset < other.offset + other.batch.count()
        };
        producer.unusual |= asked.sent <= linked_at;
        if asked.sent <= linked_at {
            producer.heat = Heat::Unsure;
        }
        let is_elsewhere = |other: &Success| other.batch.key() == asked.batch.key() && other.offset != said.base_offset;
        let moved = producer.successes.iter().any(is_elsewhere);
        let regresses = said.base_offset >= 0 && producer.successes.iter().any(is_behind);
        producer.unusual |= regresses;
        if regresses {
            producer.heat = Heat::Unsure;
        }
        if proves {
            producer.newest_ms = now_ms;
        }
        let (batch, by) = (asked.batch.clone(), asked.broker);
        let older = producer.acked_by != Some(by);
        producer.successes.push(Success { batch, offset: said.base_offset, sent, proves, by, older });
        if moved || regresses || is_misplaced {
            // And what stood there before says nothing of what comes.
            self.begin_anew(asked.partition, step);
        }
    }

    /// The proof for a local answer, or why there is none: its offset.
    pub(crate) fn proof(&self, asked: &Asked, now_ms: u64) -> Result<i64, &'static str> {
        self.proof_by_answer(asked, now_ms).or_else(|why| self.proof_by_log(asked, now_ms).ok_or(why))
    }

    fn proof_by_answer(&self, asked: &Asked, now_ms: u64) -> Result<i64, &'static str> {
        let nothing = Err("nothing was acknowledged");
        let Some(partition) = self.partitions.get(&asked.place()) else { return nothing };
        let Some(producer) = partition.producers.get(&asked.batch.producer_id) else { return nothing };
        // One that came late takes nothing away.
        let is_it = |success: &&Success| success.proves && success.batch.key() == asked.batch.key();
        let Some(found) = producer.successes.iter().rev().find(is_it) else { return Err("it was not acknowledged") };
        if producer.epoch > asked.batch.epoch && !self.forgets && !producer.is_epoch_doubtful {
            return Err("a later epoch was acknowledged (T14)");
        }
        if found.batch.bytes() != asked.batch.bytes() {
            return Err("another content was acknowledged (T17)");
        }
        if found.sent <= partition.doubted.max(self.doubted) {
            return Err("evidence has ended the proof (6.1)");
        }
        if now_ms.saturating_sub(producer.newest_ms) >= self.ttl_ms {
            return Err("its time has passed (6.1)");
        }
        Ok(found.offset)
    }

    /// Whether a proxy has no reason at all not to answer.
    pub(crate) fn must_answer(&self, asked: &Asked, now_ms: u64) -> bool {
        let Ok(_) = self.proof_by_answer(asked, now_ms) else { return false };
        let producer = &self.partitions[&asked.place()].producers[&asked.batch.producer_id];
        // Brokers do not compare contents: of two acknowledged at one place, who knows which one stands there. And nothing is
        // proven of whom another topic has as well, which may be the same one (T9).
        if producer.is_other_content(&asked.batch) || self.is_shown_elsewhere(asked) {
            return false;
        }
        let newest = producer.successes.iter().rev().take(self.window.min(5));
        let found = newest.clone().find(|success| success.batch.key() == asked.batch.key());
        !producer.unusual && found.is_some_and(|found| found.batch.epoch == producer.epoch)
    }

    /// A batch was answered from a proof, on a connection to this broker.
    pub(crate) fn gave(&mut self, asked: &Asked) {
        self.given.insert(asked.batch.producer_id);
        if let Some(producer) = self.producer(asked)
            && producer.acked_by != Some(asked.broker)
        {
            producer.alone = Some(asked.broker);
            producer.enter_generation(asked.broker);
        }
    }

    /// Whether a gap need not be called one: what is missing may have been acknowledged, and forgotten, or is known under
    /// another form of the topic.
    pub(crate) fn may_have_forgotten(&self, asked: &Asked) -> bool {
        self.forgotten.contains(&asked.batch.producer_id) || self.is_shown_elsewhere(asked)
    }

    pub(crate) fn has_given(&self, producer_id: i64) -> bool {
        self.given.contains(&producer_id)
    }

    /// Whether the last answer to a batch in the partition that says anything of others was an error.
    pub(crate) fn is_refusing(&self, asked: &Asked) -> bool {
        self.partitions.get(&asked.place()).is_some_and(|partition| partition.refuses)
    }

    /// What comes next of a producer that nothing is open of, if it is known for certain.
    pub(crate) fn expected(&self, asked: &Asked, now_ms: u64) -> Option<i32> {
        let producer = self.partitions.get(&asked.place())?.producers.get(&asked.batch.producer_id)?;
        let newest = producer.successes.last().filter(|_| producer.in_flight.is_empty() && !producer.unusual)?;
        let is_proven = self.proof(&Asked { batch: newest.batch.clone(), ..asked.clone() }, now_ms).is_ok();
        (is_proven && producer.epoch == asked.batch.epoch).then(|| newest.batch.end())
    }

    /// Time passes, after which unknown outcomes are forgotten, and with them what else was known.
    pub(crate) fn note_wait(&mut self, ms: u64) {
        if ms >= IDLE_MS_MAX {
            // Whoever idles for so long is forgotten, and that it goes alone, and what it had where.
            let partitions = self.partitions.values_mut();
            partitions.for_each(|partition| partition.perhaps.append(&mut partition.intervals));
            for (id, producer) in self.partitions.values_mut().flat_map(|partition| &mut partition.producers) {
                producer.idles();
                self.forgotten.insert(*id);
            }
        }
        self.waited_ms += ms;
        if self.waited_ms >= self.ttl_ms / 2 {
            self.waited_ms = 0;
            self.note_unusual();
        }
    }

    /// The proxy need not remember the producer any more, as after a time without any batch.
    pub(crate) fn note_unusual(&mut self) {
        let producers = self.partitions.values_mut().flat_map(|partition| partition.producers.values_mut());
        producers.for_each(|producer| producer.unusual = true);
    }

    fn producer(&mut self, asked: &Asked) -> Option<&mut Producer> {
        if !asked.batch.is_idempotent() {
            return None;
        }
        let partition = self.partitions.entry(asked.place()).or_default();
        Some(partition.producers.entry(asked.batch.producer_id).or_insert_with(Producer::unknown))
    }
}
