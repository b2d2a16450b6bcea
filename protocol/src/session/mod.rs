//! One connection's decisions: admit a request, settle a response, take in what the cluster tells on the way.

mod act;
mod admit;
mod auth;
mod by_head;
mod keep;
mod learn;
mod look_up;
mod observe;
mod settle;
mod stream;
mod waiting;

#[cfg(test)]
mod tests;

use hashbrown::DefaultHashBuilder;

use crate::event::Event;
use crate::sequencing::{BrokerGeneration, ConnectionId, Directory, LogMark, Millis, Proof, Ticket, Tracker};
use crate::wire::produce::{AnswerEntry, OwnedTopic};

pub use auth::Auth;
pub use learn::Learnt;
use look_up::{Found, Refusable};
pub use look_up::{GivenUp, LookUp, LookUpKind, LookUpOutcome, Subject};
use observe::Observed;
pub use settle::{Incomplete, Settled, Unresolved};
pub use stream::Streamed;
use waiting::Waiting;

/// Where the state of one cluster is kept, for all connections to it.
///
/// The closures must not be nested: each of them may run under a lock.
pub trait Ledger {
    /// Reaches the tracker that has the partitions of this number, of all topics.
    fn tracker<R>(&self, partition: i32, act: impl FnOnce(&mut Tracker) -> R) -> R;
    /// Reaches every tracker, one after the other.
    fn each_tracker(&self, act: impl FnMut(&mut Tracker));
    /// Reaches the cluster's topic names and ids.
    fn directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R;
    /// Whether something passed unread that may have appended batches.
    fn is_tainted(&self) -> bool;
    /// Something passed unread that may have appended batches (T11).
    fn taint(&self);
    /// Batches are not at the broker any more: whoever was told to hold may ask again (T27).
    fn settled(&self);
    /// Whether both are one cluster's.
    fn is_same(&self, other: &Self) -> bool;
}

/// What is done with duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Flag, forward everything.
    Observe,
    /// Answer what the cluster has acknowledged.
    Dedupe,
    /// The same, and refuse what follows a gap, where its leader says that it would refuse it.
    Enforce,
}

/// What happens to a request with duplicates and new batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mixed {
    /// The duplicates are left out, and put back into the answer.
    Strip,
    /// It goes to the broker whole.
    Forward,
}

/// How a session is to behave; the same for all connections of a process, and changed while they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The mode.
    pub mode: Mode,
    /// For requests with old and new batches.
    pub mixed: Mixed,
    /// Whether every producer of the cluster comes through here.
    pub authoritative: bool,
    /// Whether the cluster is asked what nobody has told: see [`Admission::Look`].
    pub look_up: bool,
    /// How long brokers remember a producer that sends nothing, in ms: their `producer.id.expiration.ms`.
    pub producer_expiration_ms: u64,
}

/// What is true at the moment of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// The time.
    pub now: Millis,
    /// The broker that the connection leads to, as it is now.
    pub broker: BrokerGeneration,
    /// The policy.
    pub policy: Policy,
    /// Whether this listener's broker has served a request of a connection without SASL (T33).
    pub serves_without_sasl: bool,
    /// Bytes that may be kept of a request until its answer has gone. One that would take more is forwarded instead of
    /// answered, and passes unread if not even its batches can be noted down.
    pub keep_bytes_max: usize,
    /// Whether requests of our own may go up the client's connection now, to look into the log. Not twice for one
    /// request.
    pub may_look: bool,
    /// Whether a batch may be told to wait because it would be the first that the broker sees of its producer, while the
    /// true first one is on its way over another connection (KAFKA-15591). Not for long: that one may never arrive.
    pub guards: bool,
    /// The time in ms since 1970, with [`Mode::Enforce`].
    pub unix_ms: i64,
}

/// One batch's ticket, with what finds it in a response.
#[derive(Clone, Copy, Debug)]
struct Claim {
    topic: u64,
    partition: i32,
    ticket: Ticket,
    settled: bool,
    /// What finds the batch in the log: its first record's time, in ms since 1970.
    timestamp: i64,
}

/// One partition is by far the commonest case, and costs no allocation.
#[derive(Debug)]
enum Claims {
    None,
    One(Claim),
    Many(Vec<Claim>),
}

/// A duplicate that was kept from the broker, and will be answered from its proof.
#[derive(Clone, Debug)]
struct Kept {
    topic: OwnedTopic,
    partition: i32,
    proof: Proof,
    /// When the log was looked into for it, unless an answer has told.
    seen: Option<LogMark>,
}

/// A request that went to the broker and whose answer settles what it carried.
#[derive(Debug)]
#[must_use = "its tickets stay open until it is settled or abandoned"]
pub struct Pending {
    version: i16,
    correlation_id: i32,
    /// Which of the session's ledgers the tickets are of.
    ledger: usize,
    claims: Claims,
    /// What was left out of the request and goes back into its answer.
    kept: Option<Box<Stripped>>,
    /// How long the broker may wait for its replicas.
    timeout_ms: u32,
    /// Whether a 45 may be held against the log before it is passed on.
    may_look: bool,
    /// The broker that it went to, as it was then.
    broker: BrokerGeneration,
}

#[derive(Debug)]
struct Stripped {
    kept: Vec<Kept>,
    answers: Vec<AnswerEntry>,
    /// What the broker was sent and may speak of, sorted.
    sent: Vec<(u64, i32)>,
}

impl Pending {
    /// The correlation id that the answer must carry.
    #[must_use]
    pub const fn correlation_id(&self) -> i32 {
        self.correlation_id
    }

    /// How long the broker may take to hear from its replicas, in milliseconds.
    #[must_use]
    pub const fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// Whether duplicates were left out: the broker's answer alone is not the client's.
    #[must_use]
    pub const fn is_stripped(&self) -> bool {
        self.kept.is_some()
    }
}

