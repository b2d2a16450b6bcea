//! The label values that exist; every set is closed.

/// Is one value of a label, with its place in an array.
pub trait Label: Copy {
    /// Name of the label.
    const KEY: &'static str;
    /// Values, in the order of [`Label::index`].
    const NAMES: &'static [&'static str];

    /// Returns the place of this value among [`Label::NAMES`].
    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident = $key:literal { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl Label for $name {
            const KEY: &'static str = $key;
            const NAMES: &'static [&'static str] = &[$($value),+];

            fn index(self) -> usize {
                self as usize
            }
        }

        impl $name {
            /// Returns the value as it stands in metrics and in the journal.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }
        }
    };
}

label! {
    /// What a batch is, against what is known of its producer.
    Verdict = "verdict" {
        /// The next one.
        InOrder = "in_order",
        /// One that the cluster has acknowledged.
        Duplicate = "duplicate",
        /// One after others that were not seen.
        Gap = "gap",
        /// One that may be a gap or a reset.
        Suspect = "suspect",
        /// One that was sent before, with an outcome that is not known.
        Retry = "retry",
        /// One with the numbers of another batch.
        Mismatch = "mismatch",
        /// One of an epoch that is over.
        Stale = "stale",
        /// One that nothing is kept of.
        Untracked = "untracked",
    }
}

label! {
    /// What was done with a batch.
    Action = "action" {
        /// Sent to the broker.
        Forwarded = "forwarded",
        /// Answered here.
        Answered = "answered",
        /// Taken out of its request.
        Stripped = "stripped",
        /// Refused here.
        Rejected = "rejected",
    }
}

label! {
    /// Which way bytes went.
    Direction = "direction" {
        /// From the client.
        ToBroker = "to_broker",
        /// To the client.
        ToClient = "to_client",
    }
}

label! {
    /// How a connection ended, by who ended it.
    Outcome = "outcome" {
        /// The client closed or reset it.
        Client = "client",
        /// The broker closed or reset it.
        Broker = "broker",
        /// The proxy is stopping.
        Drain = "drain",
        /// A limit was met.
        Limit = "limit",
        /// What came is not the Kafka protocol.
        Protocol = "protocol",
        /// Somebody took too long.
        Timeout = "timeout",
        /// The broker could not be reached, or something broke here.
        Error = "error",
    }
}

label! {
    /// Why bytes went through without being understood.
    Passthrough = "reason" {
        /// A version from the future.
        Version = "version",
        /// A frame that does not parse.
        Undecodable = "undecodable",
        /// A SASL token outside of the Kafka protocol.
        SaslRaw = "sasl_raw",
        /// A request above `hold_bytes_max`.
        TooLarge = "too_large",
        /// A feature that is not judged here.
        Unsupported = "unsupported",
    }
}

label! {
    /// Why something that was tracked is forgotten.
    Eviction = "reason" {
        /// `producers_max` was met.
        Limit = "limit",
        /// Nothing was heard for `producer_expiration`.
        Idle = "idle",
        /// Evidence ended it.
        Evidence = "evidence",
    }
}

label! {
    /// What went wrong with a broker.
    UpstreamError = "reason" {
        /// No connection could be made.
        Dial = "dial",
        /// TLS failed.
        Tls = "tls",
        /// The broker took too long to accept.
        Timeout = "timeout",
        /// The broker reset a connection.
        Reset = "reset",
    }
}
