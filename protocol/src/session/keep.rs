//! What is kept of a request until its answer has gone, and what that takes in memory.

use super::observe::Observed;
use super::settle::{Refused, Unresolved};
use super::{Claim, Claims, Kept, Ledger, Local, Pending, Present, Session, Stripped};
use crate::sequencing::{Acks, LogMark, Proof, TopicRef};
use crate::wire::produce::{AnswerEntry, OwnedTopic, ProduceEntry, ProduceRequest};

/// So many batches of a request are always noted down: what that takes is the least that goes on with.
pub(super) const CLAIMS_MIN: usize = 32;

/// A partition's entry in an answer is smaller, in every version.
const ANSWER_BYTES_MAX: usize = 48;

/// What is around the entries of an answer, or around a name that is shared.
const FRAME_BYTES_MAX: usize = 64;

impl<L: Ledger> Session<L> {
    /// Notes down what a duplicate is answered with.
    pub(super) fn keep(
        &self,
        out: &mut Stripped,
        entry: &ProduceEntry<'_>,
        (proof, seen): (Proof, Option<LogMark>),
        acks: Acks,
        present: &Present,
    ) {
        let partition = entry.partition;
        let same = out.kept.last().filter(|last| last.topic.as_ref() == entry.topic);
        let topic = same.map_or_else(|| OwnedTopic::from(entry.topic), |last| last.topic.clone());
        out.answers.push(AnswerEntry {
            topic: topic.clone(),
            partition,
            error: 0,
            base_offset: proof.base_offset,
            log_append_time: proof.log_append_time,
            log_start_offset: proof.log_start_offset,
        });
        out.kept.push(Kept { topic, partition, proof, seen });
        let sender = self.sender(acks, present);
        let producer = proof.batch.producer_id;
        self.ledger()
            .tracker(partition, |tracker| tracker.answered(entry.topic, partition, producer, &sender, present.now));
    }
}

/// What the names of the proven entries' topics take, each once as long as it is not interrupted; in the answer, too.
pub(super) fn names_bytes(body: &ProduceRequest<'_>, observed: &[Observed]) -> usize {
    let mut last = None;
    let mut bytes = 0;
    for (entry, _) in body.entries().zip(observed).filter(|(_, observed)| observed.proof.is_some()) {
        if last != Some(entry.topic) {
            bytes += FRAME_BYTES_MAX + 2 * name_bytes(entry.topic);
            last = Some(entry.topic);
        }
    }
    bytes
}

/// What an answer to so many batches keeps at most.
pub(super) const fn answer_bytes(proven: usize, names: usize) -> usize {
    proven * (size_of::<Kept>() + ANSWER_BYTES_MAX) + names + FRAME_BYTES_MAX
}

/// What a request keeps of which so many batches are left out.
pub(super) const fn strip_bytes(frame: usize, proven: usize, batches: usize, names: usize) -> usize {
    let of_proven = proven * (size_of::<Kept>() + size_of::<AnswerEntry>());
    frame + of_proven + (batches - proven) * (size_of::<Claim>() + size_of::<(u64, i32)>()) + names
}

const fn name_bytes(topic: TopicRef<'_>) -> usize {
    match topic {
        TopicRef::Name(name) => name.len(),
        TopicRef::Id(id) => id.0.len(),
    }
}

/// What a name that is shared takes: ahead of it stands how often it is.
pub(super) const fn shared_bytes(name: &[u8]) -> usize {
    2 * size_of::<usize>() + name.len().next_multiple_of(size_of::<usize>())
}

/// What a topic's name takes elsewhere, if it is one's own; an id takes nothing.
pub(super) fn owned_bytes(topic: &OwnedTopic) -> usize {
    match topic {
        OwnedTopic::Name(name) => shared_bytes(name),
        OwnedTopic::Id(_) => 0,
    }
}

/// A name is counted with the first of the entries that share it.
fn kept_bytes(kept: &[Kept]) -> usize {
    let mut last: Option<&OwnedTopic> = None;
    let mut bytes = size_of_val(kept);
    for Kept { topic, .. } in kept {
        if last != Some(topic) {
            bytes += name_bytes(topic.as_ref());
            last = Some(topic);
        }
    }
    bytes
}

impl Stripped {
    /// With room for exactly so many: no more was asked for.
    pub(super) fn with_room(proven: usize, sent: usize) -> Self {
        Self { kept: Vec::with_capacity(proven), answers: Vec::with_capacity(proven), sent: Vec::with_capacity(sent) }
    }

    fn bytes(&self) -> usize {
        let Self { kept, answers, sent } = self;
        let of_answers = answers.capacity() * size_of::<AnswerEntry>();
        size_of::<Self>() + kept_bytes(kept) + of_answers + sent.capacity() * size_of::<(u64, i32)>()
    }
}

impl Pending {
    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let claims = match &self.claims {
            Claims::None | Claims::One(_) => 0,
            Claims::Many(claims) => claims.capacity() * size_of::<Claim>(),
        };
        size_of::<Self>() + claims + self.kept.as_ref().map_or(0, |stripped| stripped.bytes())
    }
}

impl Local {
    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.frame.capacity() + kept_bytes(&self.kept)
    }
}

impl Unresolved {
    /// What it takes in memory, in bytes, with the looks that are for it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut names = 0;
        for (n, Refused { topic, .. }) in self.refused.iter().enumerate() {
            // Those that stand side by side share it.
            let is_shared = n > 0 && self.refused[n - 1].topic == *topic;
            names += if is_shared { 0 } else { owned_bytes(topic) };
        }
        let stripped = self.kept.as_ref().map_or(0, |stripped| stripped.bytes());
        let refused = self.refused.capacity() * size_of::<Refused>();
        size_of::<Self>() + self.frame.capacity() + refused + names + self.look_bytes + stripped
    }
}
