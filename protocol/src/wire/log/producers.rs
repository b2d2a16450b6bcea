//! Asks which producers a partition's leader knows, and what it expects of them (`DescribeProducersRequest.json`, KIP-664).

use super::{NO_TAGS, ONE, begin, finish, put_compact};
use crate::sequencing::{ProducerEpoch, ProducerId};
use crate::wire::cursor::{Cursor, Encoding, ParseError};
use crate::wire::head::ApiKey;

/// The only version there is; brokers understand it from Kafka 2.8 on.
pub const DESCRIBE_PRODUCERS_VERSION: i16 = 0;

/// What is read at once: what stands before the producers, with a topic's name and perhaps a message, one producer, or what
/// stands behind them. Longer parts are not read.
const PART_BYTES_MAX: usize = 4 * 1024;

/// Makes the whole frame, length included, that asks for one partition.
///
/// # Panics
///
/// For names of more than 32,767 bytes, which no request can have brought.
#[must_use]
pub fn describe_producers(correlation_id: i32, topic_name: &[u8], partition: i32) -> Vec<u8> {
    let mut out = begin(ApiKey::DESCRIBE_PRODUCERS, DESCRIBE_PRODUCERS_VERSION, correlation_id);
    out.extend([NO_TAGS, ONE]);
    put_compact(&mut out, topic_name);
    out.push(ONE);
    out.extend(partition.to_be_bytes());
    out.extend([NO_TAGS, NO_TAGS]);
    finish(out)
}

/// What a broker knows of a producer on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownProducer {
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the last record that was appended, -1 for none; whether it is committed is not said.
    pub last_sequence: i32,
    /// The newest timestamp in the batch that it stands in, in ms since 1970: its time to live runs from there.
    pub last_timestamp: i64,
}

/// Reads the answer as it streams: it has as many entries as the partition has producers.
#[derive(Debug)]
pub struct ProducersReader {
    correlation_id: i32,
    name: Box<[u8]>,
    partition: i32,
    producer: ProducerId,
    carry: Vec<u8>,
    stage: Stage,
    found: Option<KnownProducer>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Everything up to the first producer.
    Head,
    /// So many producers, and then the end.
    Producers(u32),
    /// Nothing.
    End,
    /// It is not the answer, or says no: with this error code, or 0 where it does not parse.
    Failed(i16),
}

impl ProducersReader {
    /// Looks for `producer` in the answer to [`describe_producers`].
    #[must_use]
    pub fn new(correlation_id: i32, topic_name: &[u8], partition: i32, producer: ProducerId) -> Self {
        let name = topic_name.into();
        Self { correlation_id, name, partition, producer, carry: Vec::new(), stage: Stage::Head, found: None }
    }

    /// Takes in the next bytes of the frame, what stands behind its length.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut carry = std::mem::take(&mut self.carry);
        carry.extend_from_slice(bytes);
        let mut rest = &carry[..];
        loop {
            let mut cursor = Cursor::beginning(rest, Encoding::Flexible);
            match self.step(&mut cursor) {
                // Of an answer that comes in pieces, so much would not have been gathered.
                Ok(true) if cursor.position() > PART_BYTES_MAX => return self.stage = Stage::Failed(0),
                Ok(true) => rest = &rest[cursor.position()..],
                Ok(false) => return,
                Err(ParseError::Truncated { .. }) if rest.len() < PART_BYTES_MAX => break,
                Err(_) => return self.stage = Stage::Failed(0),
            }
        }
        let read = carry.len() - rest.len();
        carry.drain(..read);
        self.carry = carry;
    }

    /// Reads the next part, if all of it is there. False: there is none.
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        self.stage = match self.stage {
            Stage::Head => self.head(cursor)?,
            Stage::Producers(0) => {
                // Of the partition, of the topic, of all.
                for _ in 0..3 {
                    cursor.skip_tags()?;
                }
                Stage::End
            }
            Stage::Producers(left) => {
                self.producer(cursor)?;
                Stage::Producers(left - 1)
            }
            Stage::End if !cursor.rest().is_empty() => Stage::Failed(0),
            Stage::End | Stage::Failed(_) => return Ok(false),
        };
        Ok(true)
    }

    fn head(&self, cursor: &mut Cursor<'_>) -> Result<Stage, ParseError> {
        if cursor.i32()? != self.correlation_id {
            return Ok(Stage::Failed(0));
        }
        cursor.skip_tags()?;
        let _throttle_time_ms = cursor.i32()?;
        // Of what is yet to come nothing bounds a count.
        let is_one = cursor.array_len(0)? == 1;
        if !is_one || cursor.string()? != &*self.name || cursor.array_len(0)? != 1 {
            return Ok(Stage::Failed(0));
        }
        let (index, error) = (cursor.i32()?, cursor.i16()?);
        let _message = cursor.nullable_string()?;
        let producers = cursor.array_len(0)?;
        Ok(if index == self.partition && error == 0 { Stage::Producers(producers) } else { Stage::Failed(error) })
    }

    fn producer(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
        let (id, epoch, last_sequence, last_timestamp) = (cursor.i64()?, cursor.i32()?, cursor.i32()?, cursor.i64()?);
        let (_coordinator_epoch, _transaction_start) = (cursor.i32()?, cursor.i64()?);
        cursor.skip_tags()?;
        if let (Ok(epoch), true) = (i16::try_from(epoch), ProducerId::new(id) == self.producer) {
            self.found = Some(KnownProducer { epoch: ProducerEpoch::new(epoch), last_sequence, last_timestamp });
        }
        Ok(())
    }

    /// What the whole answer said of the producer.
    ///
    /// # Errors
    ///
    /// The broker's error code; 0 when the answer does not parse, or is not the one.
    pub const fn outcome(&self) -> Result<Option<KnownProducer>, i16> {
        match self.stage {
            Stage::End => Ok(self.found),
            Stage::Failed(error) => Err(error),
            Stage::Head | Stage::Producers(_) => Err(0),
        }
    }
}
