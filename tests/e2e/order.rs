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

/// A request of acks=0 that no client writes, and that brokers take all the same: bytes stand behind it.
fn unreadable(correlation: i32) -> Vec<u8> {
    let silent = produce(V, correlation, 0, &[("t", 0, Some(batch(9, 0, 1)))]);
    frame(&[&silent[4..], b"more"].concat())
}

/// T22: an answer made here would wait for the broker to say something else first.
#[test]
fn acks0_that_could_not_be_read_leaves_no_answer_waiting() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    client.send(&unreadable(2));
    served.expect(&unreadable(2));
    exchange(&mut client, &mut served, &produce_one(3, batch(7, 0, 1)), &produced_one(3, 0, 10));
    // Nor does a drain wait for what may never come: as a broker, this one follows once it has answered.
    client.send(&unreadable(4));
    served.expect(&unreadable(4));
    let following = std::thread::spawn(move || served.end());
    scene.end(&[]);
    assert_eq!(client.end(), Ok(()));
    assert_eq!(following.join().unwrap(), Ok(()));
}

/// D4: what may have no answer is not waited for, however much of it there is.
#[test]
fn requests_that_may_have_no_answer_take_no_slots() {
    let scene = Scene::with("[limits]\nin_flight_max = 4");
    let many: Vec<u8> = (10..16).flat_map(unreadable).collect();
    let (mut client, mut served) = scene.pair();
    // Twice: the answer to what comes behind them ends what is noted of them.
    for _ in 0..2 {
        exchange(&mut client, &mut served, &[&many[..], &REQUEST].concat(), &RESPONSE);
    }
    client.send(&many);
    served.expect(&many);
    // Its end is seen all the same.
    let (mut ending, mut told) = scene.pair();
    ending.send(&many);
    told.expect(&many);
    ending.half_close();
    assert_eq!(told.end(), Ok(()));
    drop(told);
    assert_eq!(ending.end(), Ok(()));
    // And so is that of the proxy, before its deadline.
    let following = std::thread::spawn(move || served.end());
    scene.end(&[]);
    assert_eq!(client.end(), Ok(()));
    assert_eq!(following.join().unwrap(), Ok(()));
}

/// Rule 5: which of them are answered is the broker's to say.
#[test]
fn answers_that_were_not_certain_to_come_pass_in_their_turn() {
    let scene = Scene::with("[limits]\nin_flight_max = 4");
    let (mut client, mut served) = scene.pair();
    let sent = [(10..16).flat_map(unreadable).collect(), metadata(16), metadata(17)].concat();
    let answers: Vec<u8> = [11, 12, 15, 16, 17].iter().flat_map(|id| response(*id, &[0; 30])).collect();
    exchange(&mut client, &mut served, &sent, &answers);
    // What answers none of them is no answer.
    client.send(&unreadable(20));
    served.expect(&unreadable(20));
    served.send(&response(19, &[0; 30]));
    assert_eq!(client.end(), Err(std::io::ErrorKind::ConnectionReset));
    scene.end(&["connection given up"]);
}

/// Rule 1: what the broker said of another batch proves nothing.
#[test]
fn an_answer_that_may_be_to_another_request_proves_nothing() {
    let scene = Scene::new();
    let (mut known, mut serving) = scene.pair();
    acknowledge(&mut known, &mut serving, 8, 0, 9);
    let (mut client, mut served) = scene.pair();
    // One number for all, as clients may: the answer to the second is no answer to the first.
    let sent = [unreadable(5), produce_one(5, batch(7, 0, 1)), produce_one(5, batch(7, 1, 1))].concat();
    client.send(&sent);
    served.expect(&sent);
    let answers = [produced_one(5, 0, 10), produced_one(5, 0, 11)].concat();
    served.send(&answers);
    client.expect(&answers);
    exchange(&mut client, &mut served, &metadata(6), &response(6, &[0; 30]));
    scene.wait_for_proofs(1);
    for base in [0, 1] {
        exchange(
            &mut known,
            &mut serving,
            &produce_one(7, batch(7, base, 1)),
            &produced_one(7, 0, 10 + i64::from(base)),
        );
    }
    scene.wait_for_proofs(3);
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
