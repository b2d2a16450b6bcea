//! Compares what a producer was told with what stands in the log.

use std::collections::{BTreeMap, BTreeSet};

use super::producer::{Acked, Failed};
use super::tools::Logged;

/// One producer's records: what it was told, what stands, and what is wrong with that.
#[derive(Debug)]
pub struct Outcome {
    /// What the producer called acknowledged.
    pub acked: Vec<Acked>,
    /// What it gave up.
    pub failed: Vec<Failed>,
    /// What stands in the log, by partition and offset.
    pub log: Vec<Logged>,
    /// Ids that stand more than once.
    pub doubled: Vec<String>,
    /// Acknowledged ids that do not stand at all.
    pub lost: Vec<String>,
    /// Acknowledged ids that stand, but nowhere at the place that the producer was told.
    pub misplaced: Vec<String>,
    /// Ids that stand behind a later one of their partition.
    pub reordered: Vec<String>,
    /// Ids that were acknowledged more than once, or acknowledged and failed.
    pub told_twice: Vec<String>,
}

/// Judges the records of one producer, whose ids grow in the order of sending.
pub fn judge(acked: Vec<Acked>, failed: Vec<Failed>, log: Vec<Logged>) -> Outcome {
    let mut places: BTreeMap<&str, Vec<(i32, i64)>> = BTreeMap::new();
    for record in &log {
        places.entry(&record.id).or_default().push((record.partition, record.offset));
    }
    let doubled = places.iter().filter(|(_, at)| at.len() > 1).map(|(id, _)| (*id).to_owned()).collect();
    let lost = ids(acked.iter().filter(|ack| !places.contains_key(ack.id.as_str())));
    let misplaced = ids(acked
        .iter()
        .filter(|ack| places.get(ack.id.as_str()).is_some_and(|at| !at.contains(&(ack.partition, ack.offset)))));
    let mut told = BTreeSet::new();
    let each = acked.iter().map(|ack| &ack.id).chain(failed.iter().map(|failure| &failure.id));
    let told_twice = each.filter(|id| !told.insert(id.as_str())).cloned().collect();
    let reordered = reordered(&log);
    Outcome { doubled, lost, misplaced, reordered, told_twice, acked, failed, log }
}

impl Outcome {
    /// Whether every one of `sent` records was acknowledged and stands once, in order, where the producer was told.
    pub fn is_exactly_once(&self, sent: usize) -> bool {
        let wrong = [&self.doubled, &self.lost, &self.misplaced, &self.reordered, &self.told_twice];
        wrong.iter().all(|ids| ids.is_empty())
            && self.failed.is_empty()
            && self.acked.len() == sent
            && self.log.len() == sent
    }

    /// Fails with all that is wrong unless [`Self::is_exactly_once`].
    #[track_caller]
    pub fn assert_exactly_once(&self, whose: &str, sent: usize) {
        assert!(self.is_exactly_once(sent), "{whose}: of {sent} records: {}", self.summary());
    }

    /// One line of counts, and the ids that are wrong.
    pub fn summary(&self) -> String {
        let Self { acked, failed, log, doubled, lost, misplaced, reordered, told_twice } = self;
        format!(
            "{} acked, {} failed, {} in the log, {} doubled, {} lost, {} misplaced, {} reordered, {} told twice; \
             doubled {doubled:?} lost {lost:?} misplaced {misplaced:?} reordered {reordered:?} failed {failed:?}",
            acked.len(),
            failed.len(),
            log.len(),
            doubled.len(),
            lost.len(),
            misplaced.len(),
            reordered.len(),
            told_twice.len(),
        )
    }
}

/// Ids at the first place they stand that come behind a higher one there: a second copy is doubled, not reordered.
fn reordered(log: &[Logged]) -> Vec<String> {
    let mut highest: BTreeMap<i32, &str> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut reordered = Vec::new();
    for record in log {
        if !seen.insert(&record.id) {
            continue;
        }
        let highest = highest.entry(record.partition).or_insert("");
        if record.id.as_str() < *highest {
            reordered.push(record.id.clone());
        } else {
            *highest = &record.id;
        }
    }
    reordered
}

fn ids<'a>(acks: impl Iterator<Item = &'a Acked>) -> Vec<String> {
    acks.map(|ack| ack.id.clone()).collect()
}
