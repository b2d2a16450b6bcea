//! Requests that are longer than what is read at once.

use bytes::Bytes;

use crate::memory::{BLOCK_BYTES, MIB, stuff};
use crate::scene::{Peer, Scene, exchange};
use crate::wire::*;

fn large(base: i32) -> Bytes {
    batch_of(7, 0, base, &[Bytes::from(vec![b'x'; MIB])])
}

#[test]
fn a_large_batch_is_on_its_way_before_its_client_has_sent_all_of_it() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    for base in 0..2 {
        let request = produce_one(base, large(base));
        let (front, rest) = request.split_at(MIB / 2);
        client.send(front);
        served.expect(front);
        assert!(scene.metric("buffer_bytes") <= BLOCK_BYTES, "nothing of it is held");
        client.send(rest);
        served.expect(rest);
        served.send(&produced_one(base, 0, 10 + i64::from(base)));
        client.expect(&produced_one(base, 0, 10 + i64::from(base)));
    }
    // It is tracked like any other.
    for base in 0..2 {
        client.send(&produce_one(base, large(base)));
        client.expect(&produced_one(base, 0, 10 + i64::from(base)));
    }
    served.silent();
    assert_eq!(scene.metric("batches_total{verdict=\"duplicate\",action=\"answered\"}"), 2);
    scene.end(&[]);
}

/// Which of its batches the cluster has is not known before the last of them is here.
#[test]
fn a_large_request_of_several_batches_is_held_until_all_of_it_is_known() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    exchange(&mut client, &mut served, &produce_one(1, large(0)), &produced_one(1, 0, 10));
    let of = |parts: &[Part<'_>]| produce(9, 2, -1, parts);
    let both = of(&[("t", 1, Some(batch(7, 0, 1))), ("t", 0, Some(large(0)))]);
    let (front, rest) = both.split_at(MIB / 2);
    client.send(front);
    scene.wait_for("its front", || scene.metric("requests_total{api=\"Produce\"}") == 2);
    served.silent();
    client.send(rest);
    served.expect(&of(&[("t", 1, Some(batch(7, 0, 1)))]));
    served.send(&produced(9, 2, &[("t", 1, 0, 30)]));
    client.expect(&produced(9, 2, &[("t", 1, 0, 30), ("t", 0, 0, 10)]));
    scene.end(&[]);
}

#[test]
fn a_request_of_as_many_bytes_as_are_held_is_answered_and_a_longer_one_is_not() {
    const HELD: usize = 64 << 10;
    let scene = Scene::with(&format!("[limits]\nhold_bytes_max = \"{}KiB\"", HELD >> 10));
    let (mut client, mut served) = scene.pair();
    let of = |bytes| produce_one(1, batch_of(7, 0, 0, &[Bytes::from(vec![b'x'; bytes])]));
    let around = of(HELD / 2).len() - HELD / 2;
    let (held, longer) = (of(HELD - around), of(HELD + 1 - around));
    assert_eq!((held.len(), longer.len()), (HELD, HELD + 1));
    exchange(&mut client, &mut served, &held, &produced_one(1, 0, 10));
    client.send(&held);
    client.expect(&produced_one(1, 0, 10));
    let (mut client, mut served) = scene.pair();
    for _ in 0..2 {
        exchange(&mut client, &mut served, &longer, &produced_one(1, 0, 10));
    }
    assert_eq!(scene.metric("passthrough_total{reason=\"too_large\"}"), 2);
    scene.end(&[]);
}

/// KAFKA-15591: by its front alone it is known that it comes before the first one of its producer.
#[test]
fn a_large_batch_that_must_wait_waits() {
    let mut scene = Scene::new();
    // Nobody is made to wait for whom the broker may not serve.
    scene.serve_without_sasl();
    let ((mut one, mut served_one), (mut other, mut served_other)) = (scene.pair(), scene.pair());
    let first = produce_one(1, large(0));
    let (front, rest) = first.split_at(MIB / 2);
    one.send(front);
    served_one.expect(front);
    other.send(&produce_one(2, large(1)));
    scene.wait_for("a second request", || scene.metric("requests_total{api=\"Produce\"}") == 3);
    served_other.silent();
    one.send(rest);
    served_one.expect(rest);
    served_one.send(&produced_one(1, 0, 10));
    one.expect(&produced_one(1, 0, 10));
    served_other.expect(&produce_one(2, large(1)));
    served_other.send(&produced_one(2, 0, 11));
    other.expect(&produced_one(2, 0, 11));
    scene.end(&[]);
}

const FETCH: i16 = 1;

/// The bytes that went from socket to socket within the kernel, by direction.
fn spliced(scene: &Scene) -> [u64; 2] {
    ["to_broker", "to_client"].map(|to| scene.metric(&format!("spliced_bytes_total{{direction=\"{to}\"}}")))
}

/// No two of its places look alike.
fn varied(bytes: usize) -> Vec<u8> {
    (0..u32::try_from(bytes).unwrap()).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Has bytes that no socket need have room for go from one end to the other.
fn carry(from: &Peer, to: &mut Peer, bytes: &[u8]) {
    let mut from = Peer(from.0.try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || from.send(bytes));
        to.expect(bytes);
    });
}

