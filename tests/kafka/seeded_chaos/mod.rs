//! Every client family, transactions and a consumer group, against one broker and three, while connections are cut, answers
//! stall, brokers restart and leaders move, and seqgate itself ends and comes back: drawn from a seed, and played with and
//! without seqgate.
//!
//! `SEQGATE_CHAOS=30m cargo test --test kafka chaos_for_long -- --nocapture` plays on for as long, and prints a table.

mod follower;
mod long;
mod members;
mod plan;
mod storm;
mod table;
mod tally;

use self::plan::Plan;
use self::storm::{PARTITIONS, Storm};
use self::tally::Report;
use crate::cluster::WATCHFUL;
use crate::support::chain::Chain;
use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

/// Where brokers say of a partition that they do not know it, an answer that was on its way from memory is not given.
const LAPSED: &str = "an answer's proof ended before it could be given";

/// Seeds of either kind, for `cargo test`.
const PATIENT: u64 = 1;
const IMPATIENT: u64 = 2;

fn play(chain: &mut Chain, families: &[Family], label: &str, plan: &Plan) -> Report {
    let mut storm = Storm::begin(chain, families, label, plan);
    storm.play(plan);
    storm.judge(plan)
}

fn play_through_seqgate(chain: &mut Chain, families: &[Family], plan: &Plan) -> Report {
    chain.go_through_seqgate();
    let label = format!("chaos-{}-{}-seqgate", chain.links.len(), plan.seed);
    let mut report = play(chain, families, &label, plan);
    chain.assert_seqgates_quiet(&[&WARNINGS_OF_RESTARTS[..], &[LAPSED]].concat());
    report.answered = chain.journal_lines(r#""action":"answered""#) + chain.journal_lines(r#""action":"stripped""#);
    report
}

/// The same plan without seqgate and through it.
fn compare(chain: &mut Chain, families: &[Family], seed: u64) -> (Report, Report) {
    let plan = Plan::draw(seed, chain.links.len(), PARTITIONS);
    plan.rounds.iter().for_each(|round| println!("  {round:?}"));
    chain.go_direct();
    let label = format!("chaos-{}-{seed}-direct", chain.links.len());
    let direct = play(chain, families, &label, &plan);
    (direct, play_through_seqgate(chain, families, &plan))
}

/// Through seqgate alone: what must not be there is known without the other side.
fn short(links: usize, seeds: &[u64]) {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let mut chain = Chain::start(parts, links, &WATCHFUL);
    for seed in seeds {
        let plan = Plan::draw(*seed, links, PARTITIONS);
        println!("{plan:#?}");
        let report = play_through_seqgate(&mut chain, &families, &plan);
        println!("{:#?}", report.rows);
        report.assert_kept(*seed);
    }
}

#[test]
fn one_broker() {
    short(1, &[PATIENT, IMPATIENT]);
}

#[test]
fn three_brokers() {
    short(3, &[PATIENT, IMPATIENT]);
}
