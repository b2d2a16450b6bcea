//! The label values that exist; every set is closed.

pub use seqgate_protocol::event::{Action, HeldFor, LookUpKind, LookUpOutcome, Verdict};

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

impl Label for Verdict {
    const KEY: &'static str = "verdict";
    const NAMES: &'static [&'static str] = &{
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Action {
    const KEY: &'static str = "action";
    const NAMES: &'static [&'static str] = &{
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for LookUpOutcome {
    const KEY: &'static str = "outcome";
    const NAMES: &'static [&'static str] = &{
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for HeldFor {
    const KEY: &'static str = "waits_for";
    const NAMES: &'static [&'static str] = &{
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for LookUpKind {
    const KEY: &'static str = "kind";
    const NAMES: &'static [&'static str] = &{
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    fn index(self) -> usize {
        self as usize
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
        /// A request for whose batches there is no memory.
        Memory = "memory",
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
