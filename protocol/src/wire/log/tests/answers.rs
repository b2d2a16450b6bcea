use super::*;

/// Checks what is read of an answer whole, byte by byte, cut in two anywhere, cut off, and with a byte too many.
fn check(topic: TopicRef<'_>, response: &FetchResponse, batches: &[i64], expected: FetchOutcome) {
    let bytes = encode(topic, response);
    let whole = (batches.to_vec(), expected);
    assert_eq!(read(topic, [&bytes[..]]), whole);
    assert_eq!(read(topic, bytes.chunks(1)), whole, "byte by byte");
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(read(topic, [head, tail]), whole, "cut at {cut}");
        let (beginning, outcome) = read(topic, [head]);
        assert!(outcome.failed, "ends after {cut} bytes");
        assert_eq!(beginning, batches[..beginning.len()]);
    }
    let failed = FetchOutcome { failed: true, ..expected };
    assert_eq!(read(topic, [&bytes[..], &[0]]), (batches.to_vec(), failed));
}

fn outcome(batches: u32, next_offset: Option<i64>) -> FetchOutcome {
    FetchOutcome { failed: false, error: 0, high_watermark: 100, log_start_offset: 5, next_offset, batches }
}

#[test]
fn whole_batches_are_handed_out() {
    let records = [batch(10, 0, 0), batch(11, 4, 200), batch(40, 2, 1)].concat();
    for topic in [NAMED, BY_ID] {
        for response in [answered(topic, Some(records.clone())), adorned(topic, Some(records.clone()))] {
            check(topic, &response, &[10, 11, 40], outcome(3, Some(43)));
        }
    }
}

/// The oldest version has neither sessions nor an error of the whole answer.
#[test]
fn the_oldest_version_is_read_as_well() {
    let response = answered(NAMED, Some([batch(10, 0, 0), batch(11, 4, 200)].concat()));
    let mut bytes = BytesMut::new();
    ResponseHeader::default().with_correlation_id(CORRELATION_ID).encode(&mut bytes, 0).unwrap();
    response.encode(&mut bytes, FetchVersion::Oldest.number()).unwrap();
    for piece in [1, 7, bytes.len()] {
        let mut reader = FetchReader::new(FetchVersion::Oldest, CORRELATION_ID, NAMED.into(), PARTITION);
        let mut batches = Vec::new();
        bytes.chunks(piece).for_each(|piece| reader.feed(piece, &mut |batch| batches.push(batch.base_offset())));
        assert_eq!((batches, reader.outcome()), (vec![10, 11], outcome(2, Some(16))));
    }
}

#[test]
fn an_answer_may_have_no_records() {
    for topic in [NAMED, BY_ID] {
        for records in [None, Some(Vec::new())] {
            check(topic, &answered(topic, records), &[], outcome(0, None));
        }
    }
}

#[test]
fn a_batch_that_is_cut_off_is_not_handed_out() {
    let last = batch(11, 0, 30);
    for topic in [NAMED, BY_ID] {
        for cut in 1..last.len() {
            let records = [&batch(10, 0, 5)[..], &last[..cut]].concat();
            check(topic, &answered(topic, Some(records)), &[10], outcome(1, Some(11)));
        }
    }
}

#[test]
fn fetch_rebuild_only_below_hw_creates_proofs() {
    // The last of them ends at the high watermark: its last record is not below.
    let records = [batch(97, 0, 5), batch(98, 1, 5), batch(100, 0, 5), batch(i64::MAX, 0, 5)].concat();
    check(NAMED, &answered(NAMED, Some(records)), &[97, 98], outcome(2, Some(100)));
    let records = [batch(97, 0, 5), batch(98, 2, 5)].concat();
    check(NAMED, &answered(NAMED, Some(records)), &[97], outcome(1, Some(98)));
}

#[test]
fn errors_of_partitions_and_of_whole_answers_are_told() {
    for topic in [NAMED, BY_ID] {
        let mut response = answered(topic, None);
        response.responses[0].partitions[0].error_code = 1;
        check(topic, &response, &[], FetchOutcome { error: 1, ..outcome(0, None) });
        response.error_code = 70;
        check(topic, &response, &[], FetchOutcome { error: 70, ..outcome(0, None) });
        response.responses.clear();
        let nothing = FetchOutcome { error: 70, high_watermark: -1, log_start_offset: -1, ..outcome(0, None) };
        check(topic, &response, &[], nothing);
        // Whatever stands beside an error is not what was asked for.
        let mut response = answered(topic, Some(batch(10, 0, 5)));
        response.responses[0].partitions[0].error_code = 1;
        check(topic, &response, &[], FetchOutcome { error: 1, ..outcome(0, None) });
    }
}

#[test]
fn an_answer_that_is_not_all_here_has_neither_failed_nor_finished() {
    let bytes = encode(NAMED, &answered(NAMED, Some(batch(10, 0, 5))));
    let mut reader = FetchReader::new(version_of(NAMED), CORRELATION_ID, NAMED.into(), PARTITION);
    let (head, tail) = bytes.split_at(20);
    reader.feed(head, &mut |_| panic!("its batch is not here"));
    assert!(!reader.failed() && !reader.finished());
    assert!(reader.bytes_held() >= head.len());
    reader.feed(tail, &mut |_| {});
    assert!(!reader.failed() && reader.finished());
    reader.feed(&[0], &mut |_| panic!("nothing follows"));
    assert!(reader.failed() && !reader.finished());
    assert_eq!(reader.bytes_held(), 0);
}
