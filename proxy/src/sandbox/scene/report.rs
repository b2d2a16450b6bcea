//! What a scene found.

use std::collections::HashMap;

use bytes::Bytes;

use super::Via;

/// What stands in the log of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) in_log: usize,
    pub(super) doubled: usize,
    pub(super) lost: usize,
}

/// Counts each sent value in the log.
pub(super) fn judge(sent: &[Bytes], log: &[Bytes]) -> Judged {
    let mut counts: HashMap<&Bytes, usize> = HashMap::new();
    for value in log {
        *counts.entry(value).or_default() += 1;
    }
    let count = |value| counts.get(value).copied().unwrap_or(0);
    Judged {
        in_log: log.len(),
        doubled: sent.iter().map(|value| count(value).saturating_sub(1)).sum(),
        lost: sent.iter().filter(|value| count(value) == 0).count(),
    }
}

/// A scene's outcome in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneReport {
    /// What was between producer and broker.
    pub via: Via,
    /// Records handed to the producer.
    pub sent: usize,
    /// Records that it was told were stored.
    pub acknowledged: usize,
    /// Batches that it sent again.
    pub retried: u64,
    /// Batches that the proxy answered itself; 0 without one.
    pub answered_by_proxy: u64,
    /// Batches that reached the broker though it had stored them before.
    pub duplicates_at_broker: u64,
    /// Gaps made on purpose.
    pub gaps_made: u64,
    /// Gaps that the proxy flagged; 0 without one.
    pub gaps_flagged: u64,
    /// Records in the log at the end.
    pub in_log: usize,
    /// Records that stand there more than they were sent.
    pub doubled: usize,
    /// Records that are not there at all.
    pub lost: usize,
}

/// What a scene's numbers mean, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SceneVerdict {
    /// So many records are not in the log.
    Lost(usize),
    /// So many records are in the log too often.
    Doubled(usize),
    /// So many records are there, and the producer was not told.
    Unacknowledged(usize),
    /// The proxy missed so many gaps.
    Unflagged(u64),
    /// Every record stands in the log once, and the producer knows.
    Once,
}

impl SceneReport {
    /// Judges the numbers.
    #[must_use]
    pub fn verdict(&self) -> SceneVerdict {
        if self.lost > 0 {
            SceneVerdict::Lost(self.lost)
        } else if self.doubled > 0 {
            SceneVerdict::Doubled(self.doubled)
        } else if self.acknowledged < self.sent {
            SceneVerdict::Unacknowledged(self.sent - self.acknowledged)
        } else if self.via == Via::Seqgate && self.gaps_flagged < self.gaps_made {
            SceneVerdict::Unflagged(self.gaps_made - self.gaps_flagged)
        } else {
            SceneVerdict::Once
        }
    }

    /// Whether the proxy did what it promises; without one there is nothing to hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.via == Via::Direct || self.verdict() == SceneVerdict::Once
    }
}
