//! The script that the simulation's model of a broker answers, put to real brokers: they answer it the same way.

use bytes::Bytes;

use crate::raw::{self, Raw};
use crate::support::jvm::Version;
use crate::support::require;
use crate::support::rig::Stage;

const SCRIPT: &str = include_str!("recorded.txt");
/// The leader of a topic that was just made does not serve it yet (6), nor does it after a restart.
const NOT_LEADER: i16 = 6;

#[test]
fn brokers_answer_as_recorded() {
    let Some(parts) = require::kafka(Version::V4_3_1) else { return };
    play(&mut Stage::shared(parts), "recorded");
}

#[test]
fn brokers_answer_as_recorded_on_kafka_3_9() {
    let Some(parts) = require::kafka(Version::V3_9_1) else { return };
    play(&mut Stage::shared(parts), "recorded");
}

fn play(stage: &mut Stage, name: &str) {
    let mut topic = String::new();
    let mut count = 0;
    for (at, line) in SCRIPT.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        match line {
            "partition" => {
                topic = format!("{name}-{at}");
                let Stage { broker, tools, .. } = &mut *stage;
                tools.create_topic(broker.direct(), &topic, 1);
            }
            "restart" => {
                stage.broker.stop_clean();
                stage.broker.start_again();
            }
            "kill" => {
                stage.broker.kill();
                stage.broker.start_again();
            }
            _ => {
                let (asked, answered) = line.split_once(" -> ").expect("a batch and its answer");
                assert_eq!(ask(stage, &topic, asked), answered, "line {}: {asked}", at + 1);
                count += 1;
            }
        }
    }
    assert!(count >= 50, "{count} answers");
}

/// Asks until the broker leads; no other answer is asked for twice.
fn ask(stage: &Stage, topic: &str, asked: &str) -> String {
    let batch = batch_of(asked);
    let mut answer = (NOT_LEADER, -1);
    crate::support::eventually(
        "a leader",
        || {
            answer = Raw::connect(stage.broker.direct()).produce(topic, &batch);
            answer.0 != NOT_LEADER && answer.0 != 3
        },
        || format!("{topic} is not led"),
    );
    match answer {
        (0, offset) => format!("0@{offset}"),
        (code, _) => code.to_string(),
    }
}

fn batch_of(text: &str) -> Bytes {
    let value = |name: &str| {
        let word = text.split(' ').find_map(|word| word.strip_prefix(name)).expect("every batch says it");
        word.strip_prefix('=').expect("a value")
    };
    let (first, last) = value("seq").split_once("..").expect("first and last");
    let (first, last): (i32, i32) = (first.parse().unwrap(), last.parse().unwrap());
    let count = usize::try_from((last.wrapping_sub(first) & i32::MAX) + 1).unwrap();
    raw::batch(value("pid").parse().unwrap(), value("epoch").parse().unwrap(), first, count)
}
