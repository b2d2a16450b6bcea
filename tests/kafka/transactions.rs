//! Transactions and a consumer group, which pass through untouched, and a producer that another has fenced off.

use std::collections::BTreeSet;

use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::relay::{Ending, Point, Strike};
use crate::support::require;
use crate::support::rig::{Rig, Stage};

const COMMITTED: usize = 5;
const ABORTED: usize = 3;
const FENCED: usize = 3;

/// Commits, aborts, and commits once more while an acknowledgement is lost; returns the ids that are committed.
fn three_transactions(rig: &Rig<'_>, producer: &mut Producer) -> Vec<String> {
    producer.transaction("begin");
    rig.send_apart(producer, COMMITTED);
    producer.transaction("commit");

    producer.transaction("begin");
    rig.send_apart(producer, ABORTED);
    producer.wait_settled();
    producer.transaction("abort");

    producer.transaction("begin");
    let front = &rig.stage.front;
    let before = front.requests_of(producer.client());
    let struck = front.struck().len();
    front.hold_answers();
    rig.send_apart(producer, COMMITTED);
    front.wait_held_of(producer.client(), COMMITTED);
    front.strike_client(producer.client(), Strike { nth: 2, point: Point::BeforeAnswer, ending: Ending::Close });
    front.release_answers();
    front.wait_struck(struck + 1);
    producer.wait_settled();
    assert!(front.requests_of(producer.client()) > before + COMMITTED, "no batch came again");
    producer.transaction("commit");
    producer.close();

    let ids = (0..COMMITTED).chain(COMMITTED + ABORTED..2 * COMMITTED + ABORTED);
    ids.map(|n| format!("id-{n:06}")).collect()
}

#[test]
fn transactions_and_groups_pass_untouched() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&["--admin", "127.0.0.1:0"]);
    let front = rig.stage.front.address();
    // The first adds partitions by its Produce requests, the second by requests of their own.
    for (version, produce) in [(Version::V4_3_1, 12..=13), (Version::V3_9_1, 9..=11)] {
        let Some(family) = require::family(Family::Java(version)) else { continue };
        let topic = format!("transactions-{}", version.number());
        rig.create_topic(&topic, 2);
        let mut producer = Producer::launch(family, front, &topic, &[("transactional.id", &topic)]);
        producer.wait_ready();
        let committed = three_transactions(&rig, &mut producer);
        assert_eq!(producer.failed(), []);

        let read = rig.stage.tools.read_group(front, &topic, "readers", committed.len());
        let mut ids: Vec<_> = read.into_iter().map(|record| record.id).collect();
        ids.sort();
        assert_eq!(ids, committed, "{topic}");
        assert_eq!(rig.stage.tools.read_group(front, &topic, "readers", 0), [], "{topic}: offsets were not committed");
        let batches = rig.stage.front.recording().batches_of(producer.client());
        assert!(batches.iter().all(|batch| produce.contains(&batch.version)), "{batches:?}");
    }
    let answered = rig.seqgate.as_ref().unwrap().counter("seqgate_batches_total", "action=\"answered\"");
    let stripped = rig.seqgate.as_ref().unwrap().counter("seqgate_batches_total", "action=\"stripped\"");
    assert_eq!((answered, stripped), (0, 0));
    rig.stop_seqgate(&[]);
    let back = rig.back.as_ref().expect("the rig has a back relay");
    rig.stage.front.wait_idle();
    back.wait_idle();
    rig.stage.front.recording().assert_same_bytes(&back.recording());
}

/// A producer whose last answers are lost, and another that takes its transactional id before the batches come again.
///
/// Returns what the first is told when it commits; all that is committed is what the second has sent.
fn fenced_zombie(rig: &mut Rig<'_>, family: Family, topic: &str) -> String {
    let front = rig.stage.front.address();
    let launch = |client: &'static str| {
        let producer = Producer::launch(family, front, topic, &[("transactional.id", topic), ("client.id", client)]);
        producer.wait_ready();
        producer
    };
    rig.create_topic(topic, 1);
    let mut zombie = launch("zombie");
    zombie.transaction("begin");
    rig.send_apart(&mut zombie, 1);
    zombie.wait_settled();
    rig.stage.front.hold_answers();
    rig.send_apart(&mut zombie, FENCED);
    rig.stage.front.wait_held_of(zombie.client(), FENCED);
    // It has the older transaction aborted before it is ready.
    let mut successor = launch("successor");
    rig.stage.front.cut_all(Ending::Reset);
    rig.resume();
    let begun = zombie.begin_transaction("commit");
    let told = zombie.end_transaction("commit", begun).expect_err("a zombie commits");

    successor.transaction("begin");
    rig.send_apart(&mut successor, COMMITTED);
    successor.transaction("commit");
    successor.close();
    let placed = successor.acked().into_iter().map(|ack| (ack.partition, ack.offset)).collect::<BTreeSet<_>>();
    assert_eq!(placed.len(), COMMITTED);
    let read = rig.stage.tools.read_group(front, topic, "readers", COMMITTED);
    let read: BTreeSet<_> = read.into_iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(read, placed, "{topic}");
    told
}

#[test]
fn a_fenced_zombie_commits_nothing() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    for version in [Version::V4_3_1, Version::V3_9_1] {
        let Some(family) = require::family(Family::Java(version)) else { continue };
        let topic = |route| format!("zombie-{}-{route}", version.number());
        let direct = fenced_zombie(&mut stage.direct(), family, &topic("direct"));
        let mut rig = stage.through_seqgate(&[]);
        assert_eq!(fenced_zombie(&mut rig, family, &topic("seqgate")), direct);
        println!("{}: {direct}", family.name());
        rig.stop_seqgate(&[]);
    }
}
