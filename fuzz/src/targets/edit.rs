//! Leaving entries out of a request, putting them back into its answer, and replacing some of the answer's.

use std::collections::HashSet;

use seqgate_protocol::wire::head::RequestHead;
use seqgate_protocol::wire::produce::{
    AmendError, AnswerEntry, MergeError, OwnedTopic, ProduceRequest, amend, answer, merge, strip,
};

use super::Bytes;
use super::make::{Maker, damage};
use super::plain::{self, Message, Said, Sent, Topic};
use super::walks::their_response;

/// What is stripped and what is left make up the request, and putting the rest into the broker's answer gives an entry
/// for each partition asked for, everything else being as it came; so it is around entries that are replaced. Whatever
/// cannot be read is refused.
pub fn edit(data: &[u8]) {
    let mut input = Bytes(data);
    let (kind, mask) = (input.u8(), input.u8());
    let version = i16::from(kind % 14);
    if kind & 0x80 != 0 {
        let body = Maker { version, input: &mut input, out: Vec::new() }.request();
        return round_trip(version, &body, mask, &mut input);
    }
    if ProduceRequest::parse(version, input.0).is_ok() {
        check_strip(version, input.0, mask);
    }
    let topic = if version >= 13 { OwnedTopic::Id(topic_id(7)) } else { OwnedTopic::Name(b"t".as_slice().into()) };
    let ours = [entry(topic, i32::from(mask % 4), 0)];
    check_merge(version, input.0, &ours);
    check_amend(version, input.0, &ours);
}

/// A request, what is left of it, the broker's answer to that, and the client's answer.
fn round_trip(version: i16, body: &[u8], mask: u8, input: &mut Bytes<'_>) {
    let Ok(request) = ProduceRequest::parse(version, body) else { return };
    check_strip(version, body, mask);
    let mut seen = HashSet::new();
    let distinct: Vec<_> = request
        .entries()
        .map(|entry| (OwnedTopic::from(entry.topic), entry.partition))
        .filter(|place| seen.insert(place.clone()))
        .collect();
    let (sent, kept): (Vec<_>, Vec<_>) = distinct.into_iter().partition(|(topic, index)| keeps(mask, topic, *index));
    let kept: Vec<_> = kept.into_iter().map(|(topic, index)| entry(topic, index, input.u8().into())).collect();

    // One of ours, one as a broker may write it, and that one with damage.
    let plain = sent.iter().map(|(topic, index)| entry(topic.clone(), *index, 7)).collect::<Vec<_>>();
    check_round(version, &answer(version, 9, &plain), &kept, &seen);
    let mut broker = vec![0; 4];
    broker.extend(answer_of_a_broker(version, &sent, input));
    check_round(version, &broker, &kept, &seen);
    let undamaged = broker.clone();
    damage(&mut broker[4..], input);
    check_merge(version, &broker, &kept);

    // Some of what the broker says, and now and then something that it does not say, or twice the same.
    let mut ours: Vec<_> = sent.into_iter().filter(|(_, index)| mask >> (index % 3) & 1 == 1).collect();
    match input.u8() {
        0xff => ours.extend(ours.first().cloned()),
        0xfe => ours.extend(kept.first().map(|entry| (entry.topic.clone(), entry.partition))),
        _ => {}
    }
    let ours: Vec<_> = ours.into_iter().map(|(topic, index)| entry(topic, index, input.u8().into())).collect();
    check_amend(version, &undamaged, &ours);
    check_amend(version, &broker, &ours);
}

/// An answer to what was sent, with the rest put in, is one to all that was asked for.
fn check_round(version: i16, broker: &[u8], kept: &[AnswerEntry], asked: &HashSet<(OwnedTopic, i32)>) {
    let merged = check_merge(version, broker, kept);
    if plain::response(version, &broker[4..]).1.long {
        return;
    }
    let merged = merged.expect("an answer to what was sent can be added to");
    let (Ok((_, message)), _) = plain::response(version, &merged[4..]) else { panic!("it was read before") };
    let answered: Vec<_> = message.entries().map(|(topic, said)| (topic.clone(), said.index)).collect();
    assert_eq!(answered.len(), asked.len(), "an entry for each partition");
    assert_eq!(answered.into_iter().collect::<HashSet<_>>(), *asked);
}

/// Whether a partition's part stays in the request.
fn keeps(mask: u8, topic: &OwnedTopic, index: i32) -> bool {
    let of_topic = match topic {
        OwnedTopic::Name(name) => name.len(),
        OwnedTopic::Id(id) => usize::from(id.0[0]),
    };
    mask >> (of_topic.wrapping_add(index as usize) % 8) & 1 == 1
}

