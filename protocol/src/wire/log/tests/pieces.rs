use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::frame::LENGTH_BYTES;

/// Batches as a log has them: how far each begins behind the one before, its last offset delta and its payload.
fn logs() -> impl Strategy<Value = Vec<(i64, i32, usize)>> {
    vec((0_i64..3, 0_i32..4, 0_usize..150), 0..12)
}

/// The bytes of a log's batches, and where the first begins of which the last record is not below `high_watermark`.
fn records_of(log: &[(i64, i32, usize)], high_watermark: i64) -> (Vec<u8>, Vec<i64>, Option<i64>) {
    let (mut bytes, mut below, mut next, mut end) = (Vec::new(), Vec::new(), None, 0);
    for &(gap, delta, payload) in log {
        let base = end + gap;
        bytes.extend(batch(base, delta, payload));
        end = base + i64::from(delta) + 1;
        if end <= high_watermark {
            below.push(base);
            next = Some(end);
        }
    }
    (bytes, below, next)
}

/// Cuts bytes where the indices say.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces.push(&bytes[from..]);
    pieces
}

proptest! {
    #[test]
    fn what_a_log_has_below_the_high_watermark_is_read(
        log in logs(), high_watermark in 0_i64..40, last in 0_usize..100, places in vec(any::<prop::sample::Index>(), 0..9)
    ) {
        let (mut records, below, next_offset) = records_of(&log, high_watermark);
        // Behind them, a part of one more, which is cut off.
        records.extend(&batch(90, 0, 100)[..last]);
        for topic in [NAMED, BY_ID] {
            let mut response = adorned(topic, Some(records.clone()));
            response.responses[0].partitions[0].high_watermark = high_watermark;
            let bytes = encode(topic, &response);
            let (batches, outcome) = read(topic, cut(&bytes, &places));
            prop_assert_eq!(&batches, &below);
            let batches = below.len() as u32;
            let expected =
                FetchOutcome { failed: false, error: 0, high_watermark, log_start_offset: 5, next_offset, batches };
            prop_assert_eq!(outcome, expected);
        }
    }

    #[test]
    fn damaged_answers_are_read_alike_in_all_pieces(
        log in logs(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        places in vec(any::<prop::sample::Index>(), 0..9)
    ) {
        for topic in [NAMED, BY_ID] {
            let mut bytes = encode(topic, &adorned(topic, Some(records_of(&log, 0).0)));
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let whole = read(topic, [&bytes[..]]);
            prop_assert_eq!(&read(topic, cut(&bytes, &places)), &whole);
            prop_assert_eq!(&read(topic, bytes.chunks(1)), &whole);
        }
    }

    #[test]
    fn no_bytes_make_a_reading_panic(bytes in vec(prop_oneof![0_u8..4, any::<u8>()], 0..200)) {
        for topic in [NAMED, BY_ID] {
            prop_assert_eq!(read(topic, [&bytes[..]]), read(topic, bytes.chunks(1)));
        }
        let _ = listed_offset(CORRELATION_ID, b"orders", PARTITION, &bytes);
    }

    #[test]
    fn no_bytes_behind_an_answers_head_make_a_reading_panic(
        records in vec(prop_oneof![0_u8..4, any::<u8>()], 0..200), length in prop_oneof![-3_i32..300, any::<i32>()]
    ) {
        let good = encode(NAMED, &answered(NAMED, None));
        let mut bytes = good[..good.len() - LENGTH_BYTES].to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(records);
        prop_assert_eq!(read(NAMED, [&bytes[..]]), read(NAMED, bytes.chunks(1)));
    }
}
