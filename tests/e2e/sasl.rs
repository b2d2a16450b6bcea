//! Authentication passes through; what it changes for answers made here.

use crate::scene::{Peer, Scene, acknowledge, exchange};
use crate::support::{REQUEST, RESPONSE};
use crate::wire::*;

fn string(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn handshake(version: i16, correlation: i32, mechanism: &str) -> Vec<u8> {
    request(SASL_HANDSHAKE, version, correlation, false, &string(mechanism))
}

fn handshake_answer(correlation: i32, error: i16) -> Vec<u8> {
    response(correlation, &[&error.to_be_bytes()[..], &[0, 0, 0, 1], &string("PLAIN")].concat())
}

fn token(correlation: i32, bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap().to_be_bytes();
    request(SASL_AUTHENTICATE, 1, correlation, false, &[&length[..], bytes].concat())
}

/// Without error: no message, a token, and how long the session lasts.
fn token_answer(correlation: i32, bytes: &[u8], lifetime_ms: i64) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap().to_be_bytes();
    response(correlation, &[&[0, 0, 0xff, 0xff][..], &length, bytes, &lifetime_ms.to_be_bytes()].concat())
}

fn authenticate(client: &mut Peer, served: &mut Peer, rounds: i32) {
    exchange(client, served, &handshake(1, 1, "PLAIN"), &handshake_answer(1, 0));
    for round in 0..rounds {
        exchange(client, served, &token(2 + round, b"\0user\0secret"), &token_answer(2 + round, b"server", 0));
    }
}

#[test]
fn sasl_handshake_v0_raw_tokens_then_opaque() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    // Refused first: frames go on.
    exchange(&mut client, &mut served, &handshake(0, 1, "OTHER"), &handshake_answer(1, 33));
    // What stands behind a successful one is a token already, whatever it looks like.
    client.send(&[handshake(0, 2, "PLAIN"), frame(b"\0user\0secret")].concat());
    served.expect(&handshake(0, 2, "PLAIN"));
    served.silent();
    served.send(&handshake_answer(2, 0));
    client.expect(&handshake_answer(2, 0));
    served.expect(&frame(b"\0user\0secret"));
    exchange(&mut client, &mut served, b"\xff\xff\xff\xff no frame", b"\x80\0\0\0 none either");
    assert_eq!(scene.metric("passthrough_total{reason=\"sasl_raw\"}"), 1);
    // An end on either side is still an end.
    client.half_close();
    assert_eq!(served.end(), Ok(()));
    served.send(b"late");
    drop(served);
    assert_eq!(client.rest().unwrap(), b"late");
    scene.end(&[]);
}

#[test]
fn a_raw_connection_ends_with_a_drain() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    exchange(&mut client, &mut served, &handshake(0, 2, "PLAIN"), &handshake_answer(2, 0));
    exchange(&mut client, &mut served, &frame(b"token"), &frame(b""));
    // As a broker: follows once it has answered.
    let following = std::thread::spawn(move || served.end());
    scene.end(&[]);
    assert_eq!(client.end(), Ok(()));
    assert_eq!(following.join().unwrap(), Ok(()));
}

#[test]
fn sasl_v1_plain_and_scram_passthrough() {
    for rounds in [1, 2] {
        let scene = Scene::new();
        let (mut client, mut served) = scene.pair();
        authenticate(&mut client, &mut served, rounds);
        acknowledge(&mut client, &mut served, 7, 0, 10);
        client.send(&produce_one(9, batch(7, 0, 1)));
        client.expect(&produced_one(9, 0, 10));
        // That an exchange is over shows only when the broker serves something: until then it judges.
        let (mut other, mut asked) = scene.pair();
        authenticate(&mut other, &mut asked, rounds);
        exchange(&mut other, &mut asked, &produce_one(9, batch(7, 0, 1)), &produced_one(9, 0, 10));
        // Nor is anybody told without having authenticated, where the broker has served nobody so.
        let (mut stranger, mut asked) = scene.pair();
        let retry = produce_one(9, batch(7, 0, 1));
        stranger.send(&retry);
        asked.expect(&retry);
        drop(asked);
        assert_eq!(stranger.end(), Ok(()));
        scene.end(&[]);
    }
}

#[test]
fn reauthentication_midstream_order_kept() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    authenticate(&mut client, &mut served, 1);
    acknowledge(&mut client, &mut served, 7, 0, 10);
    let (slow, retry) = (produce_one(4, batch(7, 1, 1)), |correlation| produce_one(correlation, batch(7, 0, 1)));
    client.send(&[slow.clone(), retry(5), handshake(1, 6, "PLAIN"), token(7, b"again"), retry(8)].concat());
    // The duplicate before the exchange is answered here; the one in its midst is the broker's to judge.
    served.expect(&[slow, handshake(1, 6, "PLAIN"), token(7, b"again"), retry(8)].concat());
    let (shaken, told) = (handshake_answer(6, 0), token_answer(7, b"", 3_600_000));
    served.send(&[produced_one(4, 0, 11), shaken.clone(), told.clone(), produced_one(8, 0, 10)].concat());
    client.expect(&[produced_one(4, 0, 11), produced_one(5, 0, 10), shaken, told, produced_one(8, 0, 10)].concat());
    client.send(&retry(9));
    client.expect(&produced_one(9, 0, 10));
    exchange(&mut client, &mut served, &REQUEST, &RESPONSE);
    scene.end(&[]);
}

/// T33: who has still to authenticate is answered as well, in the form of the api, before the broker closes.
#[test]
fn an_error_answer_is_not_the_end_of_an_authentication() {
    let scene = Scene::new();
    let (mut known, mut serving) = scene.pair();
    authenticate(&mut known, &mut serving, 1);
    acknowledge(&mut known, &mut serving, 7, 0, 10);
    let illegal_state = 34;
    // Without any SASL, behind a handshake, and between the steps of a mechanism.
    for steps in 0..3 {
        let (mut client, mut served) = scene.pair();
        if steps > 0 {
            authenticate(&mut client, &mut served, steps - 1);
        }
        let no_brokers = response(8, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0]);
        exchange(&mut client, &mut served, &metadata(8), &no_brokers);
        for _ in 0..2 {
            let retry = produce_one(9, batch(7, 0, 1));
            exchange(&mut client, &mut served, &retry, &produced_one(9, illegal_state, -1));
        }
    }
    scene.end(&[]);
}
