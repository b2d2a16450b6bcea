//! Clients that ask and do not read, or read a byte at a time.

use std::io::{Read, Write};

use crate::memory::{BESIDE, MIB, stuff};
use crate::scene::{Peer, Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

/// Far more than any socket takes.
const ENDLESS: usize = 256 * MIB;

/// Has a client send as many of `request` as go without an answer being read; returns how many were begun.
fn ask_without_reading(scene: &mut Scene, client: &Peer, request: &[u8]) -> usize {
    let before = scene.resident_bytes();
    let taken = stuff(client, &request.repeat(1_000), ENDLESS);
    assert!(taken < 64 * MIB, "{taken} bytes were taken from the client");
    let grown = scene.resident_bytes().saturating_sub(before);
    assert!(grown < BESIDE, "{grown} bytes");
    scene.use_the_one_beside();
    taken.div_ceil(request.len())
}

#[test]
fn a_client_that_reads_no_answer_made_here_is_read_from_no_more() {
    let mut scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let retry = produce_one(1, batch(7, 0, 1));
    ask_without_reading(&mut scene, &client, &retry);
    // All that were read are answered, in the end.
    let answered = scene.metric("batches_total{verdict=\"duplicate\",action=\"answered\"}");
    assert!(answered > 64, "{answered}");
    (0..answered).for_each(|_| client.expect(&produced_one(1, 0, 10)));
    served.silent();
    drop((client, served));
    scene.wait_for_metric("buffer_bytes", 0);
    scene.end(&[]);
}

#[test]
fn a_client_that_reads_no_answer_of_the_broker_is_read_from_no_more() {
    let mut scene = Scene::new();
    let (client, mut served) = scene.pair();
    let port = scene.proxy.address.port();
    let answering = std::thread::spawn(move || {
        let mut request = vec![0; metadata(1).len()];
        while served.0.read_exact(&mut request).is_ok() {
            assert_eq!(request, metadata(1));
            if served.0.write_all(&metadata_answer(1, "127.0.0.1", port, "X")).is_err() {
                break;
            }
        }
    });
    let asked = ask_without_reading(&mut scene, &client, &metadata(1));
    assert!(scene.metric("requests_total{api=\"Metadata\"}") <= asked as u64);
    drop(client);
    answering.join().unwrap();
    scene.wait_for_metric("buffer_bytes", 0);
    scene.end(&[]);
}

/// Each answer takes as much memory as its request: some wait here, and what would be too much is the broker's to answer.
#[test]
fn answers_that_wait_for_many_clients_stay_within_the_memory() {
    const PARTITIONS: i32 = 4_000;
    let mut scene = Scene::with("[limits]\nmemory_max = \"16MiB\"\nhold_bytes_max = \"512KiB\"");
    let before = scene.resident_bytes();
    let parts: Vec<Part<'_>> = (0..PARTITIONS).map(|at| ("t", at, Some(batch(7, 0, 1)))).collect();
    let entries: Vec<Entry<'_>> = (0..PARTITIONS).map(|at| ("t", at, 0, 10)).collect();
    let (retry, answer) = (produce(V, 1, -1, &parts), produced(V, 1, &entries));
    assert!(retry.len() < MIB / 2);
    let (mut client, mut served) = scene.pair();
    exchange(&mut client, &mut served, &retry, &answer);
    let clients: Vec<_> = (0..20).map(|_| scene.pair()).collect();
    for (client, _served) in &clients {
        let taken = stuff(client, &retry, ENDLESS);
        assert!(taken < 64 * MIB, "{taken} bytes were taken from the client");
    }
    let (buffers, grown) = (scene.metric("buffer_bytes"), scene.resident_bytes().saturating_sub(before));
    assert!(buffers <= 12 * MIB as u64, "{buffers} bytes of buffers");
    assert!(grown <= 16 * MIB + BESIDE, "{grown} bytes");
    scene.use_the_one_beside();
    // What is read makes room for the next, whoever answers it.
    let (mut client, mut served) = clients.into_iter().next().unwrap();
    let said = answer.clone();
    std::thread::spawn(move || {
        let mut request = vec![0; retry.len()];
        while served.0.read_exact(&mut request).is_ok() && served.0.write_all(&said).is_ok() {}
    });
    (0..3).for_each(|_| client.expect(&answer));
    drop(client);
    scene.end(&[]);
}

#[test]
fn a_client_that_reads_a_byte_at_a_time_gets_every_byte() {
    let mut scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    client.send(&REQUEST);
    served.expect(&REQUEST);
    let body: Vec<u8> = (0..64 * MIB as u32 - 4).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let answer = response(7, &body);
    let before = scene.resident_bytes();
    let sent = answer.clone();
    let sending = std::thread::spawn(move || {
        served.0.write_all(&sent).unwrap();
        served
    });
    for byte in answer[..1_000].chunks(1) {
        client.expect(byte);
    }
    scene.use_the_one_beside();
    let grown = scene.resident_bytes().saturating_sub(before);
    assert!(grown < BESIDE, "{grown} bytes");
    client.expect(&answer[1_000..]);
    let mut served = sending.join().unwrap();
    exchange(&mut client, &mut served, &REQUEST, &RESPONSE);
    scene.wait_for_metric("buffer_bytes", 0);
    scene.end(&[]);
}