#[test]
fn most_of_what_is_long_is_not_read_and_comes_as_it_was() {
    for pipes in [64, 0] {
        let scene = Scene::with(&format!("[limits]\nmemory_max = \"16MiB\"\npipes_max = {pipes}"));
        let (mut client, mut served) = scene.pair();
        let (asked, answer) = (request(FETCH, 11, 3, false, &varied(MIB)), response(3, &varied(3 * MIB)));
        for base in 0..3 {
            carry(&client, &mut served, &asked);
            carry(&served, &mut client, &answer);
            carry(&client, &mut served, &produce_one(base, large(base)));
            served.send(&produced_one(base, 0, base.into()));
            client.expect(&produced_one(base, 0, base.into()));
        }
        let (of_requests, of_answers) = (2 * 3 * MIB as u64, 3 * 3 * MIB as u64);
        let [up, down] = spliced(&scene);
        if pipes == 0 {
            assert_eq!([up, down], [0, 0]);
        } else {
            assert!(up > of_requests / 2 && up < of_requests, "{up}");
            assert!(down > of_answers / 2 && down < of_answers, "{down}");
        }
        scene.end(&[]);
    }
}

/// What is left of them comes to nobody else, and no pipe is lost: there are two.
#[test]
fn long_answers_that_end_early_on_either_side_harm_nobody() {
    let scene = Scene::with("[limits]\nmemory_max = \"16MiB\"\npipes_max = 2");
    let (asked, answer) = (request(FETCH, 11, 3, false, &[]), response(3, &varied(8 * MIB)));
    for round in 0..8 {
        let (mut client, mut served) = scene.pair();
        client.send(&asked);
        served.expect(&asked);
        if round % 2 == 0 {
            // The client goes where more has come than it takes.
            stuff(&served, &answer, answer.len());
            client.expect(&answer[..MIB]);
            client.reset();
        } else {
            carry(&served, &mut client, &answer[..2 * MIB]);
            served.send(b"cut");
            drop(served);
            assert_eq!(client.rest().unwrap(), b"cut");
        }
        let (mut client, mut served) = scene.pair();
        client.send(&asked);
        served.expect(&asked);
        let before = spliced(&scene)[1];
        carry(&served, &mut client, &answer);
        assert!(spliced(&scene)[1] - before > 4 * MIB as u64);
    }
    scene.end(&[]);
}

/// What of the answer was in a pipe then is no less of it than what comes later.
#[test]
fn an_acknowledgement_behind_a_long_answer_whose_client_has_gone_is_a_proof() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let (asked, answer) = (request(FETCH, 11, 3, false, &[]), response(3, &varied(32 * MIB)));
    let sent = produce_one(4, batch(7, 0, 1));
    client.send(&asked);
    client.send(&sent);
    served.expect(&asked);
    served.expect(&sent);
    let begun = stuff(&served, &answer, answer.len());
    client.reset();
    served.send(&answer[begun..]);
    served.send(&produced_one(4, 0, 10));
    scene.wait_for_proofs(1);
    let (mut client, served) = scene.pair();
    client.send(&sent);
    client.expect(&produced_one(4, 0, 10));
    served.silent();
    assert!(spliced(&scene)[1] > 0);
    scene.end(&[]);
}

/// Only the records are passed over, not what stands between them.
#[test]
fn each_batch_of_a_streamed_request_is_seen_while_its_records_are_not() {
    let scene = Scene::with("[limits]\nmemory_max = \"16MiB\"\nhold_bytes_max = \"64KiB\"");
    let (mut client, mut served) = scene.pair();
    let parts: Vec<Part<'_>> = (0..3).map(|partition| ("t", partition, Some(large(0)))).collect();
    let sent = produce(9, 1, -1, &parts);
    carry(&client, &mut served, &sent);
    let answer = produced(9, 1, &[("t", 0, 0, 10), ("t", 1, 0, 20), ("t", 2, 0, 30)]);
    served.send(&answer);
    client.expect(&answer);
    scene.wait_for_proofs(3);
    let up = spliced(&scene)[0];
    assert!(up > sent.len() as u64 / 2 && up < sent.len() as u64, "{up}");
    scene.end(&[]);
}

#[test]
fn a_client_that_goes_while_the_broker_takes_nothing_of_its_long_request_is_noticed() {
    let scene = Scene::new();
    let (client, served) = scene.pair();
    let sent = request(FETCH, 11, 3, false, &varied(32 * MIB));
    let taken = stuff(&client, &sent, sent.len());
    assert!(taken < sent.len() && spliced(&scene)[0] > 0);
    client.reset();
    scene.wait_for_metric("connections_open", 1);
    drop(served);
    scene.end(&[]);
}

#[test]
fn a_long_answer_of_which_something_is_learnt_is_read() {
    let scene = Scene::new();
    let (mut client, mut served) = scene.pair();
    let (asked, answer) = (request(METADATA, 4, 1, false, &[0; 5]), response(1, &[0; MIB]));
    client.send(&asked);
    served.expect(&asked);
    carry(&served, &mut client, &answer);
    assert_eq!(spliced(&scene), [0, 0]);
    scene.end(&[]);
}
