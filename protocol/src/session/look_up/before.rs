//! Which logs are looked into for a request, before it goes.

use super::super::admit::Request;
use super::super::observe::{Observed, wanted};
use super::super::{Ledger, Mode, Present, Session};
use super::{Gap, LookUp, LookUpKind, Place};
use crate::sequencing::{Millis, Passage, Rule};
use crate::wire::batch::crc_fits;
use crate::wire::produce::{ProduceEntry, ProduceRequest};

/// Partitions whose logs are looked into for one request; clients that come back send fewer, as a rule.
const LOOK_UPS_MAX: usize = 64;

impl<L: Ledger> Session<L> {
    /// One for each partition with a batch that may be in the log already.
    pub(in crate::session) fn look_ups(
        &self,
        request: &Request<'_>,
        observed: &[Observed],
        present: &Present,
    ) -> Vec<LookUp> {
        let is_asked = |observed: &Observed| matches!(observed.passage, Passage::Look | Passage::Ask);
        let asked = request.body.entries().zip(observed).filter(|(_, observed)| is_asked(observed));
        let look = |(entry, observed): (ProduceEntry<'_>, &Observed)| {
            let place =
                Place { ledger: self.current, broker: present.broker, topic: entry.topic, partition: entry.partition };
            let wanted = wanted(observed, &entry)?;
            if observed.passage == Passage::Look {
                return Some(self.look_for(kind_of_look(observed.rule), place, wanted, present.now));
            }
            if !is_taken_otherwise(request.body, &entry, present) {
                return None;
            }
            // Half of it is margin enough: for clocks, and for a broker that forgets while it is asked.
            let young_ms = i64::try_from(present.policy.producer_expiration_ms / 2).unwrap_or(i64::MAX);
            let gap = Gap { expected: observed.expected?, younger_than: present.unix_ms.saturating_sub(young_ms) };
            Some(self.ask_about(gap, place, wanted, present.now))
        };
        asked.filter_map(look).take(LOOK_UPS_MAX).collect()
    }

    /// What came of looking into the log for the request at the front. It is asked for again; false when something has
    /// spoken against a log while it was looked into, so that another look may tell more.
    pub fn looked(&mut self, look_ups: Vec<LookUp>) -> bool {
        self.refusable = look_ups.iter().find_map(LookUp::refusable);
        self.found = look_ups.into_iter().flat_map(LookUp::into_found).collect();
        // That it is too old by now is none of what another look would help with.
        self.found.iter().all(|found| self.stands(found, Millis(0)))
    }

    /// Whether the cluster is asked at all for what goes up this connection: a broker answers only those whom it serves, and
    /// only where it can be seen which answer is whose.
    #[must_use]
    pub fn asks(&self, present: &Present) -> bool {
        present.policy.look_up
            && present.policy.mode != Mode::Observe
            && !self.is_unsure()
            && self.auth.allows_questions(present.now)
    }
}

/// Whether a leader would take the batch but for its sequence, as far as can be told: it looks at these things first. The
/// records themselves are not looked at.
fn is_taken_otherwise(body: &ProduceRequest<'_>, entry: &ProduceEntry<'_>, present: &Present) -> bool {
    /// A topic's `message.timestamp.before.max.ms` and `.after.max.ms` are an hour at least, unless somebody is strict.
    const OLDEST_MS: i64 = 3_600_000;
    const YOUNGEST_MS: i64 = 60_000;
    /// None, gzip, snappy, LZ4 and zstd.
    const CODECS: std::ops::RangeInclusive<i16> = 0..=4;
    let Ok(view) = entry.records.batch() else { return false };
    let since = |timestamp: i64| present.unix_ms.saturating_sub(timestamp);

    // Nothing else may be said of it: whose time it has, or that it is a broker's own.
    CODECS.contains(&view.attributes())
        && since(view.base_timestamp()) < OLDEST_MS
        && since(view.max_timestamp()) > -YOUNGEST_MS
        && view.base_timestamp() <= view.max_timestamp()
        && body.only_batch().is_some_and(crc_fits)
}

/// What the log is looked into for, by what the batch is.
fn kind_of_look(rule: Rule) -> LookUpKind {
    if matches!(rule, Rule::D5 | Rule::D17 | Rule::D18 | Rule::D21) {
        LookUpKind::WarmUp
    } else if rule == Rule::D12 {
        LookUpKind::Confirm
    } else {
        LookUpKind::Resolve
    }
}
