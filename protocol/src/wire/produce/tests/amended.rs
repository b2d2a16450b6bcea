use super::differential::{answers, answers_in, expected_partition};
use super::*;
use crate::wire::cursor::ParseError;

fn entry(topic: TopicRef<'_>, partition: i32, error: i16) -> AnswerEntry {
    let (base_offset, log_append_time, log_start_offset) = (100 + i64::from(error), -1, 7);
    AnswerEntry { topic: topic.into(), partition, error, base_offset, log_append_time, log_start_offset }
}

/// Two topics as `version` names them.
fn topics(version: i16) -> [TopicRef<'static>; 2] {
    if version >= 13 {
        [TopicRef::Id(TopicId([1; 16])), TopicRef::Id(TopicId([2; 16]))]
    } else {
        [TopicRef::Name(b"a"), TopicRef::Name(b"b")]
    }
}

#[test]
fn an_entry_takes_the_place_of_the_brokers_in_every_version() {
    for version in 0..=VERSION_MAX {
        let [a, b] = topics(version);
        let broker = answer(version, 5, &[entry(a, 0, 0), entry(a, 1, 45), entry(b, 0, 45), entry(b, 1, 3)]);
        let ours = [entry(b, 0, 7), entry(a, 1, 0)];
        let expected = answer(version, 5, &[entry(a, 0, 0), entry(a, 1, 0), entry(b, 0, 7), entry(b, 1, 3)]);
        assert_eq!(amend(version, &broker, &ours), Ok(expected), "v{version}");
        assert_eq!(amend(version, &broker, &[]), Ok(broker), "v{version}");
    }
}

#[test]
fn a_partition_that_the_broker_does_not_answer_for_is_an_error() {
    for version in 0..=VERSION_MAX {
        let [a, b] = topics(version);
        let broker = answer(version, 5, &[entry(a, 0, 45), entry(a, 1, 45), entry(b, 2, 0)]);
        let missing = |partition| Err(AmendError::Missing { partition });
        assert_eq!(amend(version, &broker, &[entry(a, 0, 0), entry(a, 2, 0)]), missing(2));
        assert_eq!(amend(version, &broker, &[entry(b, 0, 0)]), missing(0));
        assert_eq!(amend(version, &answer(version, 5, &[]), &[entry(b, 9, 0), entry(b, 8, 0)]), missing(8));
        // A topic of the other kind is no topic of this version's.
        let [other, _] = topics(if version >= 13 { 0 } else { 13 });
        assert_eq!(amend(version, &broker, &[entry(other, 0, 0)]), missing(0));
    }
}

#[test]
fn a_partition_that_the_broker_answers_for_twice_is_an_error() {
    for version in 0..=VERSION_MAX {
        let [a, b] = topics(version);
        let broker = answer(version, 5, &[entry(a, 0, 45), entry(a, 0, 0), entry(b, 0, 0)]);
        assert_eq!(amend(version, &broker, &[entry(a, 0, 0)]), Err(AmendError::Twice { partition: 0 }));
        assert!(amend(version, &broker, &[entry(b, 0, 0)]).is_ok());
        let twice = [entry(b, 0, 0), entry(b, 0, 1)];
        assert_eq!(amend(version, &broker, &twice), Err(AmendError::Twice { partition: 0 }));
    }
}

#[test]
fn only_what_parses_is_amended() {
    let unknown = Err(AmendError::Parse(ParseError::Version { version: VERSION_MAX + 1 }));
    assert_eq!(amend(VERSION_MAX + 1, &[0; 20], &[]), unknown);
    for version in 0..=VERSION_MAX {
        let [a, _] = topics(version);
        let ours = [entry(a, 0, 0)];
        let mut broker = answer(version, 5, &[entry(a, 0, 45)]);
        for cut in 0..broker.len() {
            assert!(matches!(amend(version, &broker[..cut], &ours), Err(AmendError::Parse(_))));
        }
        broker.push(0);
        let left_over = Err(AmendError::Parse(ParseError::LeftOver { left: 1 }));
        assert_eq!(amend(version, &broker, &ours), left_over);
    }
}

proptest! {
    #[test]
    fn an_amended_response_is_what_an_independent_encoder_makes_of_it(
        mut response in responses(), ours in answers(), wanted in vec(any::<bool>(), 25), version in 3_i16..=13
    ) {
        let frame = response.frame(version);
        let mut ours = answers_in(version, &ours).into_iter();
        let mut wanted = wanted.into_iter();
        let (mut entries, mut is_twice) = (Vec::new(), false);
        for topic in &mut response.topics {
            let indices: Vec<_> = topic.partitions.iter().map(|partition| partition.index).collect();
            let name = OwnedTopic::from(named(version, topic));
            for partition in &mut topic.partitions {
                let Some(entry) = wanted.next().filter(|&wanted| wanted).and_then(|_| ours.next()) else { continue };
                let entry = AnswerEntry { topic: name.clone(), partition: partition.index, ..entry };
                is_twice |= indices.iter().filter(|&&index| index == entry.partition).count() > 1;
                *partition = expected_partition(version, &entry);
                entries.push(entry);
            }
        }
        // In which order they are given does not matter.
        entries.reverse();
        let amended = amend(version, &frame, &entries);
        if is_twice {
            prop_assert!(matches!(amended, Err(AmendError::Twice { .. })), "{:?}", amended);
        } else {
            prop_assert_eq!(amended.unwrap(), response.frame(version));
        }
    }

    #[test]
    fn no_bytes_make_an_amendment_panic(version in 0_i16..=13, frame in vec(prop_oneof![0_u8..4, any::<u8>()], 0..120)) {
        let [a, _] = topics(version);
        let _ = amend(version, &frame, &[entry(a, 0, 0)]);
        let is_readable = frame.len() >= 4 && ProduceResponse::parse(version, &frame[4..]).is_ok();
        prop_assert_eq!(amend(version, &frame, &[]).is_ok(), is_readable);
    }
}
