//! Which ranges stay, and in which order.

use proptest::prelude::*;

use super::*;

const FREE: Growth = Growth { slots: true, append_times: true };
const NONE: Growth = Growth { slots: false, append_times: false };

fn acked(base: i32, delta: i32, base_offset: i64) -> Acked {
    Acked {
        range: SequenceRange::from_wire(base, delta).unwrap(),
        base_offset,
        fingerprint: Fingerprint { crc: 1, length: 100, codec: 0, stored: false },
        proof: true,
        leader_only: false,
        older: false,
        append_time: -1,
    }
}

#[test]
fn the_oldest_range_makes_room() {
    let mut window = Window::default();
    for n in 0..8 {
        window.insert(acked(n, 0, i64::from(n)), 5, FREE);
    }
    assert!(window.find(SequenceRange::from_wire(2, 0).unwrap()).is_none());
    assert_eq!(window.find(SequenceRange::from_wire(3, 0).unwrap()).unwrap().base_offset, 3);
    assert_eq!(window.expected(), Sequence::new(8));
}

#[test]
fn a_late_answer_takes_its_place_and_does_not_rewind() {
    let mut window = Window::default();
    window.insert(acked(5, 4, 105), 5, FREE);
    window.insert(acked(0, 4, 100), 5, FREE);
    assert_eq!(window.expected(), Sequence::new(10));
    assert_eq!(window.iter().map(|a| a.base_offset).collect::<Vec<_>>(), [100, 105]);
    window.insert(acked(20, 0, 120), 5, FREE);
    window.insert(acked(10, 4, 110), 5, FREE);
    assert_eq!(window.iter().map(|a| a.base_offset).collect::<Vec<_>>(), [100, 105, 110, 120]);
}

#[test]
fn a_full_window_takes_nothing_older_than_its_oldest() {
    let mut window = Window::default();
    for n in 10..15 {
        window.insert(acked(n, 0, i64::from(n)), 5, FREE);
    }
    window.insert(acked(3, 0, 3), 5, FREE);
    assert!(window.find(SequenceRange::from_wire(3, 0).unwrap()).is_none());
    assert!(window.find(SequenceRange::from_wire(10, 0).unwrap()).is_some());
}

#[test]
fn append_times_stay_with_their_ranges() {
    let mut window = Window::default();
    window.insert(acked(0, 0, 0), 5, FREE);
    window.insert(Acked { append_time: 77, ..acked(2, 0, 2) }, 5, FREE);
    window.insert(acked(1, 0, 1), 5, FREE);
    let times: Vec<i64> = window.iter().map(|a| a.append_time).collect();
    assert_eq!(times, [-1, -1, 77]);
    for n in 3..7 {
        window.insert(acked(n, 0, i64::from(n)), 5, FREE);
    }
    assert_eq!(window.find(SequenceRange::from_wire(2, 0).unwrap()).unwrap().append_time, 77);
}

#[test]
fn a_slot_takes_24_bytes() {
    assert_eq!(size_of::<Slot>(), 24);
}

#[test]
fn what_stands_in_a_log_is_what_was_sent_unless_its_topic_has_changed_nothing() {
    let sent = Fingerprint { crc: 1, length: 100, codec: 0, stored: false };
    let stored = |crc, length, codec| Fingerprint { crc, length, codec, stored: true };
    let cases = [
        (stored(1, 100, 0), false, true),
        (stored(2, 100, 0), false, false),
        (stored(2, 100, 0), true, true),
        (stored(2, 101, 0), true, false),
        (stored(2, 70, 4), false, true),
        (Fingerprint { stored: false, ..stored(2, 70, 4) }, false, false),
    ];
    for (other, stamped, is_same) in cases {
        assert_eq!(sent.is_of_same(other, stamped), is_same, "{other:?} {stamped}");
        assert_eq!(other.is_of_same(sent, stamped), is_same, "{other:?} {stamped}");
    }
}

#[test]
fn a_slot_keeps_what_it_is_compared_by() {
    let fingerprint = Fingerprint { crc: 7, length: LENGTH_MAX, codec: 4, stored: true };
    let mut window = Window::default();
    let one = Acked { fingerprint, leader_only: true, proof: true, ..acked(0, 0, 0) };
    window.insert(one, 5, FREE);
    assert_eq!(window.newest(), Some(one));
    window.begin_generation();
    assert_eq!(window.newest(), Some(Acked { older: true, ..one }));
    window.renew(one.range);
    window.end_proofs();
    assert_eq!(window.newest(), Some(Acked { proof: false, ..one }));
}

#[test]
fn the_proofs_of_all_ranges_end_and_nothing_else_of_them() {
    let mut window = Window::default();
    (0..4).for_each(|n| _ = window.insert(acked(n, 0, i64::from(n)), 5, FREE));
    window.end_proofs();
    let ended: Vec<Acked> = (0..4).map(|n| Acked { proof: false, ..acked(n, 0, i64::from(n)) }).collect();
    assert_eq!(window.iter().collect::<Vec<_>>(), ended);
}

#[test]
fn a_slot_is_never_taken_for_an_absent_one() {
    let longest = Fingerprint { crc: 1, length: u32::MAX, codec: 7, stored: true };
    let mut window = Window::default();
    window.insert(Acked { fingerprint: longest, leader_only: true, older: true, ..acked(0, 0, 0) }, 5, FREE);
    assert_eq!(window.newest().map(|a| a.fingerprint.length), Some(LENGTH - 1));
}

