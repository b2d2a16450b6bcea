//! What a broker says about one partition of a Produce request, and what that says about the log.

/// An error code of the Kafka protocol (`org.apache.kafka.common.protocol.Errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// Success.
    pub const NONE: Self = Self(0);
    /// The topic or partition is not known to this broker.
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// The base sequence is not the expected one.
    pub const OUT_OF_ORDER_SEQUENCE_NUMBER: Self = Self(45);
    /// A duplicate; no broker in use sends it on Produce, every client reads it as success.
    pub const DUPLICATE_SEQUENCE_NUMBER: Self = Self(46);
    /// The producer's epoch is older than the one the partition knows.
    pub const INVALID_PRODUCER_EPOCH: Self = Self(47);
    /// The log directory failed.
    pub const KAFKA_STORAGE_ERROR: Self = Self(56);
    /// The client may not do to the topic what it asked for.
    pub const TOPIC_AUTHORIZATION_FAILED: Self = Self(29);
    /// The producer is not known (brokers before 2.5).
    pub const UNKNOWN_PRODUCER_ID: Self = Self(59);
    /// The log has batches that are compressed in a way which the version asked in does not know.
    pub const UNSUPPORTED_COMPRESSION_TYPE: Self = Self(76);
    /// The topic id is not known to this broker.
    pub const UNKNOWN_TOPIC_ID: Self = Self(100);

    /// Codes that a broker gives only to batches it has not appended, as long as the base offset is -1.
    const NOT_APPENDED: [i16; 22] =
        [2, 10, 17, 18, 19, 21, 29, 31, 32, 35, 42, 43, 45, 47, 48, 49, 51, 53, 76, 87, 90, 120];

    /// A batch was refused for its sequence or its epoch alone.
    #[must_use]
    pub const fn is_of_the_sequence(self) -> bool {
        matches!(self, Self::OUT_OF_ORDER_SEQUENCE_NUMBER | Self::INVALID_PRODUCER_EPOCH)
    }

    /// Whether the partition, or its log, is not what it was: proofs end (3, 56, 100).
    #[must_use]
    pub const fn doubts_the_log(self) -> bool {
        matches!(self, Self::UNKNOWN_TOPIC_OR_PARTITION | Self::KAFKA_STORAGE_ERROR | Self::UNKNOWN_TOPIC_ID)
    }
}

/// One partition's entry in a Produce response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The error code, 0 for success.
    pub error: ErrorCode,
    /// The offset of the batch's first record, or -1.
    pub base_offset: i64,
    /// The append time in milliseconds, or -1 when the topic keeps the producer's timestamps.
    pub log_append_time: i64,
    /// The first offset of the log; absent before Produce v5.
    pub log_start_offset: Option<i64>,
}

/// What an answer says about the attempt it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All in-sync replicas (or the leader, as the request asked) have the batch.
    Acked,
    /// The batch may or may not be in the log.
    Unknown,
    /// This attempt left nothing in the log; an earlier one may have.
    NotAppended,
}

impl Answer {
    /// A leader overwrites only the error of a batch that it has appended and could not replicate in time, so an
    /// offset beside an error means "appended, fate unknown" (`DelayedProduce`). Codes this list does not know
    /// are unknown too.
    #[inline(always)]
    pub(super) fn fate(&self) -> Fate {
        match self.error {
            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Fate::Acked,
            ErrorCode(code) if self.base_offset < 0 && is_not_appended(code) => Fate::NotAppended,
            ErrorCode::UNKNOWN_PRODUCER_ID if self.base_offset < 0 => Fate::NotAppended,
            ErrorCode(_) => Fate::Unknown,
        }
    }
}

#[cold]
fn is_not_appended(code: i16) -> bool {
    ErrorCode::NOT_APPENDED.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: i16, base_offset: i64) -> Answer {
        Answer { error: ErrorCode(error), base_offset, log_append_time: -1, log_start_offset: None }
    }

    #[test]
    fn an_error_beside_an_offset_is_unknown() {
        for code in [19, 59] {
            for offset in [0, 42] {
                assert_eq!(answer(code, offset).fate(), Fate::Unknown, "code {code} at {offset}");
            }
            assert_eq!(answer(code, -1).fate(), Fate::NotAppended, "code {code}");
        }
    }

    #[test]
    fn unknown_server_error_minus1_unknown() {
        assert_eq!(answer(-1, -1).fate(), Fate::Unknown);
        assert_eq!(answer(4711, -1).fate(), Fate::Unknown);
    }

    #[test]
    fn timeouts_and_lost_leaders_are_unknown_without_an_offset_too() {
        for code in [-1, 3, 6, 7, 13, 20, 56, 74, 100] {
            assert_eq!(answer(code, -1).fate(), Fate::Unknown, "code {code}");
        }
    }

    #[test]
    fn code_46_is_read_as_success() {
        assert_eq!(answer(46, -1).fate(), Fate::Acked);
    }
}
