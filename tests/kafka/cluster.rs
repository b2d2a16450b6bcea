//! Three brokers, of which another leads while acknowledgements are on their way: what one broker has acknowledged is answered
//! for on the way to the next.

use crate::support::chain::{Chain, Death};
use crate::support::eventually;
use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::relay::{Ending, Relay};
use crate::support::require;
use crate::support::rig::Side;
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

pub(crate) const BROKERS: usize = 3;
/// As many as producers have in flight at a broker.
pub(crate) const BATCHES: usize = 5;
/// Brokers that are gone are missed soon: by the controllers, and by leaders that wait for their copies.
pub(crate) const WATCHFUL: [(&str, &str); 4] = [
    ("broker.heartbeat.interval.ms", "500"),
    ("broker.session.timeout.ms", "4000"),
    ("replica.lag.time.max.ms", "5000"),
    ("controlled.shutdown.max.retries", "1"),
];

/// Has the producer send batches of one partition, whose answers are held on that side when this returns.
pub(crate) fn send_held(chain: &Chain, side: Side, producer: &mut Producer) {
    chain.relays(side).for_each(Relay::hold_answers);
    for _ in 0..BATCHES {
        let before = chain.requests_of(producer.client());
        producer.send(1, None);
        let sent = || chain.requests_of(producer.client()) > before;
        eventually("batch on its way", sent, || format!("{before} requests"));
    }
    let held = || chain.held_of(side, producer.client());
    eventually("held answers", || held() >= BATCHES, || format!("{} held", held()));
}

#[test]
fn leaders_move_between_an_acknowledgement_and_its_retry() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut chain = Chain::start(parts, BROKERS, &WATCHFUL);
    chain.go_through_seqgate();
    chain.create_topics(&["moves".to_owned()], 1);
    let mut producer = Producer::launch(Family::Java(parts.version), chain.bootstrap(), "moves", &[]);
    producer.wait_ready();
    producer.send(1, None);
    producer.wait_settled();
    let moves: [fn(&mut Chain, usize); 3] = [
        |chain, _| chain.move_leaders(&["moves".to_owned()]),
        |chain, leader| chain.end_broker(leader, Death::Orderly),
        |chain, leader| chain.end_broker(leader, Death::Sudden),
    ];
    let answered = |chain: &Chain| {
        chain.seqgate.as_ref().expect("it runs").counter("seqgate_batches_total", "action=\"answered\"")
    };
    for move_leader in moves {
        chain.ask_each_broker();
        let before = answered(&chain);
        send_held(&chain, Side::Front, &mut producer);
        let leader = chain.links.iter().position(|link| link.front.held() > 0).expect("a broker has answered");
        move_leader(&mut chain, leader);
        chain.relays(Side::Front).for_each(|front| front.cut_all(Ending::Reset));
        chain.relays(Side::Front).for_each(|front| front.resume());
        producer.wait_settled();
        assert!(answered(&chain) > before, "no batch came again");
        for link in chain.links.iter_mut().filter(|link| !link.broker.is_running()) {
            link.broker.start_again();
        }
    }
    producer.close();
    chain.judge(&producer).assert_exactly_once("producer", producer.sent());
    chain.assert_seqgates_quiet(&WARNINGS_OF_RESTARTS);
}
