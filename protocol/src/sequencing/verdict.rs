//! What a batch is, by which rule, and what was done with it.

/// What a batch is, in the light of what the cluster has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The next one, or the first that is seen of its producer.
    InOrder,
    /// The cluster has acknowledged this very range.
    Duplicate,
    /// Sequences are missing before it.
    Gap,
    /// Sequences seem to be missing, but not everything that could explain it was seen.
    Suspect,
    /// An earlier attempt is in flight or its outcome is unknown.
    Retry,
    /// It shares sequences or an identity with an acknowledged batch, but is not that batch.
    Mismatch,
    /// Behind what is remembered, or of an older epoch.
    Stale,
    /// Without a producer id, malformed, or beyond the limits.
    Untracked,
}

impl Verdict {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::InOrder,
        Self::Duplicate,
        Self::Gap,
        Self::Suspect,
        Self::Retry,
        Self::Mismatch,
        Self::Stale,
        Self::Untracked,
    ];

    /// The name in metrics, journal and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InOrder => "in_order",
            Self::Duplicate => "duplicate",
            Self::Gap => "gap",
            Self::Suspect => "suspect",
            Self::Retry => "retry",
            Self::Mismatch => "mismatch",
            Self::Stale => "stale",
            Self::Untracked => "untracked",
        }
    }
}

/// What was done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It went to the broker as it came.
    Forwarded,
    /// The whole request was answered here.
    Answered,
    /// It was left out of a request whose rest went to the broker.
    Stripped,
    /// It was refused here.
    Rejected,
}

impl Action {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Forwarded, Self::Answered, Self::Stripped, Self::Rejected];

    /// The name in metrics, journal and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Stripped => "stripped",
            Self::Rejected => "rejected",
        }
    }
}

/// The row of the decision table that a verdict comes from; DESIGN.md has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name is a row of the decision table in DESIGN.md")]
pub enum Rule {
    D1,
    D2,
    D5,
    D5a,
    D8,
    D9,
    D10,
    D11,
    D12,
    D14,
    D15,
    D16,
    D17,
    D18,
    D19,
    D20,
    D21,
    D22,
    D23,
    /// Found in the partition's log, which was looked into for it.
    L1,
    /// The limit of producers is reached and nothing can be evicted (T36).
    T36,
}

impl Rule {
    /// The name in journal and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::D1 => "D1",
            Self::D2 => "D2",
            Self::D5 => "D5",
            Self::D5a => "D5a",
            Self::D8 => "D8",
            Self::D9 => "D9",
            Self::D10 => "D10",
            Self::D11 => "D11",
            Self::D12 => "D12",
            Self::D14 => "D14",
            Self::D15 => "D15",
            Self::D16 => "D16",
            Self::D17 => "D17",
            Self::D18 => "D18",
            Self::D19 => "D19",
            Self::D20 => "D20",
            Self::D21 => "D21",
            Self::D22 => "D22",
            Self::D23 => "D23",
            Self::L1 => "L1",
            Self::T36 => "T36",
        }
    }

    /// What a batch under this rule is; `authoritative` when every producer of the cluster is known to pass here.
    #[must_use]
    pub const fn verdict(self, authoritative: bool) -> Verdict {
        match self {
            Self::D1 | Self::D2 | Self::T36 => Verdict::Untracked,
            Self::D5 | Self::D8 | Self::D9 | Self::D20 => Verdict::InOrder,
            Self::D5a | Self::D18 if authoritative => Verdict::Gap,
            Self::D5a | Self::D17 | Self::D18 | Self::D21 => Verdict::Suspect,
            Self::D10 | Self::D11 => Verdict::Retry,
            Self::D12 | Self::D14 | Self::D23 | Self::L1 => Verdict::Duplicate,
            Self::D15 | Self::D16 => Verdict::Mismatch,
            Self::D19 | Self::D22 => Verdict::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_and_actions_are_named_in_the_order_of_their_numbers() {
        assert_eq!(Verdict::ALL.map(|verdict| verdict as usize), [0, 1, 2, 3, 4, 5, 6, 7]);
        let names = ["in_order", "duplicate", "gap", "suspect", "retry", "mismatch", "stale", "untracked"];
        assert_eq!(Verdict::ALL.map(Verdict::name), names);
        assert_eq!(Action::ALL.map(|action| action as usize), [0, 1, 2, 3]);
        assert_eq!(Action::ALL.map(Action::name), ["forwarded", "answered", "stripped", "rejected"]);
    }

    #[test]
    fn a_rule_is_named_as_its_row_is() {
        let rules = [Rule::D1, Rule::D5a, Rule::D18, Rule::L1, Rule::T36];
        assert!(rules.iter().all(|rule| rule.name() == format!("{rule:?}")));
    }

    #[test]
    fn sequences_are_missing_only_where_every_producer_passes() {
        for rule in [Rule::D5a, Rule::D18] {
            assert_eq!([true, false].map(|all| rule.verdict(all)), [Verdict::Gap, Verdict::Suspect]);
        }
        for rule in [Rule::D17, Rule::D21] {
            assert_eq!([true, false].map(|all| rule.verdict(all)), [Verdict::Suspect; 2]);
        }
    }
}
