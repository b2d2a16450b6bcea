//! Seed after seed, for as long as is asked.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::table::Table;
use super::{Report, compare};
use crate::cluster::WATCHFUL;
use crate::support::chain::Chain;
use crate::support::family::Family;
use crate::support::jvm::{Parts, Version};
use crate::support::require;

const CLUSTERS: [usize; 2] = [1, 3];

/// A cluster, and what has become of each client on it.
struct Scene {
    links: usize,
    parts: &'static Parts,
    chain: Chain,
    table: Table,
}

/// `SEQGATE_CHAOS` says for how long, as `90s` or `30m`, and `SEQGATE_CHAOS_SEED` with which seed it begins.
#[test]
fn chaos_for_long() {
    let Some(length) = env::var("SEQGATE_CHAOS").ok().map(|text| length(&text)) else {
        println!("this is long: SEQGATE_CHAOS=30m runs it");
        return;
    };
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = require::families();
    let first: u64 = env::var("SEQGATE_CHAOS_SEED").map_or(1, |text| text.parse().expect("a seed is a number"));
    let started = Instant::now();
    let mut scenes = CLUSTERS.map(|links| Scene::new(links, parts));
    let mut wrong = Vec::new();
    for seed in first.. {
        for scene in &mut scenes {
            println!("seed {seed}, brokers {}, after {} s", scene.links, started.elapsed().as_secs());
            let found = scene.play(&families, seed);
            wrong.extend(found.into_iter().map(|what| format!("seed {seed}, brokers {}: {what}", scene.links)));
        }
        if started.elapsed() >= length {
            break;
        }
    }
    for Scene { links, parts, table, .. } in &scenes {
        println!("Kafka {}, brokers: {links}\n{table}", parts.version.number());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Scene {
    fn new(links: usize, parts: &'static Parts) -> Self {
        Self { links, parts, chain: Chain::start(parts, links, &WATCHFUL), table: Table::default() }
    }

    /// Plays one seed either way, and returns what is wrong through seqgate.
    fn play(&mut self, families: &[Family], seed: u64) -> Vec<String> {
        let Ok((direct, through)) = catch_unwind(AssertUnwindSafe(|| compare(&mut self.chain, families, seed))) else {
            // Nobody knows in which state it was left.
            self.chain = Chain::start(self.parts, self.links, &WATCHFUL);
            return vec!["it did not come to an end".to_owned()];
        };
        self.table.add(&direct, &through);
        println!("{}", self.table.last_line());
        all_wrong(direct).for_each(|what| println!("  direct: {what}"));
        let found: Vec<_> = all_wrong(through).collect();
        found.iter().for_each(|what| println!("  through seqgate: {what}"));
        found
    }
}

fn all_wrong(report: Report) -> impl Iterator<Item = String> {
    report.broken.into_iter().chain(report.unexplained)
}

fn length(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("SEQGATE_CHAOS is a number and s, m or h");
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => panic!("SEQGATE_CHAOS ends with s, m or h, not {unit}"),
    };
    Duration::from_secs(number * seconds)
}
