use super::differential::{answers, answers_in, distinct_topics, expected_partition, expected_topic};
use super::*;
use crate::wire::cursor::ParseError;
use crate::wire::samples::{golden_requests, hex};

fn kept(topic: TopicRef<'_>, partition: i32) -> AnswerEntry {
    AnswerEntry { topic: topic.into(), partition, error: 0, base_offset: 100, log_append_time: -1, log_start_offset: 7 }
}

#[test]
fn unknown_tagged_fields_in_produce_v9_preserved() {
    let tag = |name: &'static str| Tags::from([(77, Bytes::from_static(name.as_bytes()))]);
    let topic = |name: &str, partitions: &[i32]| AnyTopic {
        name: name.to_owned(),
        id: [7; 16],
        partitions: partitions.iter().map(|&index| (index, Some(vec![index as u8; 70]), tag("partition"))).collect(),
        tags: tag("topic"),
    };
    let mut request = AnyRequest {
        correlation_id: 1,
        client_id: None,
        transactional_id: None,
        acks: -1,
        timeout_ms: 1,
        topics: vec![topic("a", &[0, 1]), topic("b", &[2])],
        tags: tag("body"),
    };
    let stripped = strip(&request.frame(9), |ordinal| ordinal == 1).unwrap();
    request.topics = vec![topic("a", &[1])];
    assert_eq!(stripped, request.frame(9));
}

