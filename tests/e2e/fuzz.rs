//! Random traffic, valid and broken: in observe mode not a byte differs on the other side.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::scene::Scene;
use crate::wire::*;

const SEEDS: u64 = 40;

#[test]
fn observe_mode_is_byte_identical_under_fuzz() {
    let scene = Scene::with("mode = \"observe\"\n[limits]\nhold_bytes_max = \"16KiB\"");
    for seed in 0..SEEDS {
        run(&scene, seed);
    }
    scene.end(&[]);
}

fn run(scene: &Scene, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let requests: Vec<Vec<u8>> = (0..random.random_range(1..60)).map(|n| request_at(&mut random, n)).collect();
    let mut sent = requests.concat();
    if random.random_ratio(1, 3) {
        // The last one stays unfinished.
        let last = requests.last().unwrap().len();
        sent.truncate(sent.len() - random.random_range(1..=last));
    }
    let (client, served) = scene.pair();
    let (client, served) = (client.0, served.0);
    let answering = std::thread::spawn(move || answer_all(served, seed));
    let (sender, chunks) = (client.try_clone().unwrap(), sent.clone());
    let sending = std::thread::spawn(move || send_in_chunks(sender, &chunks, seed));
    let mut received = Vec::new();
    (&client).read_to_end(&mut received).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    sending.join().unwrap();
    let (arrived, answered) = answering.join().unwrap();
    assert!(arrived == sent, "seed {seed}: {} of {} bytes arrived", arrived.len(), sent.len());
    assert!(received == answered, "seed {seed}: {} of {} bytes came back", received.len(), answered.len());
}

/// A request whose header can be read; its body is anything.
fn request_at(random: &mut StdRng, correlation: i32) -> Vec<u8> {
    let base = random.random_range(0..20);
    match random.random_range(0..8) {
        0..3 => {
            let records = batch(random.random_range(7..9), base, random.random_range(1..4));
            let version = random.random_range(3..=12);
            let partition = random.random_range(0..3);
            produce(version, correlation, -1, &[("t", partition, Some(records))])
        }
        3 => {
            let mut whole =
                produce(9, correlation, -1, &[("t", 0, Some(batch(7, base, 2))), ("u", 1, Some(Bytes::new()))]);
            let at = random.random_range(20..whole.len());
            whole[at] ^= 1 << random.random_range(0..8);
            whole
        }
        4 => {
            let large = batch_of(9, 0, base, &[Bytes::from(vec![b'l'; random.random_range(10_000..200_000)])]);
            produce(V, correlation, -1, &[("t", 0, Some(large))])
        }
        5 => request(PRODUCE, random.random(), correlation, false, &garbage(random)),
        _ => {
            // What is agreed on by SaslHandshake v0 has no frames to compare by.
            let api = random.random_range(-2..100);
            let version = if api == SASL_HANDSHAKE { 1 } else { random.random_range(-1..20) };
            request(api, version, correlation, random.random(), &garbage(random))
        }
    }
}

fn garbage(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..3_000)];
    random.fill_bytes(&mut bytes);
    bytes
}

fn send_in_chunks(mut to: TcpStream, mut bytes: &[u8], seed: u64) {
    let mut random = StdRng::seed_from_u64(!seed);
    let most = [3, 100, 100_000][random.random_range(0..3)];
    while !bytes.is_empty() {
        let (chunk, rest) = bytes.split_at(random.random_range(1..=most).min(bytes.len()));
        to.write_all(chunk).unwrap();
        bytes = rest;
    }
    to.shutdown(Shutdown::Write).unwrap();
}

/// Answers every whole request with its correlation id and something; returns what came and what went.
fn answer_all(mut stream: TcpStream, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut random = StdRng::seed_from_u64(seed ^ 0xa5a5);
    let (mut arrived, mut answered, mut at) = (Vec::new(), Vec::new(), 0);
    let mut chunk = [0; 10_000];
    loop {
        let count = stream.read(&mut chunk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if count == 0 {
            return (arrived, answered);
        }
        arrived.extend(&chunk[..count]);
        while let Some(frame) = whole_frame(&arrived[at..]) {
            at += frame.len();
            let body = garbage(&mut random);
            let answer = match random.random_range(0..3) {
                0 if frame[4..6] == [0, 0] => {
                    produced(V, correlation_of(frame), &[("t", 0, 0, random.random_range(0..99))])
                }
                _ => response(correlation_of(frame), &body),
            };
            stream.write_all(&answer).unwrap();
            answered.extend(answer);
        }
    }
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    bytes.get(..4 + length)
}
