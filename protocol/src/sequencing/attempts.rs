//! Batches that went to a broker and whose outcome is open: in flight, or unknown.

use super::answer::Answer;
use super::sequence::BatchId;
use super::slab::{NOWHERE, Slab};
use super::window::Fingerprint;

/// Milliseconds on a clock that never goes back; which one is the caller's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The milliseconds from `earlier` until this moment, 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A client connection, by a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u32);

/// A broker between two moments at which it may have restarted: the generation goes up when a connection to it
/// ends in a way the proxy did not cause, and when the last one closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BrokerGeneration {
    /// Which broker, by a number of the caller's.
    pub broker: u32,
    /// Which of its generations.
    pub generation: u32,
}

impl BrokerGeneration {
    /// Whether it is over: the other one is a later one of the same broker. Of two brokers neither is.
    pub(super) const fn is_before(self, other: Self) -> bool {
        self.broker == other.broker && self.generation < other.generation
    }
}

/// What a produce request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nothing: there is no answer (0).
    None,
    /// The leader's append (1), or a number that brokers refuse.
    Leader,
    /// All in-sync replicas (-1).
    All,
}

impl Acks {
    /// From the number in a produce request.
    #[must_use]
    pub const fn from_wire(acks: i16) -> Self {
        match acks {
            0 => Self::None,
            -1 => Self::All,
            _ => Self::Leader,
        }
    }
}

/// Who sends a batch where, and how much is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The client's connection.
    pub connection: ConnectionId,
    /// When its request was first decided on.
    pub since: Millis,
    /// The broker it is connected to, as it is now.
    pub broker: BrokerGeneration,
    /// What the request waits for.
    pub acks: Acks,
    /// Whether every producer of the cluster is known to pass here, and nothing passed unread.
    pub authoritative: bool,
    /// Whether something passed here that could not be read and may have appended batches.
    pub tainted: bool,
    /// Whether the log can be looked into before the batch goes.
    pub may_look: bool,
    /// Whether a proof that is older than the broker's generation is good only once the log was seen to have the batch.
    pub confirms: bool,
    /// Whether it is good as well where the log was seen to reach beyond it: it may not be read.
    pub by_end: bool,
    /// Whether what would be the first batch that the broker sees of a producer waits for the true first one, which is on
    /// its way over another connection, and whether others wait for this one.
    pub guards: bool,
    /// Whether a gap may be refused here, once the leader itself says that it would refuse it.
    pub enforces: bool,
}

/// A record batch, as far as its 61-byte header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its producer, epoch and sequences.
    pub id: BatchId,
    /// What its content is compared by.
    pub fingerprint: Fingerprint,
    /// Attribute bit 4: part of a transaction.
    pub transactional: bool,
}

/// The claim on one attempt's outcome: settle it exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an attempt stays pending until its ticket is settled"]
pub struct Ticket {
    pub(super) attempt: u32,
    pub(super) serial: u32,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its answer is awaited.
    Pending,
    /// Sent without waiting for an answer (acks=0).
    Sent,
    /// Its outcome will not be told any more. `orphan`: because its connection is gone.
    Unknown { orphan: bool },
}

/// What was said about a batch when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    None,
    /// It looked like a gap; the broker's 45 confirms it.
    Suspect,
    /// It is a gap that was counted before.
    Gap,
    /// It was counted as a gap.
    NewGap,
}

/// One batch that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// The producer's entry; `NOWHERE` for producers without sequences.
    pub(super) entry: u32,
    pub(super) partition: u32,
    /// The next attempt of the same entry, older than this one.
    pub(super) next: u32,
    pub(super) serial: u32,
    pub(super) batch: Batch,
    pub(super) connection: ConnectionId,
    pub(super) broker: BrokerGeneration,
    pub(super) acks: Acks,
    pub(super) state: State,
    pub(super) flag: Flag,
    /// The request was one whose batches cannot be told apart or read: success teaches only that our picture is
    /// incomplete.
    pub(super) opaque: bool,
    /// Its base was the expected sequence and nothing else was open: a 45 then means that the picture is wrong.
    pub(super) on_expected: bool,
    /// By what was known when it was sent, it may have been in the log already: a 45 then does not say that it is not.
    pub(super) may_be_old: bool,
    /// What follows it as the first batch of its producer waits for it.
    pub(super) guarded: bool,
    /// Its acknowledgement says that nothing of a later epoch was acknowledged before.
    pub(super) tells: bool,
    pub(super) since: Millis,
    /// The partition's stamp and the count of handed-out producer ids when it was sent: evidence that came after
    /// that makes its success worthless as a proof.
    pub(super) partition_stamp: u32,
    pub(super) handed_serial: u32,
}