/// Topics in another order, with all that brokers add.
fn answer_of_a_broker(version: i16, sent: &[(OwnedTopic, i32)], input: &mut Bytes<'_>) -> Vec<u8> {
    let mut topics: Vec<(&OwnedTopic, Vec<i32>)> = Vec::new();
    for (topic, index) in sent.iter().rev() {
        match topics.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, indices)) => indices.push(*index),
            None => topics.push((topic, vec![*index])),
        }
    }
    let mut maker = Maker { version, input, out: Vec::new() };
    maker.header(9);
    maker.count(topics.len());
    for (topic, indices) in topics {
        match topic {
            OwnedTopic::Name(name) => maker.put_text(name),
            OwnedTopic::Id(id) => maker.out.extend(id.0),
        }
        maker.count(indices.len());
        for index in indices {
            maker.out.extend(index.to_be_bytes());
            let error = i16::from(maker.input.u8() % 101);
            maker.said(error, None);
        }
        maker.tags(false);
    }
    maker.end();
    maker.out
}

/// Makes a frame around a body that can be read, strips it, and holds every byte of what is left against it.
fn check_strip(version: i16, body: &[u8], mask: u8) {
    let (Ok((_, before)), _) = plain::request(version, body) else { panic!("it was read") };
    let mut frame = vec![0; 6];
    frame.extend(version.to_be_bytes());
    frame.extend([0, 0, 0, 9, 0, 2, b'i', 0xff]);
    if version >= 9 {
        frame.extend([1, 200, 1, 1, b'x']);
    }
    let body_at = frame.len();
    frame.extend(body);
    put_length(&mut frame);

    let keeps: Vec<bool> = before.entries().map(|(topic, sent)| keeps(mask, topic, sent.index)).collect();
    let stripped = strip(&frame, |at| keeps[at]).expect("a request that parses can be stripped");
    assert_eq!(stripped[..4], length_of(&stripped));
    assert_eq!(stripped[4..body_at], frame[4..body_at], "the header");
    let head = RequestHead::parse(&stripped[4..]).expect("the header is as it was");
    ProduceRequest::parse(version, head.body).expect("what is left parses");
    let (Ok((_, after)), _) = plain::request(version, head.body) else { panic!("what is left can be read") };
    assert_eq!((after.head, after.tail, after.left), (before.head, before.tail, 0));
    assert_eq!(after.topics, what_stays(&before, &keeps));
}

/// The topics without what is left out, and without those of which nothing stays.
fn what_stays<'a>(request: &Message<'a, Sent<'a>>, keeps: &[bool]) -> Vec<Topic<'a, Sent<'a>>> {
    let mut keeps = keeps.iter();
    let topics = request.topics.iter().filter_map(|topic| {
        let entries: Vec<_> = topic.entries.iter().filter(|_| keeps.next() == Some(&true)).copied().collect();
        let stays = !entries.is_empty() || topic.entries.is_empty();
        stays.then(|| Topic { topic: topic.topic.clone(), entries, tail: topic.tail })
    });
    topics.collect()
}

/// Adds to a response, given with its length, and holds every byte of what comes of it against it.
fn check_merge(version: i16, response: &[u8], kept: &[AnswerEntry]) -> Option<Vec<u8>> {
    let merged = merge(version, response, kept);
    let Some(behind_length) = response.get(4..) else {
        assert!(matches!(merged, Err(MergeError::Parse(_))), "{merged:?}");
        return None;
    };
    let (plain, odd) = plain::response(version, behind_length);
    let Some((_, before)) = plain.ok().filter(|(_, message)| message.left == 0 && !odd.long) else {
        assert!(merged.is_err(), "a response that cannot be read is added to");
        return None;
    };
    let topics: HashSet<_> = before.topics.iter().map(|topic| &topic.topic).collect();
    let is_twice = topics.len() < before.topics.len();
    let is_kept = before
        .entries()
        .any(|(topic, said)| kept.iter().any(|entry| entry.topic == *topic && entry.partition == said.index));
    if is_twice || is_kept {
        assert!(matches!(merged, Err(MergeError::TopicTwice | MergeError::Kept { .. })), "{merged:?}");
        return None;
    }
    let merged = merged.expect("nothing is against it");
    assert_eq!(merged[..4], length_of(&merged));
    let (Ok((_, after)), _) = plain::response(version, &merged[4..]) else { panic!("it can be read") };
    assert_eq!((after.head, after.tail, after.left), (before.head, before.tail, 0));
    check_topics(version, &before, &after, kept);
    let is_text = |entry: &AnswerEntry| match &entry.topic {
        OwnedTopic::Name(name) => std::str::from_utf8(name).is_ok(),
        OwnedTopic::Id(_) => true,
    };
    if version >= 3 && !odd.text && !odd.tag && kept.iter().all(is_text) {
        their_response(version, &merged[4..]).expect("an independent decoder reads it");
    }
    Some(merged)
}

