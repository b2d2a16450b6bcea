//! In observe mode, what leaves seqgate is what came in, duplicates and all.

use crate::support::jvm::Version;
use crate::support::relay::{Ending, Point, Strike};
use crate::support::require;
use crate::support::rig::Stage;

/// A batch each, and never more in flight than the broker remembers.
const RECORDS: usize = 5;

#[test]
fn observe_mode_is_byte_identical() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    let mut stage = Stage::shared(parts);
    let mut rig = stage.through_seqgate(&["--mode", "observe"]);
    let front = rig.stage.front.address();
    rig.stage.tools.create_topic(front, "observed", 3);
    let mut producer = rig.producer("observed", &[]);

    // Lost in front of seqgate, when everything has passed through it: the batches come again.
    rig.stage.front.hold_answers();
    rig.send_apart(&mut producer, RECORDS);
    rig.stage.front.wait_held(RECORDS);
    rig.stage.front.strike(Strike { nth: 1, point: Point::BeforeAnswer, ending: Ending::Reset });
    rig.stage.front.release_answers();
    producer.wait_settled();
    rig.send_apart(&mut producer, RECORDS);
    producer.wait_settled();
    producer.close();
    let log = rig.stage.tools.read_log(front, "observed");
    rig.judge(&producer).assert_exactly_once("producer", 2 * RECORDS);
    assert_eq!(log.len(), 2 * RECORDS);

    let back = rig.back.as_ref().expect("the rig has a back relay");
    rig.stage.front.wait_idle();
    back.wait_idle();
    let (came, left) = (rig.stage.front.recording(), back.recording());
    assert!(came.batches().len() >= 3 * RECORDS, "batches that came again: {}", came.batches().len());
    came.assert_same_bytes(&left);
    rig.stop_seqgate(&[]);
}
