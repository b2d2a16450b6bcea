//! A leader that dies with what nobody else has, and one that leads without it: acknowledged records are lost, and seqgate
//! says of none that it stands where it does not.

use crate::cluster::{BATCHES, BROKERS, WATCHFUL, send_held};
use crate::support::chain::{Chain, Death};
use crate::support::eventually;
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::kafka::probe;
use crate::support::producer::Producer;
use crate::support::relay::{Ending, Relay};
use crate::support::require;
use crate::support::rig::Side;
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

/// The links of the one that leads and of the one that copies it; the first has no copy, and makes the controllers a quorum
/// with either. Brokers are numbered from 1.
const LEADER: usize = 1;
const COPY: usize = 2;
const UNCLEAN: [(&str, &str); 2] = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];

/// What is between the last record that both have and the batches whose answers are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Nothing: what comes again lands where it stood.
    Nothing,
    /// A record that its producer knows to be acknowledged.
    Acknowledged,
}

impl Between {
    const BOTH: [Self; 2] = [Self::Nothing, Self::Acknowledged];

    fn records(self) -> usize {
        usize::from(self == Self::Acknowledged)
    }
}

/// One record that both have, batches that only the leader has, whose answers are lost as it dies, and one in calm.
fn play(chain: &mut Chain, families: &[Family], name: &str) -> Vec<(Family, Between, Outcome)> {
    let known = || probe::advertised_ports(chain.links[0].broker.direct()).map_or(0, |ports| ports.len());
    eventually("brokers", || known() == BROKERS, || format!("{} are known", known()));
    let direct = chain.links[0].broker.direct();
    let cases: Vec<_> = families.iter().flat_map(|family| Between::BOTH.map(|between| (*family, between))).collect();
    let mut producers = Vec::new();
    for (family, between) in &cases {
        let client = format!("{name}-{}-{between:?}", family.name());
        chain.tools.place_topic(direct, &client, &[LEADER + 1, COPY + 1], &UNCLEAN);
        producers.push(Producer::launch(*family, chain.bootstrap(), &client, &[("client.id", &client)]));
    }
    chain.ask_each_broker();
    for producer in &mut producers {
        producer.wait_ready();
        producer.send(1, None);
        producer.wait_settled();
    }
    chain.end_broker(COPY, Death::Orderly);
    for (producer, (_, between)) in producers.iter_mut().zip(&cases) {
        producer.send(between.records(), None);
        producer.wait_settled();
    }
    producers.iter_mut().for_each(|producer| send_held(chain, Side::Front, producer));
    chain.relays(Side::Front).for_each(Relay::refuse);
    chain.end_broker(LEADER, Death::Sudden);
    chain.links[COPY].broker.start_again();
    for producer in &producers {
        chain.tools.wait_led(direct, producer.topic(), 0);
    }
    for side in [Side::Front, Side::Back] {
        chain.relays(side).for_each(|relay| relay.cut_all(Ending::Reset));
        chain.relays(side).for_each(Relay::resume);
    }
    for producer in &mut producers {
        producer.wait_settled();
        producer.send(1, None);
        producer.wait_settled();
        producer.close();
    }
    chain.links[LEADER].broker.start_again();
    let judged = cases.iter().zip(&producers).map(|((family, between), producer)| {
        let outcome = chain.judge(producer);
        println!("{}: {}", producer.client(), outcome.summary());
        (*family, *between, outcome)
    });
    judged.collect()
}

/// What was acknowledged to the producer before is lost, and it cannot know; all else stands once, where it was told.
#[track_caller]
fn assert_nothing_else_is_lost(outcomes: Vec<(Family, Between, Outcome)>) {
    for (family, between, outcome) in outcomes {
        let sent = 1 + between.records() + BATCHES + 1;
        let is_good = outcome.acked.len() == sent
            && outcome.lost.len() == between.records()
            && outcome.lost.iter().all(|id| id == "id-000001")
            && outcome.log.len() == sent - between.records()
            && [&outcome.doubled, &outcome.misplaced, &outcome.told_twice].iter().all(|ids| ids.is_empty());
        assert!(is_good, "{} {between:?}: {}", family.name(), outcome.summary());
    }
}

#[test]
fn what_an_unclean_leader_does_not_have_is_stored_again() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let java = Family::Java(Version::V4_3_1);
    let families: Vec<_> = [java, Family::FranzGo].into_iter().filter(|it| require::family(*it).is_some()).collect();
    let mut chain = Chain::start(parts, BROKERS, &WATCHFUL);
    chain.go_direct();
    assert_nothing_else_is_lost(play(&mut chain, &[java], "unclean-direct"));
    chain.go_through_seqgate();
    assert_nothing_else_is_lost(play(&mut chain, &families, "unclean"));
    chain.assert_seqgates_quiet(&WARNINGS_OF_RESTARTS);
}
