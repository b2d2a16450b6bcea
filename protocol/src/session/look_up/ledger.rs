//! What is known before a look, and what of it is known afterwards: from the ledger, and into it.

use std::sync::Arc;

use hashbrown::HashSet;

use super::{Found, LookUp, LookUpKind, LookUpOutcome, Place, Since, Stage, Step, Wanted};
use crate::sequencing::{Batch, Confirming, LogMark, Millis, TopicRef};
use crate::session::{Ledger, Session};
use crate::wire::log::FetchVersion;

/// Bytes of the log that one look reads at most: at 100 MB/s of produce traffic to one partition, the last sixth of a
/// second; at the usual rates, minutes.
const LOOK_BACK_BYTES: u64 = 16 * 1024 * 1024;

/// Requests that one look makes at most: each reads some of the log, but an answer may hold no batch that counts.
const REQUESTS_MAX: u32 = 64;

/// Batches of an answer that are taken in at once: half a millisecond's.
const TAKEN_IN_MAX: usize = 1_024;

impl<L: Ledger> Session<L> {
    /// Begins a look into the log for a batch. Only what the log is asked from now on counts.
    pub(in crate::session) fn look_for(
        &self,
        kind: LookUpKind,
        place: Place<'_>,
        wanted: Wanted,
        now: Millis,
    ) -> LookUp {
        let Place { ledger, broker, topic, partition } = place;
        let (name, has_id) = self.name_of(ledger, topic);
        let is_nameless = name.is_none();
        let (mark, next, keeps_times) = self.ledgers[ledger].tracker(partition, |tracker| {
            let next = if kind == LookUpKind::Confirm {
                tracker.find_proof(topic, partition, &wanted.batch, None, now).map(|proof| proof.base_offset)
            } else {
                tracker.offset_before(topic, partition, wanted.batch.id)
            };
            (tracker.mark_log(topic, partition, now), next, tracker.keeps_times(topic, partition))
        });
        LookUp {
            kind,
            topic: topic.into(),
            name,
            has_id,
            partition,
            ledger,
            broker,
            mark: mark.unwrap_or(LogMark::NONE),
            wanted: vec![wanted],
            gap: None,
            found: Vec::new(),
            shown: Vec::new(),
            seen: HashSet::new(),
            is_full: false,
            next,
            since: if next.is_none() && !keeps_times { Since::OwnTime } else { Since::Place },
            is_stamped: None,
            step: if is_nameless && next.is_none() { Step::Name } else { Step::Log },
            stage: Stage::Between,
            version: FetchVersion::of(topic),
            correlation_id: 0,
            bytes_left: LOOK_BACK_BYTES,
            requests_left: REQUESTS_MAX,
            log_end: None,
            has_asked: false,
            error: None,
            outcome: if mark.is_none() { Some(LookUpOutcome::Failed) } else { None },
        }
    }

    /// The topic's name, if that is known, and whether its id is.
    fn name_of(&self, ledger: usize, topic: TopicRef<'_>) -> (Option<Arc<[u8]>>, bool) {
        self.ledgers[ledger].directory(|directory| match topic {
            TopicRef::Name(name) => (Some(name.into()), directory.id_of(name).is_some()),
            TopicRef::Id(id) => (directory.name_of(id).map(Into::into), true),
        })
    }

    /// The answer to a look's request has been read to its last byte. Every batch in it becomes known, whoever produced
    /// it.
    ///
    /// True while there are more of them than are taken in at once: it is to be called again, when others have had their turn.
    #[must_use]
    pub fn end_answer(&mut self, look: &mut LookUp, now: Millis) -> bool {
        let before = look.progress();
        match std::mem::replace(&mut look.stage, Stage::Between) {
            Stage::Offset(answer) => look.take_offset(&answer),
            Stage::Versions(answer) => look.take_versions(&answer),
            Stage::Producers(reader) => look.take_producers(&reader),
            Stage::Log(reader) => look.go_on(&reader),
            Stage::Metadata(learner, _) if learner.finished() => self.know_topic(look),
            Stage::Metadata(..) => look.outcome = Some(LookUpOutcome::Failed),
            Stage::Between => {}
        }
        if look.progress() != before {
            // It has told what it tells only those whom it serves.
            self.auth.served();
        }
        let topic_hash = self.topic_hash(look.topic.as_ref());
        let LookUp { topic, partition, ledger, broker, mark, shown, log_end, is_stamped, .. } = look;
        if let Some(end) = *log_end {
            self.ledgers[*ledger].tracker(*partition, |tracker| {
                tracker.confirm_below(topic.as_ref(), *partition, *broker, mark, end);
            });
            note_unreadable(&mut self.unreadable, topic_hash);
        }
        if let Some(is_stamped) = *is_stamped {
            self.ledgers[*ledger]
                .tracker(*partition, |it| it.note_times(topic.as_ref(), *partition, mark, !is_stamped));
        }
        for batch in shown.drain(..shown.len().min(TAKEN_IN_MAX)) {
            self.ledgers[*ledger].tracker(*partition, |tracker| {
                tracker.take_in_log(topic.as_ref(), *partition, *broker, mark, &batch, now);
            });
        }
        let is_over = look.shown.is_empty();
        if is_over && look.outcome.is_some() {
            look.forget_shown();
        }
        !is_over
    }