#[test]
fn a_topic_of_which_nothing_is_left_out_is_copied_byte_for_byte() {
    let body = |topics: &str| hex(&format!("0000 0009 00000001 ffff 00 00 ffff 00007530 {topics} 00"));
    // Its number of partitions is written in two bytes where one would do.
    let (untouched, empty) = ("02 62 8200 00000002 00 00 00", "02 63 01 00");
    let frame = |topics: &str| {
        let bytes = body(topics);
        [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()
    };
    let request = frame(&format!("04 02 61 03 00000000 00 00 00000001 00 00 00 {untouched} {empty}"));
    let part = frame(&format!("04 02 61 02 00000001 00 00 00 {untouched} {empty}"));
    let none = frame(&format!("03 {untouched} {empty}"));
    assert_eq!(strip(&request, |ordinal| ordinal != 0).unwrap(), part);
    assert_eq!(strip(&request, |ordinal| ordinal == 2).unwrap(), none);
}

#[test]
fn stripping_all_entries_leaves_a_request_without_topics() {
    for (version, frame) in golden_requests() {
        let (_, request) = decode_request(version, &strip(&frame, |_| false).unwrap());
        assert!(request.topic_data.is_empty());
        assert_eq!(strip(&frame, |_| true).unwrap(), frame);
    }
}

#[test]
fn only_produce_requests_are_stripped() {
    let (_, mut frame) = golden_requests().swap_remove(0);
    frame[5] = 3;
    assert_eq!(strip(&frame, |_| true), Err(ParseError::Api { api_key: 3 }));
    assert_eq!(strip(&frame[..3], |_| true), Err(ParseError::Truncated { needed: 4, have: 3 }));
}

#[test]
fn a_kept_partition_goes_into_the_brokers_entry_for_its_topic() {
    let broker = answer(9, 5, &[kept(TopicRef::Name(b"a"), 0), kept(TopicRef::Name(b"b"), 0)]);
    let entries = [kept(TopicRef::Name(b"c"), 4), kept(TopicRef::Name(b"a"), 1), kept(TopicRef::Name(b"c"), 5)];
    let merged = merge(9, &broker, &entries).unwrap();
    let response = ProduceResponse::parse(9, &merged[4..]).unwrap();
    let places: Vec<_> = response.entries().map(|entry| (entry.topic, entry.partition)).collect();
    let name = |name: &'static [u8]| TopicRef::Name(name);
    assert_eq!(places, [(name(b"a"), 0), (name(b"a"), 1), (name(b"b"), 0), (name(b"c"), 4), (name(b"c"), 5)]);
    assert_eq!(decode_response(9, &merged).1.responses.len(), 3);
}

#[test]
fn an_answer_for_a_kept_partition_is_an_error() {
    let topic = TopicRef::Name(b"a");
    let broker = answer(3, 5, &[kept(topic, 0), kept(topic, 1)]);
    assert_eq!(merge(3, &broker, &[kept(topic, 1)]), Err(MergeError::Kept { partition: 1 }));
    assert!(merge(3, &broker, &[kept(topic, 2)]).is_ok());
    assert!(merge(3, &broker, &[kept(TopicRef::Name(b"b"), 1)]).is_ok());
}

#[test]
fn a_topic_with_two_entries_is_an_error() {
    let twice = hex("00000005 00000002 000174 00000000 000174 00000000 00000000");
    assert_eq!(merge(3, &with_length(&twice), &[]), Err(MergeError::TopicTwice));
}

#[test]
fn the_count_of_an_array_may_grow_by_a_byte() {
    let broker: Vec<_> = (0..126).map(|partition| kept(TopicRef::Name(b"a"), partition)).collect();
    let merged = merge(9, &answer(9, 5, &broker), &[kept(TopicRef::Name(b"a"), 126)]).unwrap();
    let all: Vec<_> = (0..127).map(|partition| kept(TopicRef::Name(b"a"), partition)).collect();
    assert_eq!(merged, answer(9, 5, &all));
    let (_, theirs) = decode_response(9, &merged);
    assert!(theirs.responses[0].partition_responses.iter().map(|partition| partition.index).eq(0..127));
}

proptest! {
    #[test]
    fn stripped_requests_are_read_by_an_independent_decoder(
        request in requests(), version in 3_i16..=13, wanted in vec(any::<bool>(), 30)
    ) {
        let frame = request.frame(version);
        let mut asked = 0;
        let stripped = strip(&frame, |ordinal| {
            assert_eq!(ordinal, asked);
            asked += 1;
            wanted[ordinal]
        }).unwrap();
        let (before, mut expected) = decode_request(version, &frame);
        let mut places = wanted.iter();
        for topic in &mut expected.topic_data {
            topic.partition_data.retain(|_| *places.next().unwrap());
        }
        let had_none: Vec<_> = request.topics.iter().map(|topic| topic.partitions.is_empty()).collect();
        let mut had_none = had_none.iter();
        expected.topic_data.retain(|topic| *had_none.next().unwrap() || !topic.partition_data.is_empty());
        let (after, theirs) = decode_request(version, &stripped);
        prop_assert_eq!(before, after);
        prop_assert_eq!(theirs, expected);
        prop_assert_eq!(strip(&frame, |_| true).unwrap(), frame);
    }

    #[test]
    fn merged_responses_are_read_by_an_independent_decoder(
        response in responses(), entries in answers(), version in 3_i16..=13
    ) {
        let mut entries = answers_in(version, &entries);
        // Every other topic of ours becomes one of the broker's.
        let ours = distinct_topics(&entries);
        for (mine, theirs) in ours.iter().step_by(2).zip(&response.topics) {
            for entry in entries.iter_mut().filter(|entry| entry.topic == *mine) {
                entry.topic = named(version, theirs).into();
            }
        }
        let frame = response.frame(version);
        let merged = merge(version, &frame, &entries).unwrap();
        let mut expected = response.theirs(version);
        for topic in distinct_topics(&entries) {
            let place = response.topics.iter().position(|theirs| named(version, theirs) == topic.as_ref());
            match place {
                Some(place) => expected.responses[place].partition_responses.extend(
                    entries.iter().filter(|e| e.topic == topic).map(|entry| expected_partition(version, entry)),
                ),
                None => expected.responses.push(expected_topic(version, &topic, &entries)),
            }
        }
        let (correlation_id, theirs) = decode_response(version, &merged);
        prop_assert_eq!(correlation_id, response.correlation_id);
        prop_assert_eq!(theirs, expected);
        prop_assert_eq!(merge(version, &frame, &[]).unwrap(), frame, "nothing to add changes nothing");
    }

    #[test]
    fn what_was_stripped_is_answered_by_what_is_merged(
        entries in answers(), version in 3_i16..=13, correlation_id: i32, wanted in vec(any::<bool>(), 12)
    ) {
        let entries = answers_in(version, &entries);
        let (brokers, ours): (Vec<_>, Vec<_>) = entries.iter().cloned().zip(wanted).partition(|(_, wanted)| *wanted);
        let only = |entries: Vec<(AnswerEntry, bool)>| -> Vec<_> { entries.into_iter().map(|(entry, _)| entry).collect() };
        let merged = merge(version, &answer(version, correlation_id, &only(brokers)), &only(ours)).unwrap();
        let (_, merged) = decode_response(version, &merged);
        let mut partitions: Vec<_> = merged.responses.iter().flat_map(|topic| {
            topic.partition_responses.iter().map(|p| (p.index, topic.name.to_string(), p.base_offset))
        }).collect();
        partitions.sort();
        prop_assert_eq!(partitions.len(), entries.len());
        prop_assert!(partitions.iter().zip(&entries).all(|(p, entry)| (p.0, p.2) == (entry.partition, entry.base_offset)));
        prop_assert_eq!(merged.responses.len(), distinct_topics(&entries).len());
    }
}
