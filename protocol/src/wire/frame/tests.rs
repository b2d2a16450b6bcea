use proptest::prelude::*;

use super::*;

const LIMIT: u32 = 1000;

/// What a reader makes of a stream: whole frames, and those that went through in runs, put together again.
#[derive(Debug, Default, PartialEq)]
struct Split {
    gathered: Vec<Vec<u8>>,
    passed: Vec<Vec<u8>>,
    announced: Vec<(u32, [u8; 8])>,
}

/// Feeds `reads` as they come; frames whose first byte is odd are passed, others gathered.
fn split(reads: &[&[u8]]) -> Result<(Split, bool), FrameError> {
    let mut splitter = RequestSplitter::new(LIMIT);
    let mut buf = Vec::new();
    let mut seen = Split::default();
    let mut run_left = 0;
    for read in reads {
        buf.extend_from_slice(read);
        loop {
            match splitter.next(&buf)? {
                Piece::More(needed) => {
                    assert!(needed > buf.len(), "{needed} bytes are wanted of {}", buf.len());
                    break;
                }
                Piece::Begin { size, head } => {
                    assert_eq!(splitter.next(&buf), Ok(Piece::Begin { size, head }), "stays announced");
                    seen.announced.push((size, head));
                    if head[0] % 2 == 1 {
                        splitter.pass();
                        run_left = size as usize + LENGTH_BYTES;
                        seen.passed.push(Vec::new());
                    } else {
                        splitter.gather();
                    }
                }
                Piece::Run(bytes) => {
                    assert!(bytes > 0 && bytes <= run_left && bytes <= buf.len());
                    run_left -= bytes;
                    seen.passed.last_mut().unwrap().extend(buf.drain(..bytes));
                }
                Piece::Frame(bytes) => seen.gathered.push(buf.drain(..bytes).collect()),
            }
        }
    }
    Ok((seen, splitter.mid_frame() || !buf.is_empty()))
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

fn three_frames() -> Vec<u8> {
    [frame(&[0; 8]), frame(&[1; 30]), frame(&[2; 17])].concat()
}

#[test]
fn frame_split_across_reads_every_boundary() {
    let stream = three_frames();
    let (whole, cut) = split(&[&stream]).unwrap();
    assert!(!cut);
    assert_eq!(whole.gathered, [frame(&[0; 8]), frame(&[2; 17])]);
    assert_eq!(whole.passed, [frame(&[1; 30])]);
    for first in 0..=stream.len() {
        let (head, rest) = stream.split_at(first);
        assert_eq!(split(&[head, rest]), Ok((split(&[&stream]).unwrap().0, false)), "cut at {first}");
        for second in 0..=rest.len() {
            let (middle, tail) = rest.split_at(second);
            assert_eq!(split(&[head, middle, tail]).unwrap().0, whole, "cut at {first} and {second} more");
        }
    }
}

#[test]
fn many_frames_in_one_read() {
    let stream: Vec<u8> = (0..500_usize).flat_map(|n| frame(&vec![(n % 256) as u8; 8 + n % 40])).collect();
    let (seen, cut) = split(&[&stream]).unwrap();
    assert!(!cut);
    assert_eq!(seen.announced.len(), 500);
    assert_eq!(seen.gathered.len(), 250);
    assert_eq!(seen.passed.len(), 250);
    assert!(seen.passed.iter().enumerate().all(|(n, passed)| passed.len() == 4 + 8 + (2 * n + 1) % 40));
}

#[test]
fn negative_and_oversized_length_close() {
    let next = |bytes: [u8; 4]| RequestSplitter::new(LIMIT).next(&bytes);
    assert_eq!(next([0xff; 4]), Err(FrameError::Negative { size: -1 }));
    assert_eq!(next([0x80, 0, 0, 0]), Err(FrameError::Negative { size: i32::MIN }));
    assert_eq!(next([0x7f, 0xff, 0xff, 0xff]), Err(FrameError::TooLarge { size: 0x7fff_ffff, limit: LIMIT }));
    assert_eq!(next(1001_u32.to_be_bytes()), Err(FrameError::TooLarge { size: 1001, limit: LIMIT }));
    assert_eq!(next(1000_u32.to_be_bytes()), Ok(Piece::More(12)));
    assert_eq!(next([0; 4]), Err(FrameError::TooShort { size: 0, min: 8 }));
    assert_eq!(next([0, 0, 0, 7]), Err(FrameError::TooShort { size: 7, min: 8 }));
    assert_eq!(ResponseSplitter::new(LIMIT).next(&[0, 0, 0, 4]), Ok(Piece::More(8)));
    let text = FrameError::TooLarge { size: 1001, limit: LIMIT }.to_string();
    assert_eq!(text, "frame of 1001 bytes exceeds the limit of 1000");
}

#[test]
fn an_error_stays_one() {
    let mut splitter = RequestSplitter::new(LIMIT);
    assert!(splitter.next(&[0xff; 4]).is_err());
    assert!(splitter.next(&[0xff; 4]).is_err());
}

#[test]
fn a_stream_that_ends_between_frames_is_not_cut() {
    let stream = three_frames();
    let boundaries = [0, 12, 46, stream.len()];
    for end in 0..=stream.len() {
        assert_eq!(split(&[&stream[..end]]).unwrap().1, !boundaries.contains(&end), "ends at {end}");
    }
}

#[test]
fn what_goes_past_the_buffer_is_not_waited_for() {
    let mut splitter = RequestSplitter::new(LIMIT);
    let frame = frame(&[7; 100]);
    assert_eq!((splitter.next(&frame[..20]), splitter.left()), (Ok(Piece::Begin { size: 100, head: [7; 8] }), 0));
    splitter.pass();
    assert_eq!((splitter.next(&frame[..20]), splitter.left()), (Ok(Piece::Run(20)), 84));
    splitter.skip(50);
    splitter.skip(33);
    assert_eq!((splitter.left(), splitter.mid_frame()), (1, true));
    assert_eq!(splitter.next(&[7, 0, 0]), Ok(Piece::Run(1)));
    assert_eq!((splitter.left(), splitter.mid_frame()), (0, false));
    assert_eq!(splitter.next(&[0, 0]), Ok(Piece::More(4)));
}

#[test]
fn the_largest_frame_passes_in_runs() {
    let mut splitter = ResponseSplitter::new(u32::MAX);
    let first = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1];
    assert_eq!(splitter.next(&first), Ok(Piece::Begin { size: 0x7fff_ffff, head: [0, 0, 0, 1] }));
    splitter.pass();
    assert_eq!(splitter.next(&first), Ok(Piece::Run(8)));
    assert_eq!(splitter.next(&[]), Ok(Piece::More(1)));
    assert!(splitter.mid_frame());
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_frames(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 8..60), 0..6),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        ends.extend([0, stream.len()]);
        ends.sort_unstable();
        let reads: Vec<&[u8]> = ends.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
        let (seen, cut) = split(&reads).unwrap();
        prop_assert!(!cut);
        prop_assert_eq!(&seen, &split(&[&stream]).unwrap().0);
        let passed = bodies.iter().filter(|body| body[0] % 2 == 1).map(|body| frame(body));
        prop_assert!(seen.passed.iter().cloned().eq(passed));
        let gathered = bodies.iter().filter(|body| body[0] % 2 == 0).map(|body| frame(body));
        prop_assert!(seen.gathered.iter().cloned().eq(gathered));
    }

    #[test]
    fn no_bytes_make_a_splitter_panic(reads in proptest::collection::vec(proptest::collection::vec(0_u8..20, 0..30), 0..8)) {
        let reads: Vec<&[u8]> = reads.iter().map(Vec::as_slice).collect();
        let _ = split(&reads);
    }
}