    /// Whether the log of a topic may not be read by the client, as far as it was told so.
    pub(in crate::session) fn may_not_read(&self, topic: TopicRef<'_>) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&self.topic_hash(topic))
    }

    /// What an answer has told of the topic is in the directory.
    fn know_topic(&self, look: &mut LookUp) {
        // Of one that is to be confirmed the place is known, and the log may not be read.
        let is_confirmed_by_end = look.kind == LookUpKind::Confirm;
        look.step = match look.step == Step::Name {
            true if look.gap.is_some() => Step::Versions,
            true if !is_confirmed_by_end => Step::Log,
            true | false => Step::End,
        };
        if look.name.is_none() {
            look.name = self.name_of(look.ledger, look.topic.as_ref()).0;
        }
    }

    /// Looks at what is known already, before anything is asked: others may have looked there meanwhile.
    pub fn look_back(&self, look: &mut LookUp, now: Millis) {
        if look.gap.is_some() {
            // What the leader expects it has to say itself, and now.
            return;
        }
        let LookUp { topic, partition, ledger, broker, wanted, .. } = &*look;
        let confirmed_by = Some(Confirming { broker: *broker, by_end: self.may_not_read(topic.as_ref()) });
        let (mark, proofs) = self.ledgers[*ledger].tracker(*partition, |tracker| {
            let mark = tracker.mark_log(topic.as_ref(), *partition, now);
            let proof =
                |wanted: &Wanted| tracker.find_proof(topic.as_ref(), *partition, &wanted.batch, confirmed_by, now);
            (mark, wanted.iter().map(proof).collect::<Option<Vec<_>>>())
        });
        // What was said of the log until now is known, and ends no look that has yet to begin.
        let Some(mark) = mark else { return };
        look.mark = mark;
        let Some(proofs) = proofs else { return };
        look.found = proofs.into_iter().map(|proof| look.found(proof)).collect();
        look.outcome = Some(LookUpOutcome::Found);
    }

    /// Whether what was found is still true, as far as is known, and can be told: that it was is to be noted (T27).
    pub(in crate::session) fn stands(&self, found: &Found, now: Millis) -> bool {
        let (topic, partition, id) = (found.topic.as_ref(), found.partition, found.proof.batch);
        found.ledger == self.current
            && self.ledgers[found.ledger].tracker(partition, |tracker| {
                tracker.log_stands(topic, partition, &found.mark, (id.producer_id, id.epoch), now)
                    && tracker.knows(topic, partition, id.producer_id)
            })
    }
}

impl Found {
    /// Whether this is what was found of the batch.
    pub(in crate::session) fn is(&self, topic: TopicRef<'_>, partition: i32, batch: &Batch) -> bool {
        let proof = &self.proof;
        self.partition == partition
            && proof.batch == batch.id
            && proof.fingerprint == batch.fingerprint
            && self.topic.as_ref() == topic
    }
}

impl LookUp {
    /// What it found.
    pub(in crate::session) fn into_found(self) -> Vec<Found> {
        let mark = self.mark;
        self.found.into_iter().map(|found| Found { mark, ..found }).collect()
    }
}

/// Topics that a session remembers as not to be read; of more of them the first are asked for again.
const UNREADABLE_MAX: usize = 64;

fn note_unreadable(unreadable: &mut Vec<u64>, topic: u64) {
    if unreadable.contains(&topic) {
        return;
    }
    if unreadable.len() == UNREADABLE_MAX {
        unreadable.remove(0);
    }
    unreadable.push(topic);
}