#[test]
fn a_window_doubles_until_it_is_as_large_as_it_may_be() {
    let mut window = Window::default();
    let mut sizes = Vec::new();
    for n in 0..40 {
        window.insert(acked(n, 0, i64::from(n)), 32, FREE);
        sizes.push(window.bytes());
    }
    sizes.dedup();
    let of_more = [8, 16, 31].map(|slots| allocated(slots * size_of::<Slot>()));
    assert_eq!(sizes, [&[0][..], &of_more].concat());
}

#[test]
fn append_times_are_counted() {
    let mut window = Window::default();
    for n in 0..40 {
        window.insert(Acked { append_time: 77, ..acked(n, 0, i64::from(n)) }, 32, FREE);
    }
    let times = window.bytes() - allocated(31 * size_of::<Slot>());
    assert!((32 * 8 + 32..2 * 32 * 8 + 2 * 32).contains(&times), "{times}");
}

#[test]
fn a_window_that_may_not_grow_remembers_five() {
    let mut window = Window::default();
    for n in 0..8 {
        window.insert(acked(n, 0, i64::from(n)), 32, NONE);
    }
    assert_eq!(window.iter().map(|a| a.base_offset).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    assert_eq!(window.bytes(), 0);
    // One that has grown keeps what it has.
    for n in 8..20 {
        window.insert(acked(n, 0, i64::from(n)), 32, FREE);
    }
    let grown = window.bytes();
    for n in 20..40 {
        window.insert(acked(n, 0, i64::from(n)), 32, NONE);
    }
    assert_eq!((window.iter().count(), window.bytes()), (17, grown));
    window.clear();
    assert_eq!(window.bytes(), 0);
}

#[test]
fn a_range_without_room_for_its_append_time_is_no_proof() {
    let mut window = Window::default();
    window.insert(Acked { append_time: 77, ..acked(0, 0, 0) }, 5, NONE);
    window.insert(acked(1, 0, 1), 5, NONE);
    assert_eq!(window.iter().map(|a| a.proof).collect::<Vec<_>>(), [false, true]);
    assert_eq!(window.bytes(), 0);
}

/// A batch that was split, after its broker had forgotten its producer.
#[test]
fn ranges_that_share_sequences_are_all_found() {
    let mut window = Window::default();
    let ranges = [(0, 2), (0, 0), (3, 0), (1, 9), (4, 1), (11, 0)].map(|(base, delta)| acked(base, delta, base.into()));
    for known in ranges {
        window.insert(known, 8, FREE);
        assert!(window.find(known.range).is_some());
    }
    assert!(ranges.iter().all(|known| window.find(known.range).is_some()));
    assert!(window.overlaps(SequenceRange::from_wire(10, 0).unwrap()));
    assert!(!window.overlaps(SequenceRange::from_wire(12, 0).unwrap()));
}

/// Of the ring: what is as far from each other, or farther, does not come one after the other.
const HALF: u32 = 1 << 30;

/// As a window remembers ranges, in the plainest way: every one of them is looked at each time.
#[derive(Default)]
struct Plain(Vec<(SequenceRange, i64)>);

impl Plain {
    fn insert(&mut self, range: SequenceRange, base_offset: i64, slots_max: usize) {
        if let Some(same) = self.0.iter_mut().find(|known| known.0 == range) {
            same.1 = base_offset;
            return;
        }
        let precedes = |known: &(SequenceRange, i64)| range.first.is_after(known.0.first);
        let mut at = match self.0.last() {
            Some(newest) if !precedes(newest) => {
                if newest.0.last.distance_from(range.first) >= HALF {
                    return;
                }
                self.0.iter().rposition(precedes).map_or(0, |at| at + 1)
            }
            _ => self.0.len(),
        };
        if at == self.0.len() && self.0.first().is_some_and(|oldest| range.last.distance_from(oldest.0.first) >= HALF) {
            self.0.clear();
            at = 0;
        }
        if self.0.len() == slots_max {
            if at == 0 {
                return;
            }
            self.0.remove(0);
            at -= 1;
        }
        self.0.insert(at, (range, base_offset));
    }
}

proptest! {
    /// On a few places of the ring, its end among them, so that ranges meet.
    #[test]
    fn a_window_is_what_the_plainest_way_comes_to(
        steps in prop::collection::vec((0_u32..12, 0_i32..30, 0_i32..12, 0_i32..40), 0..80),
        slots_max in 5_usize..9,
    ) {
        let mut next = Sequence::ZERO;
        let range_of = |(part, base, delta, long): (u32, i32, i32, i32), next: Sequence| {
            let of_part = (i32::MAX / 5).wrapping_mul(part.cast_signed()).wrapping_add(base) & i32::MAX;
            // Most follow the newest, as they do in an epoch's life, and some go a good part around the ring.
            let first = if part < 5 { Sequence::new(of_part).expect("not negative") } else { next };
            let far = if long < 4 { i32::MAX / 4 * long } else { 0 };
            SequenceRange { first, last: first.advance((far + delta).cast_unsigned()) }
        };
        let (mut window, mut plain) = (Window::default(), Plain::default());
        for (n, step) in steps.into_iter().enumerate() {
            let range = range_of(step, next);
            let known: Vec<SequenceRange> = plain.0.iter().map(|known| known.0).collect();
            prop_assert_eq!(window.find(range).is_some(), known.contains(&range));
            prop_assert_eq!(window.overlaps(range), known.iter().any(|other| other.overlaps(range)));
            window.insert(Acked { range, ..acked(0, 0, n as i64) }, slots_max, FREE);
            plain.insert(range, n as i64, slots_max);
            prop_assert!(window.iter().map(|acked| (acked.range, acked.base_offset)).eq(plain.0.iter().copied()));
            prop_assert_eq!(window.expected(), plain.0.last().map(|newest| newest.0.end()));
            next = window.expected().unwrap_or(next);
        }
    }
}
