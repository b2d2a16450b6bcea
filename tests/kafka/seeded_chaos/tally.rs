//! What a storm has done to each client, and which of it nothing explains.

use std::collections::BTreeSet;
use std::ops::{AddAssign, Range};

use super::follower::{self, Place};
use super::members::{Member, Transactions};
use super::plan::{Plan, Round};
use super::storm::Storm;
use crate::support::judge::Outcome;

/// Counts of one client, or sums of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: usize,
    pub(crate) acked: usize,
    pub(crate) failed: usize,
    /// Neither acknowledged nor failed within all patience.
    pub(crate) stuck: usize,
    /// Doubled where every acknowledgement reached the place where seqgate is, or would be.
    pub(crate) doubled_seen: usize,
    /// Where one may not have.
    pub(crate) doubled_unseen: usize,
    /// Where seqgate, if there was one, ended together with a broker.
    pub(crate) doubled_both: usize,
    pub(crate) reordered: usize,
    pub(crate) lost: usize,
    pub(crate) misplaced: usize,
    pub(crate) committed: usize,
    pub(crate) aborted: usize,
    /// Transactions that were to be committed, and could not be.
    pub(crate) refused: usize,
}

/// One storm's results.
pub(crate) struct Report {
    pub(crate) rows: Vec<(&'static str, Tally)>,
    /// Cuts that have struck.
    pub(crate) struck: usize,
    /// Batches that seqgate kept from the broker.
    pub(crate) answered: usize,
    /// Records that the group read, and those among them that it had read before.
    pub(crate) read: (usize, usize),
    /// What must never be, with or without seqgate.
    pub(crate) broken: Vec<String>,
    /// What must not be where seqgate has seen every acknowledgement that could be lost.
    pub(crate) unexplained: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.acked += other.acked;
        self.failed += other.failed;
        self.stuck += other.stuck;
        self.doubled_seen += other.doubled_seen;
        self.doubled_unseen += other.doubled_unseen;
        self.doubled_both += other.doubled_both;
        self.reordered += other.reordered;
        self.lost += other.lost;
        self.misplaced += other.misplaced;
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.refused += other.refused;
    }
}

impl Storm<'_> {
    /// Reads all partitions back from the brokers and holds them against what clients were told.
    pub(crate) fn judge(mut self, plan: &Plan) -> Report {
        let mut report = Report {
            rows: Vec::new(),
            struck: self.struck,
            answered: 0,
            read: (0, 0),
            broken: Vec::new(),
            unexplained: Vec::new(),
        };
        let mut committed = BTreeSet::new();
        for member in &self.members {
            let outcome = self.chain.judge(&member.producer);
            let mut tally = report.note(member, &outcome, plan);
            if let Some(transactions) = &member.transactions {
                let topic = member.producer.topic();
                let direct = self.chain.a_running_broker().direct();
                let visible = follower::committed(topic, &self.chain.tools.read_committed(direct, topic));
                report.note_transactions(member.name, transactions, &visible);
                (tally.committed, tally.aborted) = (transactions.committed.len(), transactions.aborted.len());
                tally.refused = transactions.refused.len();
                committed.extend(visible);
            }
            report.rows.push((member.name, tally));
        }
        let read = self.follower.finish();
        let once: BTreeSet<_> = read.iter().cloned().collect();
        report.read = (read.len(), read.len() - once.len());
        if once != committed {
            let differ: Vec<_> = once.symmetric_difference(&committed).collect();
            report.broken.push(format!("the group has not read what is committed: {differ:?}"));
        }
        report
    }
}

impl Report {
    /// Fails where seqgate has lost something, or doubled it although it knew better.
    #[track_caller]
    pub(crate) fn assert_kept(&self, seed: u64) {
        assert!(self.broken.is_empty(), "seed {seed}: {:#?}", self.broken);
        assert!(self.unexplained.is_empty(), "seed {seed}: {:#?}", self.unexplained);
    }

    fn note(&mut self, member: &Member, outcome: &Outcome, plan: &Plan) -> Tally {
        let name = member.name;
        for (what, ids) in [("lost", &outcome.lost), ("misplaced", &outcome.misplaced)] {
            if !ids.is_empty() {
                self.broken.push(format!("{name}: {what} {ids:?}"));
            }
        }
        let mut tally = Tally {
            records: member.producer.sent(),
            acked: outcome.acked.len(),
            failed: failed_by_itself(member, outcome).len(),
            stuck: member.producer.sent() - member.producer.settled().min(member.producer.sent()),
            reordered: outcome.reordered.len(),
            lost: outcome.lost.len(),
            misplaced: outcome.misplaced.len(),
            ..Tally::default()
        };
        if tally.stuck > 0 {
            self.unexplained.push(format!("{name}: {} neither acknowledged nor failed", tally.stuck));
        }
        self.note_rounds(member, outcome, plan, &mut tally);
        tally
    }

