//! The newest Kafka that there is, with its own producer.

use crate::support::jvm::Version;
use crate::support::relay::{Ending, Point, Strike};
use crate::support::require;
use crate::support::rig::Stage;

const RECORDS: usize = 100;
const IN_FLIGHT: usize = 5;

#[test]
fn hundred_records_through_seqgate_on_kafka_4_4() {
    let Some(parts) = require::kafka(Version::V4_4_0) else { return };
    let mut stage = Stage::start(parts, &[]);
    let mut rig = stage.through_seqgate(&[]);
    rig.create_topic("newest", 3);
    let mut producer = rig.producer("newest", &[]);
    rig.stage.front.hold_answers();
    rig.send_apart(&mut producer, IN_FLIGHT);
    rig.stage.front.wait_held_of(producer.client(), IN_FLIGHT);
    rig.stage.front.strike(Strike { nth: 3, point: Point::BeforeAnswer, ending: Ending::Reset });
    rig.stage.front.release_answers();
    rig.stage.front.wait_struck(1);
    producer.send(RECORDS - IN_FLIGHT, None);
    producer.wait_settled();
    producer.close();
    rig.judge(&producer).assert_exactly_once("producer", RECORDS);
    rig.stop_seqgate(&[]);
}
