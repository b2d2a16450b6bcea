//! What is known of one producer on one partition.

use super::attempts::{BrokerGeneration, ConnectionId, Millis};
use super::sequence::{BatchId, ProducerEpoch, ProducerId, Sequence, SequenceRange};
use super::slab::NOWHERE;
use super::window::{Acked, Window};

/// One producer on one partition. With an empty window it is COLD: only its open attempts are known.
///
/// With a million entries a visit costs what it misses in the cache: what a batch in order is held against lies side by side, and the
/// ranges beside the newest behind it. The place that the next range gets is fetched together with them (`Window::fetch`).
#[derive(Debug)]
#[repr(C, align(32))]
pub(super) struct Entry {
    pub(super) producer: ProducerId,
    pub(super) partition: u32,
    /// The epoch of everything in the window.
    pub(super) epoch: ProducerEpoch,
    /// A retry was answered here from a proof older than the broker's generation: the broker may not know the
    /// producer any more, and would accept any sequence. One batch at a time goes up until it acknowledges one.
    pub(super) alone: bool,
    marks: Marks,
    /// The newest open attempt; the list goes on in the attempts.
    pub(super) attempts: u32,
    pub(super) pending: u16,
    /// Attempts whose outcome is unknown, and those sent without waiting for one.
    pub(super) unknown: u16,
    /// The partition's stamp that the window's proofs are good for.
    pub(super) partition_stamp: u32,
    /// How many handed-out producer ids the entry has been held against.
    pub(super) handed_serial: u32,
    /// When the newest proof came: the time to live of all of them runs from there.
    pub(super) proof_at: Millis,
    /// The broker generation that last acknowledged a batch of this producer here, or showed one in its log; while
    /// `alone`, the one that has yet to acknowledge one.
    pub(super) acked_by: BrokerGeneration,
    /// The connection on which a batch last failed, unless one was acknowledged there since.
    failed_on: u32,
    /// The end of the sequences, from the expected one on, that were refused since the last acknowledgement: what
    /// follows them follows no gap (T31).
    refused_end: u32,
    /// The base of the gap that was counted last, so that its retries are not counted again.
    pub(super) gap_at: u32,
    /// For eviction, in seconds of the same clock.
    pub(super) used_s: u32,
    pub(super) window: Window,
}

/// What there is no room for elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct Marks(u8);

impl Marks {
    const UNSURE: u8 = 1;
    const TWIN: u8 = 2;
    const PARTIAL: u8 = 4;
    const SHOWN: u8 = 8;
    const TOLD: u8 = 16;

    const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    const fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }

    const fn clear(&mut self, mark: u8) {
        self.0 &= !mark;
    }
}

/// No batch has failed: connections are numbered from 0 up.
const NO_CONNECTION: u32 = u32::MAX;

/// No broker has said anything: brokers are numbered from 0 up.
const NO_BROKER: BrokerGeneration = BrokerGeneration { broker: u32::MAX, generation: 0 };

/// No gap counted.
pub(super) const NO_GAP: u32 = NO_SEQUENCE;

/// No sequence: none has the highest bit.
const NO_SEQUENCE: u32 = u32::MAX;

impl Entry {
    pub(super) fn new(partition: u32, producer: ProducerId, stamp: u32, handed_serial: u32) -> Self {
        Self {
            partition,
            producer,
            epoch: ProducerEpoch::new(-1),
            window: Window::default(),
            attempts: NOWHERE,
            pending: 0,
            unknown: 0,
            proof_at: Millis(0),
            used_s: 0,
            acked_by: NO_BROKER,
            alone: false,
            marks: Marks::default(),
            failed_on: NO_CONNECTION,
            refused_end: NO_SEQUENCE,
            gap_at: NO_GAP,
            partition_stamp: stamp,
            handed_serial,
        }
    }

    /// Whether a batch failed on `connection`, and none was acknowledged there since.
    pub(super) const fn has_failed_on(&self, connection: ConnectionId) -> bool {
        self.failed_on == connection.0
    }

    /// A batch failed on `connection`.
    pub(super) fn note_failure(&mut self, connection: ConnectionId, batch: BatchId) {
        self.failed_on = connection.0;
        let Some(expected) = self.window.expected().filter(|_| batch.epoch == self.epoch) else { return };
        if batch.range.first != expected && !self.follows_refused(batch.range.first) {
            return;
        }
        let end = batch.range.end();
        let is_further = |known| end.distance_from(expected) > known;
        if self.refused_from(expected).is_none_or(is_further) {
            self.refused_end = end.get().cast_unsigned();
        }
    }

    /// A batch was acknowledged on `connection`: what failed there before is mended.
    pub(super) const fn note_success(&mut self, connection: ConnectionId) {
        if self.has_failed_on(connection) {
            self.failed_on = NO_CONNECTION;
        }
    }

    /// A range was acknowledged that was not known to be: what was refused before it is over.
    pub(super) const fn note_progress(&mut self) {
        self.refused_end = NO_SEQUENCE;
    }

    /// Whether the sequences between the expected one and `base` were refused, and not left out.
    pub(super) fn follows_refused(&self, base: Sequence) -> bool {
        let Some(expected) = self.window.expected() else { return false };
        let refused = self.refused_from(expected).unwrap_or(0);
        (1..=refused).contains(&base.distance_from(expected))
    }

    /// How many sequences from the expected one on were refused.
    fn refused_from(&self, expected: Sequence) -> Option<u32> {
        let end = Sequence::new(self.refused_end.cast_signed())?;
        end.is_after(expected).then(|| end.distance_from(expected))
    }

