//! Where the families differ.

/// A family of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// Kafka's own: five in flight, many partitions per request, a new epoch for the partition in trouble at once and
    /// for the others when they have nothing in flight.
    Java,
    /// Java before it had epochs of its own: after a failure, later batches are given the failed one's numbers.
    OldJava,
    /// Batches are rebuilt from their messages: a retry has the same range and other bytes. A success speaks for all
    /// that was sent before it. An order that does not fit is the end.
    Librdkafka,
    /// All partitions begin a new epoch together.
    FranzGo,
    /// One request in flight; batches keep the epoch they were made in.
    Sarama,
    /// Java with transactions; `true`: each in an epoch of its own (KIP-890).
    Transactional(bool),
    /// Idempotent with whatever acks and no promises: it sends again what it sent before, answered or not and of
    /// earlier epochs as well, begins new epochs for no reason, and names a partition twice in a request now and then.
    Rude,
    /// Without a producer id.
    Plain,
}

impl Family {
    pub(crate) const ALL: [Self; 9] = [
        Self::Java,
        Self::OldJava,
        Self::Librdkafka,
        Self::FranzGo,
        Self::Sarama,
        Self::Transactional(false),
        Self::Transactional(true),
        Self::Rude,
        Self::Plain,
    ];

    pub(crate) const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Plain)
    }

    pub(crate) const fn is_transactional(self) -> bool {
        matches!(self, Self::Transactional(_))
    }

    /// Whether its application is promised that every record is stored once.
    pub(crate) const fn is_honest(self) -> bool {
        !matches!(self, Self::Rude | Self::Plain)
    }

    pub(crate) const fn retries(self) -> bool {
        self.is_honest()
    }

    /// Batches of one partition in flight.
    pub(crate) const fn in_flight_max(self) -> usize {
        match self {
            Self::Sarama => 1,
            Self::Java
            | Self::OldJava
            | Self::Librdkafka
            | Self::FranzGo
            | Self::Transactional(_)
            | Self::Rude
            | Self::Plain => 5,
        }
    }

    /// Whether a request carries one partition alone.
    pub(crate) const fn asks_for_one(self) -> bool {
        matches!(self, Self::Librdkafka)
    }

    pub(crate) const fn compresses_anew(self) -> bool {
        matches!(self, Self::Librdkafka)
    }

    /// Whether later batches take a failed one's numbers, in the same epoch.
    pub(crate) const fn reuses_sequences(self) -> bool {
        matches!(self, Self::OldJava)
    }

    /// The versions of Produce that it speaks.
    pub(crate) const fn versions(self) -> &'static [i16] {
        match self {
            Self::Java | Self::FranzGo => &[9, 10, 11, 12, 13, 13],
            Self::OldJava | Self::Rude | Self::Plain => &[3, 5, 7, 8, 9, 13],
            Self::Librdkafka | Self::Sarama => &[7, 8, 9, 10],
            Self::Transactional(true) => &[12, 13],
            Self::Transactional(false) => &[8, 9, 11],
        }
    }

    /// In golden scenarios and tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::OldJava => "old java",
            Self::Librdkafka => "librdkafka",
            Self::FranzGo => "franz-go",
            Self::Sarama => "sarama",
            Self::Transactional(false) => "transactional",
            Self::Transactional(true) => "transactional v2",
            Self::Rude => "rude",
            Self::Plain => "plain",
        }
    }
}