    /// What happened in which round, and whether that explains it. The first round and the last are calm.
    fn note_rounds(&mut self, member: &Member, outcome: &Outcome, plan: &Plan, tally: &mut Tally) {
        let failed = failed_by_itself(member, outcome);
        let (mut explained, mut forgotten) = (false, false);
        let rounds = std::iter::once(None).chain(plan.rounds.iter().map(Some)).chain([None]);
        for (number, (records, round)) in member.rounds.iter().zip(rounds).enumerate() {
            let here = |ids: &[String]| ids.iter().filter(|id| records.contains(&number_of(id))).count();
            // What is part of a transaction is never answered by seqgate, and a retry that a broker has refused can spoil
            // the transaction after it: with seqgate it is as without.
            forgotten |= member.transactions.is_some() && round.is_some_and(Round::forgets);
            let may_double = forgotten || round.is_some_and(Round::may_double);
            // A client that has given up for good gives up all that comes later.
            explained |= may_double && here(&failed) > 0;
            let refused = member.transactions.iter().flat_map(|transactions| &transactions.refused);
            let refused = refused.filter(|(refused, _)| records.contains(&refused.start)).count();
            match round {
                Some(round) if may_double && round.ends_seqgate() => tally.doubled_both += here(&outcome.doubled),
                _ if may_double => tally.doubled_unseen += here(&outcome.doubled),
                _ => tally.doubled_seen += here(&outcome.doubled),
            }
            let counts = [
                (here(&outcome.doubled), "doubled", may_double),
                (here(&outcome.reordered), "reordered", may_double),
                (here(&outcome.told_twice), "told twice", may_double),
                (here(&failed), "failed", may_double || explained),
                (refused, "commits refused", may_double || explained),
            ];
            for (count, what, excused) in counts.into_iter().filter(|(count, ..)| *count > 0) {
                self.sort_out(excused, format!("{}: {count} {what} in round {number}: {round:?}", member.name));
            }
        }
        if let Some(failure) = failed.first().and_then(|id| outcome.failed.iter().find(|failure| failure.id == *id)) {
            println!("  {}: {} failed, first {}: {}", member.name, failed.len(), failure.id, failure.error);
        }
    }

    fn sort_out(&mut self, excused: bool, found: String) {
        if excused {
            println!("  {found}");
        } else {
            self.unexplained.push(found);
        }
    }

    /// Committed is what the client was told is committed, once each, and nothing that it was told is aborted.
    fn note_transactions(&mut self, name: &str, transactions: &Transactions, visible: &BTreeSet<(Place, String)>) {
        let mut left: Vec<_> = visible.iter().map(|(_, id)| number_of(id)).collect();
        left.sort_unstable();
        let all = left.len();
        left.dedup();
        let within = |ranges: &[Range<usize>], id: &usize| ranges.iter().any(|range| range.contains(id));
        let leaked: Vec<_> = left.iter().filter(|id| within(&transactions.aborted, id)).collect();
        let missing: Vec<_> =
            transactions.committed.iter().flat_map(Clone::clone).filter(|id| left.binary_search(id).is_err()).collect();
        if all > left.len() || !leaked.is_empty() || !missing.is_empty() {
            let twice = all - left.len();
            self.broken.push(format!("{name}: {twice} committed twice, not committed {missing:?}, aborted {leaked:?}"));
        }
        let refused = transactions.refused.iter().map(|(_, error)| error);
        refused.chain(&transactions.dead).for_each(|error| println!("  {name}: {error}"));
    }
}

/// Ids of records that were not given up because their transaction was to be aborted.
fn failed_by_itself(member: &Member, outcome: &Outcome) -> Vec<String> {
    let aborted = member.transactions.iter().flat_map(|transactions| &transactions.aborted);
    let aborted: Vec<_> = aborted.collect();
    let ids = outcome.failed.iter().map(|failure| failure.id.clone());
    ids.filter(|id| !aborted.iter().any(|records| records.contains(&number_of(id)))).collect()
}

/// The n of `id-00000n`.
fn number_of(id: &str) -> usize {
    id.strip_prefix("id-").and_then(|number| number.parse().ok()).expect("ids are numbered")
}
