//! A longer run that prints what each family loses without seqgate, and what with it.

use std::collections::BTreeMap;
use std::env;

use crate::expiry::{FORGETFUL, r2};
use crate::losing::records;
use crate::restart::r1;
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::{Side, Stage};

const ROUNDS: usize = 10;

/// `SEQGATE_LONG=1 cargo test --test kafka matrix -- --nocapture`
#[test]
fn matrix() {
    if env::var_os("SEQGATE_LONG").is_none() {
        println!("the matrix is long: SEQGATE_LONG=1 runs it");
        return;
    }
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut columns = Vec::new();
    {
        let mut stage = Stage::shared(parts);
        columns.push(r1(&mut stage.direct(), Side::Front, &families, "matrix-r1-direct", ROUNDS));
        columns.push(r1(&mut stage.through_seqgate(&[]), Side::Front, &families, "matrix-r1-seqgate", ROUNDS));
    }
    let mut stage = Stage::start(parts, &FORGETFUL);
    columns.push(r2(&mut stage.direct(), &families, "matrix-r2-direct", ROUNDS));
    columns.push(r2(&mut stage.through_seqgate(&[]), &families, "matrix-r2-seqgate", ROUNDS));
    print(&families, &columns);
    for column in [&columns[1], &columns[3]] {
        for (family, outcome) in column {
            outcome.assert_exactly_once(family.name(), records(ROUNDS));
        }
    }
}

fn print(families: &[Family], columns: &[Vec<(Family, Outcome)>]) {
    let records = records(ROUNDS);
    println!("Kafka {}, {ROUNDS} rounds, {records} records of each producer", Version::V4_3_1.number());
    println!("| client | version | R1 direct | R1 through seqgate | R2 direct | R2 through seqgate |");
    println!("|---|---|---|---|---|---|");
    for (row, family) in families.iter().enumerate() {
        let cells: Vec<_> = columns.iter().map(|column| cell(&column[row].1)).collect();
        println!("| {} | {} | {} |", family.name(), family.version(), cells.join(" | "));
    }
}

/// Copies too many, and records given up.
fn cell(outcome: &Outcome) -> String {
    let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &outcome.log {
        *copies.entry(&record.id).or_default() += 1;
    }
    let doubled: usize = copies.values().map(|count| count - 1).sum();
    match outcome.failed.len() {
        0 => format!("{doubled} doubled"),
        failed => format!("{doubled} doubled, {failed} failed"),
    }
}
