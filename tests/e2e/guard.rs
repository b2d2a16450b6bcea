//! KAFKA-15591: a broker takes whatever it sees first of a producer. Nothing overtakes a first batch on its way over another
//! connection, or that one is refused for ever.

use std::io::ErrorKind;

use crate::log::{asked_offset, listed};
use crate::scene::{ASKS_NOTHING, Peer, Scene, acknowledge};
use crate::wire::{V, batch, produce, produce_one, produced, produced_one};

/// The first batch of producer 7 is at the broker, and its second one waits on a connection of its own.
fn overtaken(scene: &Scene) -> ((Peer, Peer), (Peer, Peer)) {
    let (mut first, mut served) = scene.pair();
    // Nobody is made to wait for whom the broker may not serve.
    acknowledge(&mut first, &mut served, 8, 0, 9);
    let zero = produce_one(1, batch(7, 0, 1));
    first.send(&zero);
    served.expect(&zero);
    let (mut second, asked) = scene.pair();
    second.send(&produce_one(2, batch(7, 1, 1)));
    scene.wait_for_metric("requests_total{api=\"Produce\"}", 3);
    ((first, served), (second, asked))
}

#[test]
fn the_second_batch_waits_for_the_first_one() {
    let scene = Scene::new();
    let ((mut first, mut served), (mut second, mut asked)) = overtaken(&scene);
    scene.wait_for_metric("batches_held_total{waits_for=\"first_batch\"}", 1);
    asked.silent();
    served.send(&produced_one(1, 0, 10));
    first.expect(&produced_one(1, 0, 10));
    asked.expect(&produce_one(2, batch(7, 1, 1)));
    asked.send(&produced_one(2, 0, 11));
    second.expect(&produced_one(2, 0, 11));
    // From now on the broker knows the producer, and refuses what comes too early itself.
    acknowledge(&mut first, &mut served, 7, 2, 12);
    scene.end(&[]);
}

/// Its request waits for what the log says of another batch in it.
fn overtaken_while_it_waits(scene: &Scene) -> ((Peer, Peer), (Peer, Peer), Vec<u8>, i32) {
    let (mut first, mut served) = scene.pair();
    acknowledge(&mut first, &mut served, 8, 0, 9);
    let both = produce(V, 1, -1, &[("t", 0, Some(batch(9, 4, 1))), ("t", 1, Some(batch(7, 0, 1)))]);
    first.send(&both);
    let asked = asked_offset(&mut served);
    let (mut second, other) = scene.pair();
    second.send(&produce(V, 2, -1, &[("t", 1, Some(batch(7, 1, 1)))]));
    ((first, served), (second, other), both, asked)
}

#[test]
fn the_second_batch_waits_for_a_first_one_that_waits_here() {
    let scene = Scene::new();
    let ((mut first, mut served), (mut second, mut other), both, asked) = overtaken_while_it_waits(&scene);
    // What it is unknown for is looked up, and then it waits.
    let looked = asked_offset(&mut other);
    other.send(&listed(looked, 29, -1));
    scene.wait_for_metric("batches_held_total{waits_for=\"first_batch\"}", 1);
    served.send(&listed(asked, 29, -1));
    served.expect(&both);
    other.silent();
    served.send(&produced(V, 1, &[("t", 0, 0, 10), ("t", 1, 0, 0)]));
    first.expect(&produced(V, 1, &[("t", 0, 0, 10), ("t", 1, 0, 0)]));
    other.expect(&produce(V, 2, -1, &[("t", 1, Some(batch(7, 1, 1)))]));
    other.send(&produced(V, 2, &[("t", 1, 0, 1)]));
    second.expect(&produced(V, 2, &[("t", 1, 0, 1)]));
    scene.end(&[]);
}

#[test]
fn when_a_first_one_that_waits_here_will_not_go_the_client_begins_again() {
    let scene = Scene::new();
    let ((first, served), (mut second, mut other), ..) = overtaken_while_it_waits(&scene);
    let looked = asked_offset(&mut other);
    other.send(&listed(looked, 29, -1));
    scene.wait_for_metric("batches_held_total{waits_for=\"first_batch\"}", 1);
    first.reset();
    assert_eq!(second.end(), Err(ErrorKind::ConnectionReset));
    assert_eq!(other.end(), Err(ErrorKind::ConnectionReset));
    drop(served);
    scene.end(&[]);
}

#[test]
fn when_the_first_one_is_lost_the_client_begins_again() {
    let scene = Scene::new();
    let ((mut first, served), (mut second, mut asked)) = overtaken(&scene);
    drop(served);
    assert_eq!(first.end(), Ok(()));
    assert_eq!(second.end(), Err(ErrorKind::ConnectionReset));
    assert_eq!(asked.end(), Err(ErrorKind::ConnectionReset));
    scene.proxy.wait_for_log("a batch failed that had to be acknowledged first");
    scene.end(&[]);
}

#[test]
fn it_does_not_wait_for_ever() {
    let scene = Scene::with(ASKS_NOTHING);
    let ((mut first, mut served), (mut second, mut asked)) = overtaken(&scene);
    asked.expect(&produce_one(2, batch(7, 1, 1)));
    asked.send(&produced_one(2, 0, 10));
    second.expect(&produced_one(2, 0, 10));
    // As without seqgate.
    served.send(&produced_one(1, 45, -1));
    first.expect(&produced_one(1, 45, -1));
    scene.end(&[]);
}

#[test]
fn nothing_waits_in_observe_mode() {
    let scene = Scene::new();
    scene.set_mode("observe");
    let ((mut first, mut served), (mut second, mut asked)) = overtaken(&scene);
    asked.expect(&produce_one(2, batch(7, 1, 1)));
    asked.send(&produced_one(2, 0, 10));
    second.expect(&produced_one(2, 0, 10));
    served.send(&produced_one(1, 45, -1));
    first.expect(&produced_one(1, 45, -1));
    scene.end(&[]);
}
