//! Which cluster a connection leads to (T15): what its place knows reaches those who never ask.

use std::net::{SocketAddr, TcpListener};

use crate::proofs::{retry_is_answered, retry_is_forwarded};
use crate::scene::{ASKS_NOTHING, Peer, Scene, acknowledge, exchange};
use crate::support::{accept, broker, connect};
use crate::wire::*;

/// A second listener, which says nothing of sharing the first one's cluster.
struct Other {
    broker: TcpListener,
    address: SocketAddr,
}

impl Other {
    fn scene(toml: &str) -> (Scene, Self) {
        let (broker, upstream) = broker();
        let listener = "[[listener]]\nname = \"other\"\nlisten = \"127.0.0.1:0\"";
        let scene = Scene::with_more(toml, &format!("{listener}\nupstream = \"{upstream}\""));
        let status = scene.json("/api/v1/status");
        scene.proxy.wait_for_look(&upstream.to_string());
        let address = status["listeners"][1]["address"].as_str().unwrap().parse().unwrap();
        (scene, Self { broker, address })
    }

    fn pair(&self) -> (Peer, Peer) {
        let client = Peer(connect(self.address));
        (client, Peer(accept(&self.broker)))
    }
}

/// A connection is told the id of its cluster. It stays: of one that goes, who of both ends was lost first is chance.
#[must_use]
fn told(scene: &Scene, id: &str) -> (Peer, Peer) {
    let mut pair = scene.pair();
    identify(scene, &mut pair, id);
    pair
}

fn identify(scene: &Scene, pair: &mut (Peer, Peer), id: &str) {
    let answer = metadata_answer(5, "127.0.0.1", scene.proxy.address.port(), id);
    exchange(&mut pair.0, &mut pair.1, &metadata(5), &answer);
}

#[test]
fn proof_of_a_connection_that_never_asks_is_found_by_the_next() {
    let (scene, other) = Other::scene(ASKS_NOTHING);
    let (mut producer, mut served) = other.pair();
    acknowledge(&mut producer, &mut served, 7, 0, 10);
    let mut known = scene.pair();
    identify(&scene, &mut known, "one");
    identify(&scene, &mut other.pair(), "one");
    acknowledge(&mut producer, &mut served, 7, 1, 11);
    drop(served);
    assert_eq!(producer.end(), Ok(()));
    let (mut producer, served) = other.pair();
    retry_is_answered(&mut producer, &served, 1, 11);
    retry_is_answered(&mut known.0, &known.1, 1, 11);
    scene.end(&[]);
}

#[test]
fn proof_from_before_any_id_stays_when_the_first_is_seen() {
    let scene = Scene::new();
    let (mut producer, mut served) = scene.pair();
    acknowledge(&mut producer, &mut served, 7, 0, 10);
    let mut known = scene.pair();
    identify(&scene, &mut known, "one");
    retry_is_answered(&mut producer, &served, 0, 10);
    retry_is_answered(&mut known.0, &known.1, 0, 10);
    scene.end(&[]);
}

#[test]
fn connection_that_never_asks_follows_to_another_cluster() {
    let scene = Scene::new();
    let _one = told(&scene, "one");
    let (mut producer, mut served) = scene.pair();
    acknowledge(&mut producer, &mut served, 7, 0, 10);
    let _two = told(&scene, "two");
    retry_is_forwarded(&mut producer, &mut served, 0);
    acknowledge(&mut producer, &mut served, 7, 1, 91);
    let (mut next, served) = scene.pair();
    retry_is_answered(&mut next, &served, 1, 91);
    scene.end(&[]);
}

#[test]
fn batch_held_in_another_cluster_goes_on_when_its_place_moves() {
    let mut scene = Scene::with(ASKS_NOTHING);
    let _one = told(&scene, "one");
    let (mut client, mut served) = scene.pair();
    acknowledge(&mut client, &mut served, 7, 0, 10);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    let (mut client, mut served) = scene.pair();
    retry_is_answered(&mut client, &served, 0, 10);
    let next = [1, 2].map(|base| produce_one(base, batch(7, base, 1)));
    client.send(&next.concat());
    served.expect(&next[0]);
    scene.use_the_one_beside();
    served.silent();
    let _two = told(&scene, "two");
    served.expect(&next[1]);
    let answers = [produced_one(1, 0, 11), produced_one(2, 0, 12)].concat();
    served.send(&answers);
    client.expect(&answers);
    scene.end(&[]);
}

/// T15, T27: what a connection sent before it turned out to lead elsewhere is waited for where it was sent.
#[test]
fn a_held_batch_hears_of_one_whose_connection_leads_elsewhere_now() {
    let mut scene = Scene::with(ASKS_NOTHING);
    let port = scene.proxy.address.port();
    let (mut client, mut served) = scene.pair();
    exchange(&mut client, &mut served, &metadata(5), &metadata_answer(5, "127.0.0.1", port, "one"));
    acknowledge(&mut client, &mut served, 7, 0, 10);
    drop(served);
    assert_eq!(client.end(), Ok(()));
    let (mut client, mut served) = scene.pair();
    retry_is_answered(&mut client, &served, 0, 10);
    let (mut other, mut asked) = scene.pair();
    exchange(&mut other, &mut asked, &metadata(5), &metadata_answer(5, "127.0.0.1", port, "one"));
    let (first, next) = (produce_one(1, batch(7, 1, 1)), produce_one(2, batch(7, 2, 1)));
    client.send(&[metadata(6), first.clone()].concat());
    served.expect(&[metadata(6), first].concat());
    other.send(&[metadata(7), next.clone()].concat());
    asked.expect(&metadata(7));
    scene.wait_for_metric("requests_total{api=\"Produce\"}", 4);
    let elsewhere = metadata_answer(6, "127.0.0.1", port, "two");
    served.send(&elsewhere);
    client.expect(&elsewhere);
    scene.use_the_one_beside();
    asked.silent();
    served.send(&produced_one(1, 0, 11));
    client.expect(&produced_one(1, 0, 11));
    asked.expect(&next);
    asked.send(&[response(7, &[0; 30]), produced_one(2, 0, 12)].concat());
    other.expect(&[response(7, &[0; 30]), produced_one(2, 0, 12)].concat());
    scene.end(&[]);
}

/// D5a: its first batches were seen, though nobody knew that it was of this cluster.
#[test]
fn gap_is_not_what_was_sent_before_the_cluster_was_known() {
    let (scene, other) = Other::scene("[sequencing]\nauthoritative = true\nlook_up = false");
    let mut known = scene.pair();
    identify(&scene, &mut known, "one");
    let asked = request(INIT_PRODUCER_ID, 1, 2, false, &[0xff, 0xff, 0, 0, 0, 1]);
    let handed = response(2, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0]);
    exchange(&mut known.0, &mut known.1, &asked, &handed);
    let (mut producer, mut served) = other.pair();
    acknowledge(&mut producer, &mut served, 7, 0, 10);
    identify(&scene, &mut other.pair(), "one");
    acknowledge(&mut producer, &mut served, 7, 1, 11);
    assert_eq!(scene.metric("batches_total{verdict=\"in_order\",action=\"forwarded\"}"), 2);
    assert_eq!(scene.metric("gaps_total"), 0);
    scene.end(&[]);
}