/// All attempts of one tracker, in lists by entry.
#[derive(Debug)]
pub(super) struct Attempts {
    slab: Slab<Attempt>,
    serial: u32,
}

impl Attempts {
    pub(super) const fn new() -> Self {
        Self { slab: Slab::new(), serial: 0 }
    }

    /// Adds an attempt in front of the list that starts at `head`.
    #[inline(always)]
    pub(super) fn push(&mut self, head: &mut u32, mut attempt: Attempt) -> Ticket {
        self.serial = self.serial.wrapping_add(1);
        attempt.serial = self.serial;
        attempt.next = *head;
        let at = self.slab.insert(attempt);
        *head = at;
        Ticket { attempt: at, serial: self.serial }
    }

    /// Adds an attempt that belongs to no entry.
    pub(super) fn push_alone(&mut self, attempt: Attempt) -> Ticket {
        let mut nowhere = NOWHERE;
        self.push(&mut nowhere, attempt)
    }

    /// The attempt that `ticket` claims, unless it is settled already.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Attempt> {
        self.slab.get(ticket.attempt).filter(|attempt| attempt.serial == ticket.serial)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Attempt {
        &mut self.slab[at]
    }

    /// Frees an attempt that is in no list.
    pub(super) fn remove_alone(&mut self, at: u32) {
        self.slab.remove(at);
    }

    /// Takes one attempt out of the list that starts at `head`.
    #[inline(always)]
    pub(super) fn remove(&mut self, head: &mut u32, at: u32) {
        if *head == at {
            *head = self.slab.remove(at).expect("a list holds what is there").next;
        } else {
            self.remove_where(head, |place, _| place == at, |_| {});
        }
    }

    /// Takes the attempts that `is_done` names out of the list that starts at `head`; returns the removed ones'
    /// states to the caller for its counts.
    pub(super) fn remove_where(
        &mut self,
        head: &mut u32,
        mut is_done: impl FnMut(u32, &Attempt) -> bool,
        mut removed: impl FnMut(&Attempt),
    ) {
        let mut before = NOWHERE;
        let mut at = *head;
        while at != NOWHERE {
            let attempt = &self.slab[at];
            let next = attempt.next;
            if is_done(at, attempt) {
                removed(attempt);
                self.slab.remove(at);
                if before == NOWHERE {
                    *head = next;
                } else {
                    self.slab[before].next = next;
                }
            } else {
                before = at;
            }
            at = next;
        }
    }

    /// The attempts of the list that starts at `head`, newest first.
    pub(super) fn list(&self, head: u32) -> impl Iterator<Item = (u32, &Attempt)> {
        let mut at = head;
        std::iter::from_fn(move || {
            let found = self.slab.get(at)?;
            let here = at;
            at = found.next;
            Some((here, found))
        })
    }

    /// Changes the attempts of the list that starts at `head`.
    pub(super) fn for_each_mut(&mut self, head: u32, mut change: impl FnMut(&mut Attempt)) {
        let mut at = head;
        while let Some(attempt) = self.slab.get_mut(at) {
            change(attempt);
            at = attempt.next;
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.slab.len()
    }

    /// What one more adds to what they take, in bytes.
    pub(super) const fn growth(&self) -> usize {
        self.slab.growth()
    }

    /// What they take in memory, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.slab.bytes()
    }
}

/// How an attempt ended: answered, or never to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker's entry for it.
    Answered(Answer),
    /// Whatever the broker answered, it stands in the log, at this place.
    Found(Answer),
    /// The response lacked its entry, or did not parse, on a connection that lives.
    Missing,
    /// The connection ended first.
    Lost,
    /// It was never sent.
    Withdrawn,
}
