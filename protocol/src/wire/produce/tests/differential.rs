use super::*;
use crate::wire::head::RequestHead;

/// Entries to answer, of several topics, in any order.
pub(super) fn answers() -> impl Strategy<Value = Vec<AnswerEntry>> {
    let entry = (0_u8..4, any::<i16>(), any::<i64>(), any::<i64>(), any::<i64>());
    vec(entry, 0..12).prop_map(|entries| {
        let entry = |(partition, (topic, error, base_offset, log_append_time, log_start_offset))| AnswerEntry {
            // Told apart by the version that they are used with.
            topic: OwnedTopic::Id(TopicId([topic; 16])),
            partition,
            error,
            base_offset,
            log_append_time,
            log_start_offset,
        };
        // Partitions count on, so that no two entries are of one.
        (100..).zip(entries).map(entry).collect()
    })
}

/// The entries with their topics named as `version` names them.
pub(super) fn answers_in(version: i16, entries: &[AnswerEntry]) -> Vec<AnswerEntry> {
    let named = |entry: &AnswerEntry| {
        let mut entry = entry.clone();
        if let (OwnedTopic::Id(id), ..=12) = (&entry.topic, version) {
            let long = if id.0[0] == 3 { 200 } else { 1 };
            entry.topic = OwnedTopic::Name(format!("kept{}", id.0[0]).repeat(long).into_bytes().into());
        }
        entry
    };
    entries.iter().map(named).collect()
}

/// What an independent decoder is to make of one entry.
pub(super) fn expected_partition(version: i16, entry: &AnswerEntry) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(entry.partition)
        .with_error_code(entry.error)
        .with_base_offset(entry.base_offset)
        .with_log_append_time_ms(entry.log_append_time)
        .with_log_start_offset(if version >= 5 { entry.log_start_offset } else { -1 })
}

/// What an independent decoder is to make of a topic that has only entries of ours.
pub(super) fn expected_topic(version: i16, topic: &OwnedTopic, entries: &[AnswerEntry]) -> TopicProduceResponse {
    let partitions =
        entries.iter().filter(|entry| entry.topic == *topic).map(|entry| expected_partition(version, entry)).collect();
    let theirs = TopicProduceResponse::default().with_partition_responses(partitions);
    match topic {
        OwnedTopic::Name(name) => theirs.with_name(TopicName(text(std::str::from_utf8(name).unwrap()))),
        OwnedTopic::Id(id) => theirs.with_topic_id(id.0.to_vec().try_into().unwrap()),
    }
}

/// The topics of the entries, each once, in the order in which they first appear.
pub(super) fn distinct_topics(entries: &[AnswerEntry]) -> Vec<OwnedTopic> {
    let mut topics: Vec<OwnedTopic> = Vec::new();
    for entry in entries {
        if !topics.contains(&entry.topic) {
            topics.push(entry.topic.clone());
        }
    }
    topics
}

proptest! {
    #[test]
    fn requests_of_an_independent_encoder_are_walked(request in requests(), version in 3_i16..=13) {
        let frame = request.frame(version);
        let head = RequestHead::parse(&frame[4..]).unwrap();
        prop_assert_eq!(head.prefix.correlation_id, request.correlation_id);
        prop_assert_eq!(head.client_id, request.client_id.as_deref().map(str::as_bytes));
        let ours = ProduceRequest::parse(version, head.body).unwrap();
        prop_assert_eq!((ours.acks, ours.timeout_ms), (request.acks, request.timeout_ms));
        prop_assert_eq!(ours.transactional_id, request.transactional_id.as_deref().map(str::as_bytes));
        let mut entries = ours.entries();
        for topic in &request.topics {
            for (index, records, _) in &topic.partitions {
                let entry = entries.next().unwrap();
                prop_assert_eq!((entry.topic, entry.partition), (named(version, topic), *index));
                prop_assert_eq!(entry.records.len, records.as_ref().map(|records| records.len() as u32));
                let bytes = records.as_deref().unwrap_or_default();
                prop_assert_eq!(entry.records.head, &bytes[..bytes.len().min(61)]);
            }
        }
        prop_assert_eq!(entries.next(), None);
        prop_assert_eq!(ours.partitions, request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>());
    }

    #[test]
    fn responses_of_an_independent_encoder_are_read(response in responses(), version in 3_i16..=13) {
        let frame = response.frame(version);
        let ours = ProduceResponse::parse(version, &frame[4..]).unwrap();
        prop_assert_eq!(ours.correlation_id, response.correlation_id);
        let mut entries = ours.entries();
        for topic in &response.topics {
            for partition in &topic.partitions {
                let expected = ResponseEntry {
                    topic: named(version, topic),
                    partition: partition.index,
                    error: partition.error_code,
                    base_offset: partition.base_offset,
                    log_append_time: partition.log_append_time_ms,
                    log_start_offset: (version >= 5).then_some(partition.log_start_offset),
                };
                prop_assert_eq!(entries.next(), Some(expected));
            }
        }
        prop_assert_eq!(entries.next(), None);
    }

    #[test]
    fn answers_are_read_by_an_independent_decoder(
        entries in answers(), version in 3_i16..=13, correlation_id: i32
    ) {
        let entries = answers_in(version, &entries);
        let frame = answer(version, correlation_id, &entries);
        let (echoed, theirs) = decode_response(version, &frame);
        prop_assert_eq!(echoed, correlation_id);
        let topics =
            distinct_topics(&entries).iter().map(|topic| expected_topic(version, topic, &entries)).collect();
        prop_assert_eq!(theirs, Response::default().with_responses(topics));
    }
}
