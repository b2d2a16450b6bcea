//! Three brokers that restart one after the other, as for an update, and another that leads when batches come again, to
//! another seqgate perhaps.

use crate::cluster::{BATCHES, BROKERS, WATCHFUL, send_held};
use crate::support::chain::{Chain, Death};
use crate::support::family::Family;
use crate::support::judge::Outcome;
use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::relay::{Ending, Relay};
use crate::support::require;
use crate::support::rig::Side;
use crate::support::seqgate::WARNINGS_OF_RESTARTS;

/// One in calm before the batches whose answers are lost, and one behind them.
const RECORDS: usize = 1 + BATCHES + 1;
/// However long the brokers take: no record is given up for its age.
const PATIENT: (&str, &str) = ("delivery.timeout.ms", "600000");

/// What becomes of seqgate meanwhile, if there is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seqgate {
    Stays,
    /// Another one that has seen nothing takes its place.
    IsKilled,
}

/// Batches of one partition, whose answers are lost at the brokers while each of these restarts.
fn roll(chain: &mut Chain, families: &[Family], topic: &str, seqgate: Seqgate) -> Vec<(Family, Outcome)> {
    let topics: Vec<_> = families.iter().map(|family| format!("{topic}-{}", family.name())).collect();
    chain.create_topics(&topics, 1);
    let launch = |(family, topic): (&Family, &String)| Producer::launch(*family, chain.bootstrap(), topic, &[PATIENT]);
    let mut producers: Vec<_> = families.iter().zip(&topics).map(launch).collect();
    chain.ask_each_broker();
    for producer in &mut producers {
        producer.wait_ready();
        producer.send(1, None);
        producer.wait_settled();
    }
    producers.iter_mut().for_each(|producer| send_held(chain, Side::Back, producer));
    chain.relays(Side::Front).for_each(Relay::refuse);
    for link in 0..BROKERS {
        chain.end_broker(link, Death::Orderly);
        chain.links[link].broker.start_again();
    }
    chain.move_leaders(&topics);
    if seqgate == Seqgate::IsKilled {
        chain.end_seqgate(Death::Sudden);
        chain.start_seqgate_again();
    }
    let direct = chain.a_running_broker().direct();
    for topic in &topics {
        chain.tools.wait_led(direct, topic, 0);
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
    producers.iter().map(|producer| (producer.family(), chain.judge(producer))).collect()
}

#[test]
fn brokers_restart_and_another_leads_with_answers_lost_behind_seqgate() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let families = [Family::Java(Version::V4_3_1), Family::FranzGo];
    let families: Vec<_> = families.into_iter().filter(|family| require::family(*family).is_some()).collect();
    let mut chain = Chain::start(parts, BROKERS, &WATCHFUL);
    chain.go_direct();
    for (family, direct) in roll(&mut chain, &families, "unseen-roll-direct", Seqgate::Stays) {
        println!("{} direct: {}", family.name(), direct.summary());
        let told_well = direct.acked.len() == RECORDS && direct.failed.is_empty() && direct.lost.is_empty();
        assert!(told_well && !direct.doubled.is_empty(), "{}: {}", family.name(), direct.summary());
    }
    chain.go_through_seqgate();
    for (topic, seqgate) in [("unseen-roll", Seqgate::Stays), ("unseen-roll-killed", Seqgate::IsKilled)] {
        let through = roll(&mut chain, &families, topic, seqgate);
        for (family, outcome) in &through {
            println!("{} through seqgate, {topic}: {}", family.name(), outcome.summary());
        }
        for (family, outcome) in through {
            outcome.assert_exactly_once(family.name(), RECORDS);
        }
    }
    chain.assert_seqgates_quiet(&WARNINGS_OF_RESTARTS);
}
