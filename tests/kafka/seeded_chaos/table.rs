//! What became of each client in all storms, without seqgate and through it.

use std::fmt;

use super::tally::{Report, Tally};

/// Sums over seeds.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<(&'static str, [Tally; 2])>,
    seeds: usize,
    struck: [usize; 2],
    answered: usize,
    read: [(usize, usize); 2],
    last: String,
}

type Column = (&'static str, fn(&Tally) -> usize);

const COLUMNS: [Column; 13] = [
    ("records", |tally| tally.records),
    ("acknowledged", |tally| tally.acked),
    ("failed", |tally| tally.failed),
    ("stuck", |tally| tally.stuck),
    ("doubled, seen", |tally| tally.doubled_seen),
    ("doubled, unseen", |tally| tally.doubled_unseen),
    ("doubled, both down", |tally| tally.doubled_both),
    ("reordered", |tally| tally.reordered),
    ("lost", |tally| tally.lost),
    ("misplaced", |tally| tally.misplaced),
    ("committed", |tally| tally.committed),
    ("aborted", |tally| tally.aborted),
    ("refused", |tally| tally.refused),
];

/// What nobody wants.
const HARM: [Column; 9] = [
    ("failed", |tally| tally.failed),
    ("stuck", |tally| tally.stuck),
    ("doubled, seen", |tally| tally.doubled_seen),
    ("doubled, unseen", |tally| tally.doubled_unseen),
    ("doubled, both down", |tally| tally.doubled_both),
    ("reordered", |tally| tally.reordered),
    ("lost", |tally| tally.lost),
    ("misplaced", |tally| tally.misplaced),
    ("refused", |tally| tally.refused),
];

impl Table {
    /// Adds the results of one seed.
    pub(crate) fn add(&mut self, direct: &Report, through: &Report) {
        self.seeds += 1;
        self.answered += through.answered;
        let mut sums = [Tally::default(); 2];
        for (route, report) in [direct, through].into_iter().enumerate() {
            self.struck[route] += report.struck;
            self.read[route].0 += report.read.0;
            self.read[route].1 += report.read.1;
            for (name, tally) in &report.rows {
                self.row(name)[route] += *tally;
                sums[route] += *tally;
            }
        }
        self.last = format!(
            "  direct / through seqgate: {}",
            COLUMNS.map(|(name, of)| { format!("{name} {} / {}", of(&sums[0]), of(&sums[1])) }).join(", ")
        );
    }

    /// Where it differs, client by client: what is counted, without seqgate, and through it.
    fn differences(&self, wanted: impl Fn(usize, usize) -> bool) -> Vec<String> {
        let mut differences = Vec::new();
        for (client, [direct, through]) in &self.rows {
            for (name, of) in HARM {
                if wanted(of(direct), of(through)) {
                    differences.push(format!("{client} {name} {} / {}", of(direct), of(through)));
                }
            }
        }
        differences
    }

    /// One line about the seed added last.
    pub(crate) fn last_line(&self) -> &str {
        &self.last
    }

    fn row(&mut self, name: &'static str) -> &mut [Tally; 2] {
        if !self.rows.iter().any(|(known, _)| *known == name) {
            self.rows.push((name, [Tally::default(); 2]));
        }
        let row = self.rows.iter_mut().find(|(known, _)| *known == name);
        &mut row.expect("it has just been put there").1
    }
}

impl fmt::Display for Table {
    /// Each cell is without seqgate / through it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| direct / through seqgate | {} |", COLUMNS.map(|(name, _)| name).join(" | "))?;
        writeln!(f, "|---{}|", "|---".repeat(COLUMNS.len()))?;
        for (name, [direct, through]) in &self.rows {
            let cells = COLUMNS.map(|(_, of)| format!("{} / {}", of(direct), of(through)));
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        let [direct, through] = self.struck;
        let [(read, again), (read_through, again_through)] = self.read;
        write!(f, "{} seeds; connections cut {direct} / {through}; ", self.seeds)?;
        writeln!(f, "the group read {read} / {read_through} records, of which {again} / {again_through} again")?;
        writeln!(f, "batches that seqgate kept from the brokers: {}", self.answered)?;
        writeln!(f, "better through seqgate: {}", self.differences(|direct, through| through < direct).join(", "))?;
        writeln!(f, "worse: {}", self.differences(|direct, through| through > direct).join(", "))
    }
}