    /// What comes next is, or is to be, acknowledged by this generation of the broker; what is known is of another one. One
    /// that is over is not entered again.
    pub(super) fn enter_generation(&mut self, broker: BrokerGeneration) {
        if broker.is_before(self.acked_by) {
            return;
        }
        self.marks.clear(Marks::SHOWN);
        if self.acked_by != broker {
            self.acked_by = broker;
            self.window.begin_generation();
        }
    }

    /// This generation of the broker has the batch in its log. Whether it knows the producer, that does not say.
    pub(super) fn note_shown(&mut self, broker: BrokerGeneration, range: SequenceRange) {
        if broker.is_before(self.acked_by) {
            return;
        }
        if self.acked_by != broker {
            self.enter_generation(broker);
            self.marks.set(Marks::SHOWN);
        }
        self.window.renew(range);
    }

    /// What is known of a batch, if it was acknowledged in the entry's epoch.
    #[inline]
    pub(super) fn find(&self, id: BatchId) -> Option<Acked> {
        if id.epoch == self.epoch { self.window.find(id.range) } else { None }
    }

    /// Whether this generation of the broker has acknowledged the batch, or shown it in its log.
    ///
    /// That it has acknowledged another one of the producer says nothing: a log that has lost its end takes what comes
    /// again where that stood before, one after the other.
    pub(super) fn has_of_now(&self, broker: BrokerGeneration, range: SequenceRange) -> bool {
        self.acked_by == broker && self.window.find(range).is_some_and(|acked| !acked.older)
    }

    /// A retry was answered from what was known before the broker could say anything of the producer.
    pub(super) fn go_alone(&mut self, broker: BrokerGeneration) {
        let is_over = broker.is_before(self.acked_by);
        if !is_over && (self.acked_by != broker || self.marks.has(Marks::SHOWN)) {
            self.enter_generation(broker);
            self.alone = true;
        }
    }

    /// Whether the broker has acknowledged something of the producer in this generation, and so knows it.
    pub(super) fn is_known_to(&self, broker: BrokerGeneration) -> bool {
        self.acked_by == broker && !self.alone && !self.marks.has(Marks::SHOWN)
    }

    /// Whether nothing is known of the producer here.
    pub(super) fn is_cold(&self) -> bool {
        self.window.is_empty()
    }

    /// Whether nothing of it is open either, and nothing waits for it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_cold() && self.has_nothing_open() && !self.alone
    }

    pub(super) fn has_nothing_open(&self) -> bool {
        self.pending == 0 && self.unknown == 0 && (!self.marks.has(Marks::UNSURE) || self.is_cold())
    }

    /// Forgets what was acknowledged. Open attempts stay, and so does the epoch: what an older one's late answers say
    /// is of no use any more.
    pub(super) fn make_cold(&mut self) {
        self.window.clear();
        self.gap_at = NO_GAP;
        self.refused_end = NO_SEQUENCE;
        self.marks.clear(Marks::UNSURE);
        self.marks.set(Marks::PARTIAL);
    }

    /// Forgets the epoch as well: the producer id is another producer's.
    pub(super) fn make_new(&mut self) {
        self.make_cold();
        self.epoch = ProducerEpoch::new(-1);
        self.alone = false;
        self.acked_by = NO_BROKER;
        self.marks.clear(Marks::PARTIAL);
        self.marks.clear(Marks::SHOWN);
        self.marks.clear(Marks::TOLD);
    }

    /// More is open than is kept in mind.
    pub(super) fn is_unsure(&self) -> bool {
        self.marks.has(Marks::UNSURE)
    }

    pub(super) const fn note_unsure(&mut self) {
        self.marks.set(Marks::UNSURE);
    }

    /// Everything up to the newest acknowledged range is explained by it.
    pub(super) const fn note_sure(&mut self) {
        self.marks.clear(Marks::UNSURE);
    }

    /// Something was known of the producer here that is not any more: what it is asked for next may be a retry from
    /// before, and what is missing then was perhaps acknowledged.
    pub(super) fn is_partial(&self) -> bool {
        self.marks.has(Marks::PARTIAL)
    }

    pub(super) const fn note_partial(&mut self) {
        self.marks.set(Marks::PARTIAL);
    }

    /// The broker itself has acknowledged a batch of the epoch, since what was known was forgotten, if it was: so nothing of a
    /// later epoch was acknowledged before.
    pub(super) const fn note_told(&mut self) {
        self.marks.set(Marks::TOLD);
    }

    /// Something of a later epoch was acknowledged, perhaps.
    pub(super) const fn note_untold(&mut self) {
        self.marks.clear(Marks::TOLD);
    }

    /// A batch of a new epoch was acknowledged: its sequences begin with it, unless that epoch is among what was forgotten.
    pub(super) fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.marks.has(Marks::TOLD) && epoch > self.epoch {
            self.marks.clear(Marks::PARTIAL);
        }
        self.note_untold();
        self.window.clear();
        self.epoch = epoch;
        self.gap_at = NO_GAP;
        self.refused_end = NO_SEQUENCE;
    }

    /// The producer was seen under another form of what may be the same topic: what is evidence there is not seen
    /// here, so nothing is proven (T9).
    pub(super) fn is_twin(&self) -> bool {
        self.marks.has(Marks::TWIN)
    }

    pub(super) const fn note_twin(&mut self) {
        self.marks.set(Marks::TWIN);
    }
}
