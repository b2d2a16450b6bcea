//! Brokers answer who looks into their logs, or asks for producers: with what is there, with an error, with rubbish, late, or
//! not at all.

use super::World;
use crate::cluster::{Cluster, Manner, Read, What};
use crate::proxy::{Api, Frame};
use crate::random::Random;

/// How looks into the log go wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    /// How many of a hundred are answered with an error, or with rubbish.
    pub(crate) fails: usize,
    /// How many of a hundred keep the broker from answering anything on their connection, for a while.
    pub(crate) hangs: usize,
    /// Batches in one answer at most.
    pub(crate) batches_max: usize,
    /// How many topics, from the first one on, may not be read.
    pub(crate) unreadable: usize,
}

/// What brokers say to whoever reads: not allowed, not the leader, out of range, no such topic, and what nobody expects.
const ERRORS: [i16; 9] = [29, 29, 6, 1, 3, 100, 56, 5, -1];

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

impl World {
    /// A broker takes a request to look into a log.
    pub(super) fn broker_reads(&mut self, at: usize, frame: Frame, random: &mut Random) {
        let Reads { fails, hangs, batches_max, unreadable } = self.setup.reads;
        if !self.is_calm && random.percent(hangs) {
            self.tell(|| format!("# the broker of c{at} hangs"));
            let connection = &mut self.connections[at];
            connection.to_broker.push_front(frame);
            connection.hangs = true;
            return;
        }
        let read = Read::parse(&frame.bytes);
        self.note_moment(at, &read);
        // Where the log is to be read is told more often than not, or little would ever be read of it.
        let fails = if matches!(read.what, What::Time(_) | What::Versions) { fails / 4 } else { fails };
        let mut manner = Manner { batches_max, ..Manner::default() };
        if !self.is_calm {
            manner.lags = self.setup.make.lags && random.percent(20);
            manner.overshoots = random.percent(50);
            if read.what == What::Producers {
                manner.has_none = random.percent(30);
                // So far off that it is not true of anything by chance.
                let lies = fails > 0 && random.percent(25);
                manner.off = if lies { *random.pick(&[(1, 0), (65_536, 0), (0, 1_000), (0, -1_000)]) } else { (0, 0) };
            }
            if random.percent(fails) {
                manner.error = Some(*random.pick(&ERRORS));
            }
        }
        let is_denied = self.number_of(&read.topic, 0) / self.setup.make.partitions < unreadable;
        if is_denied && matches!(read.what, What::From(_) | What::Producers) {
            manner.error = Some(TOPIC_AUTHORIZATION_FAILED);
        }
        let spoils = !self.is_calm && random.percent(fails);
        let answer = if spoils { self.spoilt(at, &read, manner, random) } else { self.shown(at, &read, manner) };
        self.answer(at, answer);
    }

    fn shown(&self, at: usize, read: &Read, manner: Manner) -> Frame {
        let api = match read.what {
            What::Time(_) => Api::Own,
            What::End => Api::End,
            What::From(_) => Api::Log,
            What::Topic => Api::Topic,
            What::Versions => Api::Own,
            What::Producers => Api::Producers,
        };
        let bytes = self.cluster.read(self.connections[at].broker, read, manner);
        Frame { api, correlation_id: read.correlation_id, bytes, silent: true }
    }

    /// An answer that is not what it should be.
    fn spoilt(&self, at: usize, read: &Read, manner: Manner, random: &mut Random) -> Frame {
        let partitions = self.setup.make.partitions;
        let mut frame = self.shown(at, read, manner);
        match random.below(5) {
            // To another request.
            0 => {
                frame.correlation_id = frame.correlation_id.wrapping_add(7);
                frame.bytes[4..8].copy_from_slice(&frame.correlation_id.to_be_bytes());
            }
            // Too long; what a topic is was told before.
            1 => frame.bytes.push(0),
            _ if read.what == What::Topic => frame.bytes.push(0),
            2 => frame.bytes.truncate(frame.bytes.len() - 1 - random.below(frame.bytes.len() - 9)),
            // Of another partition.
            3 if partitions > 1 => {
                let index = (read.index + 1) % partitions as i32;
                frame = self.shown(at, &Read { index, ..read.clone() }, manner);
            }
            _ => frame.bytes = Cluster::backwards(read, &frame.bytes),
        }
        let length = (frame.bytes.len() - 4) as u32;
        frame.bytes[..4].copy_from_slice(&length.to_be_bytes());
        if frame.api != Api::Topic {
            frame.api = Api::Own;
        }
        frame
    }
}