fn check_topics(version: i16, before: &Message<'_, Said<'_>>, after: &Message<'_, Said<'_>>, kept: &[AnswerEntry]) {
    let (theirs, fresh) = after.topics.split_at(before.topics.len());
    let added_to = |topic: &OwnedTopic, added: &[Said<'_>]| {
        let wanted: Vec<_> = kept.iter().filter(|entry| entry.topic == *topic).map(|e| fields_of(version, e)).collect();
        assert_eq!(added.iter().map(fields).collect::<Vec<_>>(), wanted);
    };
    for (before, after) in before.topics.iter().zip(theirs) {
        let (same, added) = after.entries.split_at(before.entries.len());
        assert_eq!((&after.topic, same, after.tail), (&before.topic, &before.entries[..], before.tail));
        added_to(&after.topic, added);
    }
    let mut known: HashSet<_> = theirs.iter().map(|topic| &topic.topic).collect();
    for topic in fresh {
        assert!(known.insert(&topic.topic) && !topic.entries.is_empty(), "one entry for each topic");
        assert_eq!(topic.tail, if version >= 9 { &[0][..] } else { &[] });
        added_to(&topic.topic, &topic.entries);
    }
    assert!(kept.iter().all(|entry| known.contains(&entry.topic)), "nothing is left out");
}

/// Replaces entries of a response, given with its length, and holds every byte of what comes of it against it.
fn check_amend(version: i16, response: &[u8], ours: &[AnswerEntry]) {
    let amended = amend(version, response, ours);
    let Some(behind_length) = response.get(4..) else {
        assert!(matches!(amended, Err(AmendError::Parse(_))), "{amended:?}");
        return;
    };
    let (plain, odd) = plain::response(version, behind_length);
    let Some((_, before)) = plain.ok().filter(|(_, message)| message.left == 0 && !odd.long) else {
        assert!(amended.is_err(), "a response that cannot be read is amended");
        return;
    };
    let is_at = |entry: &AnswerEntry, topic: &OwnedTopic, index| entry.topic == *topic && entry.partition == index;
    let is_once = ours.iter().all(|entry| {
        let places = before.entries().filter(|(topic, said)| is_at(entry, topic, said.index)).count();
        places == 1 && ours.iter().filter(|other| is_at(other, &entry.topic, entry.partition)).count() == 1
    });
    if !is_once {
        assert!(matches!(amended, Err(AmendError::Missing { .. } | AmendError::Twice { .. })), "{amended:?}");
        return;
    }
    let amended = amended.expect("nothing is against it");
    assert_eq!(amended[..4], length_of(&amended));
    let (Ok((_, after)), after_odd) = plain::response(version, &amended[4..]) else { panic!("it can be read") };
    assert_eq!((after.head, after.tail, after.left), (before.head, before.tail, 0));
    let parts = |message: &Message<'_, Said<'_>>| -> Vec<_> {
        message.topics.iter().map(|topic| (topic.topic.clone(), topic.entries.len(), topic.tail.to_vec())).collect()
    };
    assert_eq!(parts(&after), parts(&before));
    for ((topic, before), (_, after)) in before.entries().zip(after.entries()) {
        match ours.iter().find(|entry| is_at(entry, topic, before.index)) {
            Some(entry) => {
                assert_eq!(fields(after), fields_of(version, entry));
                assert!(after.bytes.len() <= before.bytes.len(), "no other part of it is left");
            }
            None => assert_eq!(after, before),
        }
    }
    if version >= 3 && !after_odd.text && !after_odd.tag {
        their_response(version, &amended[4..]).expect("an independent decoder reads it");
    }
}

type Fields = (i32, i16, i64, i64, Option<i64>);

fn fields(said: &Said<'_>) -> Fields {
    (said.index, said.error, said.base_offset, said.log_append_time, said.log_start_offset)
}

fn fields_of(version: i16, entry: &AnswerEntry) -> Fields {
    let log_append_time = if version >= 2 { entry.log_append_time } else { -1 };
    let log_start_offset = (version >= 5).then_some(entry.log_start_offset);
    (entry.partition, entry.error, entry.base_offset, log_append_time, log_start_offset)
}

fn entry(topic: OwnedTopic, partition: i32, n: i16) -> AnswerEntry {
    AnswerEntry {
        topic,
        partition,
        error: n,
        base_offset: i64::from(n) << 40,
        log_append_time: i64::from(partition) + 5,
        log_start_offset: 3,
    }
}

fn topic_id(n: u8) -> seqgate_protocol::sequencing::TopicId {
    seqgate_protocol::sequencing::TopicId([n; 16])
}

fn length_of(frame: &[u8]) -> [u8; 4] {
    u32::try_from(frame.len() - 4).expect("a small frame").to_be_bytes()
}

fn put_length(frame: &mut [u8]) {
    let length = length_of(frame);
    frame[..4].copy_from_slice(&length);
}
