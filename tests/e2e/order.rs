//! Answers leave in the order of the requests, whoever made them.

use crate::scene::{Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

#[test]
fn synthesised_response_waits_for_earlier_pending() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let new = produce_one(2, batch(7, 1, 1));
    client.send(&[new.clone(), produce_one(3, batch(7, 0, 1)), REQUEST.to_vec()].concat());
    served.expect(&[new, REQUEST.to_vec()].concat());
    client.silent();
    served.send(&[produced_one(2, 0, 11), RESPONSE.to_vec()].concat());
    client.expect(&[produced_one(2, 0, 11), produced_one(3, 0, 10), RESPONSE.to_vec()].concat());
    assert_eq!(scene.metric("batches_total{verdict=\"duplicate\",action=\"answered\"}"), 1);
    scene.end(&[]);
}

#[test]
fn synthesised_between_metadata_and_fetch_keeps_order() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let fetch = request(FETCH, 4, 4, false, &[0; 33]);
    client.send(&[metadata(2), produce_one(3, batch(7, 0, 1)), fetch.clone()].concat());
    served.expect(&[metadata(2), fetch].concat());
    let listening = scene.proxy.address.port();
    let (known, fetched) = (metadata_answer(2, "127.0.0.1", listening, "c"), response(4, &[0; 8]));
    served.send(&known);
    client.expect(&[known, produced_one(3, 0, 10)].concat());
    served.send(&fetched);
    client.expect(&fetched);
    scene.end(&[]);
}

#[test]
fn acks0_no_slot_no_response() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    // New, then what is proven: without a slot there is no answer, so it goes to the broker.
    for base in [1, 0] {
        let silent = produce(V, 2, 0, &[("t", 0, Some(batch(7, base, 1)))]);
        client.send(&[silent.clone(), REQUEST.to_vec()].concat());
        served.expect(&[silent, REQUEST.to_vec()].concat());
        served.send(&RESPONSE);
        client.expect(&RESPONSE);
    }
    scene.end(&[]);
}

#[test]
fn acks0_error_upstream_close_propagates() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let silent = produce(V, 2, 0, &[("t", 0, Some(batch(7, 5, 1)))]);
    client.send(&silent);
    served.expect(&silent);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    drop(client);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 1);
    scene.end(&[]);
}

#[test]
fn correlation_ids_wrap_and_repeat_ok() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    for (base, correlation) in (0..).zip([i32::MAX - 1, i32::MAX, i32::MIN, -1, 0, 0, 0]) {
        let answer = produced_one(correlation, 0, base.into());
        exchange(&mut client, &mut served, &produce_one(correlation, batch(7, base, 1)), &answer);
    }
    let pipelined: Vec<u8> = (0..3).flat_map(|_| metadata(9)).collect();
    client.send(&pipelined);
    served.expect(&pipelined);
    let answers: Vec<u8> = (0..3).flat_map(|_| response(9, &[0; 30])).collect();
    served.send(&answers);
    client.expect(&answers);
    scene.end(&[]);
}

#[test]
fn many_requests_of_one_connection_wait_without_loss() {
    let scene = Scene::with("[limits]\nin_flight_max = 4");
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    // More than may wait, half of them answered here.
    let requests: Vec<Vec<u8>> =
        (1..100).flat_map(|n| [metadata(2 * n), produce_one(2 * n + 1, batch(7, 0, 1))]).collect();
    let mut sender = client.0.try_clone().unwrap();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &requests.concat()).unwrap());
    for n in 1..100 {
        served.expect(&metadata(2 * n));
        served.send(&response(2 * n, &[0; 30]));
        client.expect(&[response(2 * n, &[0; 30]), produced_one(2 * n + 1, 0, 10)].concat());
    }
    sending.join().unwrap();
    scene.end(&[]);
}
