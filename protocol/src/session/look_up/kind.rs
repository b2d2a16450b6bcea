//! What a look into the log is for, and what it comes to.

/// What a look into the log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUpKind {
    /// A batch whose acknowledgement was not seen.
    Resolve,
    /// A producer that nothing is known of and that does not begin with its first sequence.
    WarmUp,
    /// A proof that is older than the broker's generation, before it is first used.
    Confirm,
    /// A batch that follows a gap, before it is refused here: whether its leader would refuse it.
    Enforce,
}

impl LookUpKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Resolve, Self::WarmUp, Self::Confirm, Self::Enforce];

    /// The name in metrics, journal and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::WarmUp => "warm_up",
            Self::Confirm => "confirm",
            Self::Enforce => "enforce",
        }
    }
}

/// What a look into the log came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUpOutcome {
    /// All batches that it was for stand in the log; of a gap: its leader says so, too.
    Found,
    /// Not all of them do: its end was reached; of a gap: its leader does not say so.
    NotFound,
    /// They may stand further ahead than one look reads.
    TooFar,
    /// The client may not read the topic (29).
    NotAllowed,
    /// The log may not be read, but it reaches beyond the batch, and is the same topic's of the same cluster.
    LogEnd,
    /// The broker answered with another error, or with what cannot be read.
    Failed,
    /// Nothing was heard of it in time, or nothing could be asked: see [`GivenUp`].
    GivenUp,
}

impl LookUpOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Found, Self::NotFound, Self::TooFar, Self::NotAllowed, Self::LogEnd, Self::Failed, Self::GivenUp];

    /// The name in metrics, journal and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::TooFar => "too_far",
            Self::NotAllowed => "not_allowed",
            Self::LogEnd => "log_end",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// Why a look was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GivenUp {
    /// It took too long, or those before it did.
    Late,
    /// The broker has yet to answer what it was asked for a look that was given up before.
    Busy,
    /// The client authenticates again, or the mode has changed.
    Unserved,
    /// The answer that it was for had to go: there was no room for those behind it.
    Unwanted,
    /// The connection has ended.
    Closed,
}

impl GivenUp {
    /// The name in journal and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Unserved => "unserved",
            Self::Unwanted => "unwanted",
            Self::Closed => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_outcomes_are_named_in_the_order_of_their_numbers() {
        assert_eq!(LookUpKind::ALL.map(|kind| kind as usize), [0, 1, 2, 3]);
        assert_eq!(LookUpKind::ALL.map(LookUpKind::name), ["resolve", "warm_up", "confirm", "enforce"]);
        assert_eq!(LookUpOutcome::ALL.map(|outcome| outcome as usize), [0, 1, 2, 3, 4, 5, 6]);
        let names = ["found", "not_found", "too_far", "not_allowed", "log_end", "failed", "given_up"];
        assert_eq!(LookUpOutcome::ALL.map(LookUpOutcome::name), names);
    }

    #[test]
    fn why_a_look_was_given_up_is_named() {
        let all = [GivenUp::Late, GivenUp::Busy, GivenUp::Unserved, GivenUp::Unwanted, GivenUp::Closed];
        assert_eq!(all.map(GivenUp::name), ["late", "busy", "unserved", "unwanted", "closed"]);
    }
}
