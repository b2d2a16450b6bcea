use super::*;
use crate::sequencing::Sequence;
use crate::wire::samples::{GOLDEN_BATCH, hex};

fn golden() -> Vec<u8> {
    hex(GOLDEN_BATCH)
}

fn records(bytes: &[u8]) -> Records<'_> {
    Records { len: Some(bytes.len() as u32), head: &bytes[..bytes.len().min(BATCH_HEADER_BYTES)] }
}

/// The golden batch with `bytes` written at `at`, and what is wrong with it.
fn problem(at: usize, bytes: &[u8]) -> BatchProblem {
    let mut batch = golden();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    records(&batch).batch().expect_err("the change is a problem")
}

#[test]
fn a_header_is_read_by_field() {
    let batch = golden();
    let view = records(&batch).batch().unwrap();
    assert_eq!(view.base_offset(), 0);
    assert_eq!(view.batch_length(), 67);
    assert_eq!(view.crc(), 0x614e_2118);
    assert_eq!(view.crc(), crc32c::crc32c(&batch[21..]));
    assert_eq!(view.attributes(), 0);
    assert!(!view.is_transactional() && !view.is_control());
    assert_eq!(view.last_offset_delta(), 1);
    assert_eq!((view.base_timestamp(), view.max_timestamp()), (1000, 1000));
    assert_eq!((view.producer_id().get(), view.epoch().get(), view.base_sequence()), (7, 0, 5));
    assert_eq!(view.records_count(), 2);
    let range = view.range().unwrap();
    assert_eq!((range.first, range.last), (Sequence::new(5).unwrap(), Sequence::new(6).unwrap()));
}

#[test]
fn every_field_is_read_from_its_own_bytes() {
    let bytes: [u8; 61] = std::array::from_fn(|at| if at == 16 { 2 } else { at as u8 });
    let view = BatchView::new(&bytes).unwrap();
    assert_eq!(view.base_offset(), 0x0001_0203_0405_0607);
    assert_eq!(view.batch_length(), 0x0809_0a0b);
    assert_eq!(view.crc(), 0x1112_1314);
    assert_eq!(view.attributes(), 0x1516);
    assert_eq!(view.last_offset_delta(), 0x1718_191a);
    assert_eq!(view.base_timestamp(), 0x1b1c_1d1e_1f20_2122);
    assert_eq!(view.max_timestamp(), 0x2324_2526_2728_292a);
    assert_eq!(view.producer_id().get(), 0x2b2c_2d2e_2f30_3132);
    assert_eq!(view.epoch().get(), 0x3334);
    assert_eq!(view.base_sequence(), 0x3536_3738);
    assert_eq!(view.records_count(), 0x393a_3b3c);
}

#[test]
fn malformed_batches_are_told_apart() {
    assert_eq!(problem(16, &[1]), BatchProblem::Magic { magic: 1 });
    assert_eq!(problem(8, &[0, 0, 0, 66]), BatchProblem::Length { batch_length: 66, records_bytes: 79 });
    assert_eq!(problem(8, &[0xff; 4]), BatchProblem::Length { batch_length: -1, records_bytes: 79 });
    assert_eq!(
        problem(8, &[0x7f, 0xff, 0xff, 0xff]),
        BatchProblem::Length { batch_length: i32::MAX, records_bytes: 79 }
    );
    assert_eq!(problem(21, &[0, 0x20]), BatchProblem::Control);
    assert_eq!(problem(57, &[0, 0, 0, 3]), BatchProblem::Count { count: 3, last_offset_delta: 1 });
    assert_eq!(problem(57, &[0; 4]), BatchProblem::Count { count: 0, last_offset_delta: 1 });
    assert_eq!(problem(57, &[0x80, 0, 0, 0]), BatchProblem::Count { count: i32::MIN, last_offset_delta: 1 });
    assert_eq!(problem(7, &[1]), BatchProblem::BaseOffset { base_offset: 1 });
    assert_eq!(problem(53, &[0xff; 4]), BatchProblem::NegativeSequence { base_sequence: -1 });
    assert_eq!(problem(51, &[0xff; 2]), BatchProblem::NegativeEpoch { epoch: -1 });
}

#[test]
fn records_that_are_no_batch_are_told_apart() {
    assert_eq!(Records { len: None, head: &[] }.batch(), Err(BatchProblem::Null));
    assert_eq!(records(&[]).batch(), Err(BatchProblem::Empty));
    for cut in 1..BATCH_HEADER_BYTES {
        assert_eq!(records(&golden()[..cut]).batch(), Err(BatchProblem::Truncated { bytes: cut }));
        assert_eq!(records(&golden()[..cut]).view(), None);
    }
    let two = [golden(), golden()].concat();
    assert_eq!(records(&two).batch(), Err(BatchProblem::Length { batch_length: 67, records_bytes: 158 }));
    let cut = &golden()[..70];
    assert_eq!(records(cut).batch(), Err(BatchProblem::Length { batch_length: 67, records_bytes: 70 }));
}

#[test]
fn ranges_of_malformed_batches_stay_readable() {
    let two = [golden(), golden()].concat();
    let view = records(&two).view().unwrap();
    assert_eq!(view.range().unwrap().first.get(), 5);
    let mut control = golden();
    control[22] = 0x20;
    assert!(records(&control).view().unwrap().is_control());
}

#[test]
fn a_batch_without_a_producer_has_no_range() {
    let mut batch = golden();
    batch[43..57].fill(0xff);
    let view = records(&batch).batch().unwrap();
    assert!(!view.producer_id().is_idempotent());
    assert_eq!(view.range(), None);
}

#[test]
fn a_transactional_batch_is_well_formed() {
    let mut batch = golden();
    batch[22] = 0x10;
    assert!(records(&batch).batch().unwrap().is_transactional());
}
