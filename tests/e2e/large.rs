//! Requests that are longer than what is read at once.

use bytes::Bytes;

use crate::memory::{BLOCK_BYTES, MIB};
use crate::scene::{Scene, exchange};
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
