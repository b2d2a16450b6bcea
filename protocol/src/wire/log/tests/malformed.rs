use super::*;
use crate::wire::samples::hex;

/// Checks that an answer's reading ends with a failure behind `batches`, in whatever pieces it comes.
fn check(topic: TopicRef<'_>, bytes: &[u8], batches: &[i64]) {
    let whole = read(topic, [bytes]);
    assert_eq!((&whole.0[..], whole.1.failed), (batches, true));
    assert_eq!(read(topic, bytes.chunks(1)), whole, "byte by byte");
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(read(topic, [head, tail]), whole, "cut at {cut}");
    }
}

/// Likewise, of an answer with one good batch ahead of these records.
fn check_records(records: &[u8]) {
    let records = [&batch(10, 1, 20)[..], records].concat();
    for topic in [NAMED, BY_ID] {
        check(topic, &encode(topic, &answered(topic, Some(records.clone()))), &[10]);
    }
}

#[test]
fn a_batch_of_another_magic_ends_the_reading() {
    let mut other = batch(12, 0, 20);
    for magic in [0, 1, 3, 0xff] {
        other[16] = magic;
        check_records(&other);
        // Messages of old formats may be shorter than a header of this one.
        check_records(&other[..40]);
        check_records(&other[..17]);
    }
}

#[test]
fn a_batch_that_ends_in_its_header_ends_the_reading() {
    let mut short = batch(12, 0, 20);
    for length in [48_i32, 0, -1, i32::MIN] {
        short[8..12].copy_from_slice(&length.to_be_bytes());
        check_records(&short);
        check_records(&short[..60]);
        check_records(&short[..12]);
    }
}

#[test]
fn a_batch_that_ends_ahead_of_its_begin_ends_the_reading() {
    check_records(&batch(12, -1, 20));
    check_records(&batch(12, i32::MIN, 20));
}

#[test]
fn offsets_that_do_not_increase_end_the_reading() {
    check_records(&batch(11, 0, 20));
    check_records(&batch(10, 0, 20));
    check_records(&batch(0, 0, 20));
    check_records(&batch(-1, 0, 20));
    check(NAMED, &encode(NAMED, &answered(NAMED, Some(batch(-1, 0, 20)))), &[]);
}

#[test]
fn an_offset_that_no_number_has_ends_the_reading() {
    check_records(&batch(i64::MAX, 1, 20));
}

#[test]
fn an_answer_about_something_else_is_none() {
    for topic in [NAMED, BY_ID] {
        let fail = |response: &FetchResponse| check(topic, &encode(topic, response), &[]);
        let good = answered(topic, Some(batch(10, 0, 20)));

        let mut other_partition = good.clone();
        other_partition.responses[0].partitions[0].partition_index += 1;
        fail(&other_partition);

        let mut other_topic = good.clone();
        other_topic.responses[0].topic = TopicName(StrBytes::from_static_str("order"));
        other_topic.responses[0].topic_id = vec![8; 16].try_into().unwrap();
        if topic == NAMED {
            other_topic.responses[0].topic_id = Default::default();
        } else {
            other_topic.responses[0].topic = Default::default();
        }
        fail(&other_topic);

        let mut two_partitions = good.clone();
        two_partitions.responses[0].partitions.extend(good.responses[0].partitions.clone());
        fail(&two_partitions);

        let mut two_topics = good.clone();
        two_topics.responses.extend(good.responses.clone());
        fail(&two_topics);

        let mut no_partition = good.clone();
        no_partition.responses[0].partitions.clear();
        fail(&no_partition);
        no_partition.responses.clear();
        fail(&no_partition);

        let mut other_request = encode(topic, &good);
        other_request[3] ^= 1;
        check(topic, &other_request, &[]);
    }
}

#[test]
fn lengths_and_counts_that_mean_nothing_end_the_reading() {
    // Up to the count of topics, of partitions, of aborted transactions, and the length of the records.
    let fields = [
        "0000004d 00000004 0000 00000000",
        "0006 6f7264657273",
        "00000003 0000 0000000000000064 000000000000005a 0000000000000005",
        "",
    ];
    let good = ["00000001", "00000001", "ffffffff", "00000000"];
    let answer = |counts: &[&str]| {
        let text: String = fields.iter().zip(counts).map(|(field, count)| format!("{field} {count} ")).collect();
        hex(&text)
    };
    assert!(!read(NAMED, [&answer(&good)[..]]).1.failed);
    for (place, wrong) in
        [(0, "ffffffff"), (0, "80000000"), (1, "ffffffff"), (1, "fffffffe"), (2, "fffffffe"), (3, "fffffffe")]
    {
        let mut counts = good;
        counts[place] = wrong;
        check(NAMED, &answer(&counts), &[]);
    }
    // A varint of more than 32 bits, in the header's tags.
    check(BY_ID, &hex("0000004d ffffffffff"), &[]);
}

#[test]
fn a_head_that_is_too_large_is_not_gathered() {
    let aborted = |count: usize| {
        let mut response = answered(NAMED, None);
        response.responses[0].partitions[0].aborted_transactions = Some(vec![AbortedTransaction::default(); count]);
        encode(NAMED, &response)
    };
    assert!(!read(NAMED, [&aborted(59)[..]]).1.failed);
    check(NAMED, &aborted(61), &[]);
    // However large it says that it is, no more is waited for than that.
    let mut reader = FetchReader::new(version_of(NAMED), CORRELATION_ID, NAMED.into(), PARTITION);
    let mut endless = aborted(0);
    let count_at = endless.len() - 8;
    endless[count_at..count_at + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    endless.resize(4096, 0);
    for byte in endless.chunks(1) {
        reader.feed(byte, &mut |_| panic!("there is no batch"));
        assert!(reader.bytes_held() <= 2048);
    }
    assert!(reader.failed());
}
