//! How connections end: what one side did reaches the other as what it was.

use std::io::{ErrorKind, Write};

use crate::scene::{ASKS_NOTHING, Peer, Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

/// A request on its way to the broker, which has it.
fn pending(client: &mut Peer, served: &mut Peer, request: &[u8]) {
    client.send(request);
    served.expect(request);
}

#[test]
fn a_half_close_by_the_client_is_passed_on() {
    let scene = Scene::new();
    for requests in [vec![], vec![REQUEST.to_vec()], vec![produce_one(1, batch(7, 0, 1))]] {
        let (mut client, mut served) = scene.pair();
        let answers: Vec<u8> = match requests.first() {
            None => Vec::new(),
            Some(request) if request[..] == REQUEST => RESPONSE.to_vec(),
            Some(_) => produced_one(1, 0, 10),
        };
        pending(&mut client, &mut served, &requests.concat());
        client.half_close();
        served.send(&answers);
        // Once batches are settled, and only then.
        assert_eq!(served.end(), Ok(()));
        drop(served);
        assert_eq!(client.rest().unwrap(), answers);
    }
    scene.end(&[]);
}

/// At every byte, in every version that is read.
#[test]
fn a_cut_request_and_a_cut_answer_are_passed_on_as_far_as_they_came() {
    let scene = Scene::with(ASKS_NOTHING);
    let produced = |version| {
        let request = produce(version, 1, -1, &[("t", 0, Some(batch(7, 0, 1)))]);
        (request, produced(version, 1, &[("t", 0, 0, 10)]))
    };
    let exchanges = [(metadata(1), response(1, &[0; 40]))].into_iter().chain((3..=13).map(produced));
    for (request, answer) in exchanges {
        for cut in 1..request.len() {
            let (mut client, mut served) = scene.pair();
            client.send(&request[..cut]);
            client.half_close();
            assert_eq!(served.rest().unwrap(), request[..cut]);
            drop(served);
            assert_eq!(client.end(), Ok(()));
        }
        for cut in 0..answer.len() {
            let (mut client, mut served) = scene.pair();
            pending(&mut client, &mut served, &request);
            served.send(&answer[..cut]);
            drop(served);
            assert_eq!(client.rest().unwrap(), answer[..cut]);
        }
    }
    scene.wait_for_proofs(0);
    scene.end(&[]);
}

#[test]
fn a_close_by_the_broker_is_passed_on_with_and_without_answers_due() {
    let scene = Scene::new();
    for request in [None, Some(REQUEST.to_vec()), Some(produce_one(1, batch(7, 0, 1)))] {
        let (mut client, mut served) = scene.pair();
        pending(&mut client, &mut served, request.as_deref().unwrap_or_default());
        drop(served);
        assert_eq!(client.end(), Ok(()));
    }
    scene.end(&[]);
}

#[test]
fn a_reset_by_the_broker_is_passed_on_with_and_without_answers_due() {
    let scene = Scene::new();
    for request in [None, Some(REQUEST.to_vec()), Some(produce_one(1, batch(7, 0, 1)))] {
        let (mut client, mut served) = scene.pair();
        // A reset before the proxy knows that it is connected is a broker that cannot be reached.
        exchange(&mut client, &mut served, &REQUEST, &RESPONSE);
        pending(&mut client, &mut served, request.as_deref().unwrap_or_default());
        served.reset();
        assert_eq!(client.end(), Err(ErrorKind::ConnectionReset));
    }
    scene.wait_for_metric("upstream_errors_total{reason=\"reset\"}", 3);
    scene.wait_for_metric("connections_closed_total{outcome=\"broker\"}", 3);
    scene.end(&[]);
}

#[test]
fn a_reset_by_the_client_is_passed_on() {
    let scene = Scene::new();
    for request in [None, Some(REQUEST.to_vec())] {
        let (mut client, mut served) = scene.pair();
        pending(&mut client, &mut served, request.as_deref().unwrap_or_default());
        client.reset();
        assert_eq!(served.end(), Err(ErrorKind::ConnectionReset));
    }
    scene.wait_for_metric("connections_closed_total{outcome=\"client\"}", 2);
    scene.end(&[]);
}

#[test]
fn a_broker_that_closes_with_requests_unread_resets_the_client() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    client.send(&REQUEST.repeat(3));
    served.expect(&REQUEST);
    served.0.peek(&mut [0]).unwrap();
    served.send(&RESPONSE);
    // The kernel makes a reset of it: the broker has not read everything.
    drop(served);
    assert!(matches!(client.rest(), Err(ErrorKind::ConnectionReset)), "as without the proxy");
    scene.end(&[]);
}

/// T27: the broker goes up a generation. Proofs from before still answer, but batches go one at a time then.
#[test]
fn a_close_by_the_broker_counts_as_its_own_whoever_ended_first() {
    for refused in [false, true] {
        let scene = Scene::with(ASKS_NOTHING);
        let (mut client, mut served) = scene.pair();
        acknowledge(&mut client, &mut served, 7, 0, 10);
        let slow = produce_one(1, batch(7, 1, 1));
        client.send(&[&slow[..], if refused { &[0xff; 4] } else { &[] }].concat());
        if !refused {
            client.half_close();
        }
        served.expect(&slow);
        drop(served);
        assert_eq!(client.end(), Ok(()));
        let (mut client, mut served) = scene.pair();
        client.send(&produce_one(2, batch(7, 0, 1)));
        client.expect(&produced_one(2, 0, 10));
        let next = [1, 2].map(|base| produce_one(base, batch(7, base, 1)));
        client.send(&next.concat());
        served.expect(&next[0]);
        served.silent();
        served.send(&produced_one(1, 0, 11));
        client.expect(&produced_one(1, 0, 11));
        served.expect(&next[1]);
        served.send(&produced_one(2, 0, 12));
        client.expect(&produced_one(2, 0, 12));
        scene.end(if refused { &["is negative"] } else { &[] });
    }
}

#[test]
fn an_answer_after_the_client_has_gone_is_read_within_bounds() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    // It lets the broker take a second; five more are added.
    pending(&mut client, &mut served, &produce_one(1, batch(7, 1, 1)));
    client.reset();
    assert_eq!(served.end(), Err(ErrorKind::ConnectionReset));
    let rows = scene.json("/api/v1/producers");
    scene.wait_for_metric("connections_closed_total{outcome=\"client\"}", 1);
    assert_eq!(scene.json("/api/v1/producers")[0]["in_flight"], 0, "{rows}");
    scene.end(&[]);
}

#[test]
fn a_client_that_resets_is_noticed_while_the_broker_reads_nothing() {
    let scene = Scene::new();
    let (mut client, _stalled) = scene.pair();
    let fetch = request(FETCH, 4, 1, false, &vec![0; 64 << 20]);
    client.0.set_nonblocking(true).unwrap();
    // Until nothing more goes: the proxy reads no more than the broker takes.
    let (mut sent, mut refused) = (0, 0);
    while refused < 1_000 {
        match client.0.write(&fetch[sent..]) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(_) => refused += 1,
        }
        std::thread::yield_now();
    }
    assert!(sent < fetch.len());
    client.reset();
    scene.wait_for_metric("connections_closed_total{outcome=\"client\"}", 1);
    scene.end(&[]);
}
