//! The fuzz targets on stable: their corpus, and mutations of it from a fixed seed.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "test code outside a test function")]

#[path = "src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use targets::{TARGETS, Target};

/// Mutations of each target's corpus.
const MUTATIONS: u64 = 5_000;

#[test]
fn every_target_takes_its_corpus_and_mutations_of_it() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        corpus.iter().for_each(|input| target(input));
        (0..MUTATIONS).for_each(|seed| mutate(name, target, &corpus, seed));
    }
}

/// What the targets are given first; none of them may be without.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&place).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", place.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn mutate(name: &str, target: Target, corpus: &[Vec<u8>], seed: u64) {
    let _told_if_it_panics = Seed { name, seed };
    let mut random = StdRng::seed_from_u64(seed);
    let mut input = corpus.choose(&mut random).unwrap().clone();
    for _ in 0..random.random_range(1..=4) {
        change(&mut input, corpus, &mut random);
    }
    target(&input);
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
    const NUMBERS: [i32; 6] = [0, 1, -1, i32::MAX, i32::MIN, 0x7f];
    let at = random.random_range(0..=input.len());
    match random.random_range(0..6) {
        0 => input.truncate(at),
        1 => input.insert(at, random.random()),
        2 => {
            let other = corpus.choose(random).unwrap();
            input.truncate(at);
            input.extend(&other[random.random_range(0..=other.len())..]);
        }
        3 => {
            let number = NUMBERS.choose(random).unwrap().to_be_bytes();
            input.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new);
        }
        4 => drop(input.drain(at..input.len().min(at + random.random_range(0..8)))),
        _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.random_range(0..8)),
    }
}

/// Names the seed of a failure.
struct Seed<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Seed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("target {}, seed {}", self.name, self.seed);
        }
    }
}