/// An answer made here, waiting for its turn.
#[derive(Debug)]
pub struct Local {
    frame: Vec<u8>,
    ledger: usize,
    kept: Vec<Kept>,
}

impl Local {
    /// The whole frame, length included. Ask [`Session::still_holds`] before it leaves.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }
}

/// What is to be done with a produce request.
#[derive(Debug)]
pub enum Admission {
    /// Forward it as it came. `None`: there will be no answer (acks=0).
    Forward(Option<Pending>),
    /// Forward it as it came; its answer is passed through. Nothing is known of it, not even whether an answer
    /// comes.
    Unread,
    /// Forward `frame` in its place.
    Strip {
        /// What is left of the request, length included.
        frame: Vec<u8>,
        /// What its answer settles.
        pending: Pending,
    },
    /// Answer it; nothing goes to the broker.
    Answer(Local),
    /// It has very many partitions: take it in piece by piece, as one that is too large to be held.
    Stream(Box<Streamed>),
    /// Look into these logs first, tell what came of it with [`Session::looked`], and ask again.
    Look(Vec<LookUp>),
    /// Ask again when a batch has been settled.
    Hold,
    /// Reset the client; nothing of this goes to the broker.
    Reset,
}

/// One client connection.
///
/// For every produce request [`admit`](Self::admit); for every [`Pending`] that comes of it exactly one
/// [`settle`](Self::settle) or [`abandon`](Self::abandon), in any order.
#[derive(Debug)]
pub struct Session<L> {
    connection: ConnectionId,
    /// One is in use; the others have tickets open, perhaps.
    ledgers: Vec<L>,
    current: usize,
    auth: Auth,
    hasher: DefaultHashBuilder,
    /// Scratch space for requests with several partitions; empty between them.
    observed: Vec<Observed>,
    /// The partitions that the request at the front was told to wait for, sorted.
    held: Vec<(u64, i32)>,
    /// When the request at the front was first decided on, while it waits.
    waits_since: Option<Millis>,
    /// The first batches of their producers in it, which others wait for meanwhile.
    waiting: Vec<Waiting>,
    /// What was found in the log for the request at the front.
    found: Vec<Found>,
    /// What its leader would refuse of it.
    refusable: Option<Refusable>,
    /// The topics that the client may not read, as far as it was told so.
    unreadable: Vec<u64>,
    /// A produce request went through unread.
    unread: bool,
    /// And whether it is answered at all is not known.
    unsure: bool,
}

/// How often a connection may turn out to lead to another cluster before nothing is believed of it.
const LEDGERS_MAX: usize = 8;

impl<L: Ledger> Session<L> {
    /// A session that knows nothing yet of its connection.
    pub fn new(connection: ConnectionId, ledger: L) -> Self {
        Self {
            connection,
            ledgers: vec![ledger],
            current: 0,
            auth: Auth::default(),
            hasher: DefaultHashBuilder::default(),
            observed: Vec::new(),
            held: Vec::new(),
            waits_since: None,
            waiting: Vec::new(),
            found: Vec::new(),
            refusable: None,
            unreadable: Vec::new(),
            unread: false,
            unsure: false,
        }
    }

    /// The state of the cluster that the connection leads to, as far as is known.
    pub fn ledger(&self) -> &L {
        &self.ledgers[self.current]
    }

    /// The connection turned out to lead to another cluster. False when there were too many of them to be true.
    #[must_use]
    pub fn switch(&mut self, ledger: L) -> bool {
        if !self.ledger().is_same(&ledger) {
            // What was waited for is in the cluster that is left.
            self.held.clear();
            self.end_waiting(false, Millis(0));
            // Nor does what may be read there say anything of the other one.
            self.unreadable.clear();
        }
        match self.ledgers.iter().position(|known| known.is_same(&ledger)) {
            Some(known) => self.current = known,
            None if self.ledgers.len() >= LEDGERS_MAX => return false,
            None => {
                self.current = self.ledgers.len();
                self.ledgers.push(ledger);
            }
        }
        if self.unread || self.auth.is_raw() {
            // What went through unread may have gone there (T11).
            self.ledger().taint();
        }
        true
    }

    /// Whether it cannot be seen any more which answers are due.
    pub const fn is_unsure(&self) -> bool {
        self.unsure || self.auth.is_raw()
    }

    /// Where authentication stands.
    pub const fn auth(&self) -> &Auth {
        &self.auth
    }

    /// As `auth`, for the requests that pass.
    pub const fn auth_mut(&mut self) -> &mut Auth {
        &mut self.auth
    }

    /// Whether a local answer still stands on proofs that nothing has ended, at the moment it leaves (T22). If
    /// not, the client is reset instead.
    #[must_use]
    pub fn still_holds(&self, local: &Local, now: Millis) -> bool {
        // On another cluster than when the answer was made, nothing holds.
        local.ledger == self.current && self.all_hold(local.ledger, &local.kept, now)
    }

    fn all_hold(&self, ledger: usize, kept: &[Kept], now: Millis) -> bool {
        kept.iter().all(|kept| {
            let topic = kept.topic.as_ref();
            let id = kept.proof.batch;
            self.ledgers[ledger].tracker(kept.partition, |tracker| match &kept.seen {
                Some(mark) => tracker.log_stands(topic, kept.partition, mark, (id.producer_id, id.epoch), now),
                None => tracker.still_holds(topic, kept.partition, &kept.proof, now),
            })
        })
    }
}

/// Takes events as they happen.
pub trait Report: FnMut(Event<'_>) {}

impl<F: FnMut(Event<'_>)> Report for F {}
