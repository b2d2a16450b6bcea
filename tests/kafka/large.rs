//! Batches and answers so long that most of each goes past seqgate within the kernel.

use crate::losing::BATCHES;
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::Stage;

/// Each record is a batch of its own, of less than the broker takes.
const KEY_BYTES: u64 = 600_000;

#[test]
fn large_batches_that_come_again_are_stored_once_and_read_whole() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&["--admin", "127.0.0.1:0"]);
    rig.create_topic("large", 1);
    let mut producer = rig.producer("large", &[("key.bytes", &KEY_BYTES.to_string())]);
    rig.send_apart(&mut producer, 1);
    producer.wait_settled();
    rig.stage.front.hold_answers();
    rig.send_apart(&mut producer, BATCHES);
    rig.stage.front.wait_held_of(producer.client(), BATCHES);
    rig.lose_answers(|rig| rig.cut_all());
    rig.send_apart(&mut producer, BATCHES);
    producer.close();
    let outcome = rig.judge(&producer);
    outcome.assert_exactly_once("large", producer.sent());
    // Consumers hold what they read against each batch's checksum.
    let front = rig.stage.front.address();
    let read = rig.stage.tools.read_log(front, "large");
    assert_eq!(read.len(), producer.sent());
    let seqgate = rig.seqgate.as_ref().unwrap();
    assert_eq!(seqgate.counter("seqgate_batches_total", "action=\"answered\""), BATCHES as u64);
    // All that went up was new but for the retries, and all that was read came down.
    let sent = producer.sent() as u64 * KEY_BYTES;
    for direction in ["to_broker", "to_client"] {
        let spliced = seqgate.counter("seqgate_spliced_bytes_total", &format!("direction=\"{direction}\""));
        assert!(spliced > sent / 2, "{spliced} of {sent} {direction}");
    }
    rig.stop_seqgate(&[]);
}
