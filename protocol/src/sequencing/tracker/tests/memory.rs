//! What trackers may take in memory together, and what gives way first.

use std::collections::HashMap;

use super::*;
use crate::sequencing::attempts::Attempt;
use crate::sequencing::entry::Entry;
use crate::sequencing::topics::Topic;

const KIB: usize = 1024;

fn allowing(kib: usize) -> (Tracker, Arc<Allowance>) {
    let allowance = Arc::new(Allowance::new(kib * KIB));
    (sharing(&allowance), allowance)
}

fn sharing(allowance: &Arc<Allowance>) -> Tracker {
    Tracker::sharing(TrackerLimits::default(), Arc::default(), allowance)
}

/// Takes what is left of 96 KiB, so that there is no room for a name either.
fn rest_of(allowance: &Arc<Allowance>) -> Share {
    let mut rest = Share::new(allowance);
    rest.set(96 * KIB - allowance.taken());
    rest
}

/// Has a batch acknowledged; whether it was tracked.
fn acknowledge(tracker: &mut Tracker, producer: i64, base: i32, second: u64) -> bool {
    let now = after(second * 1000);
    let sent = tracker.look(T, 0, &batch(producer, 0, base, 1), &sender(), now);
    let Some(ticket) = sent.ticket else { return false };
    tracker.settle(ticket, ok(i64::from(base) * 1_000_000 + producer), now);
    true
}

#[test]
fn the_longest_idle_make_room_when_memory_is_short() {
    let (mut tracker, allowance) = allowing(256);
    for n in 0..10_000 {
        assert!(acknowledge(&mut tracker, n, 0, n.cast_unsigned()));
        assert!(allowance.taken() <= 256 * KIB, "{} after {n}", allowance.taken());
    }
    assert_eq!(allowance.taken(), tracker.bytes());
    assert!(tracker.producers() as usize * size_of::<Entry>() > 96 * KIB, "most of it is used");
    assert_eq!(tracker.evictions().limit, 10_000 - u64::from(tracker.producers()));
    let at_the_end = |tracker: &mut Tracker, n| tracker.look(T, 0, &batch(n, 0, 0, 1), &sender(), after(10_000_000));
    assert_eq!(at_the_end(&mut tracker, 9_999).rule, Rule::D12);
    assert_eq!(at_the_end(&mut tracker, 5).rule, Rule::D5);
}

#[test]
fn what_is_in_flight_is_never_evicted_for_memory() {
    let (mut tracker, allowance) = allowing(256);
    let mut tickets = Vec::new();
    let mut refused = 0;
    for n in 0..10_000 {
        match tracker.look(T, 0, &batch(n, 0, 0, 1), &sender(), NOW) {
            Observation { ticket: Some(ticket), .. } => tickets.push(ticket),
            Observation { rule, .. } => refused += u32::from(rule == Rule::T36),
        }
    }
    assert_eq!((tracker.evictions().limit, refused as usize), (0, 10_000 - tickets.len()));
    assert!(allowance.taken() <= 256 * KIB, "{}", allowance.taken());
    for (ticket, offset) in tickets.into_iter().zip(0..) {
        tracker.settle(ticket, ok(offset), NOW);
        assert!(allowance.taken() <= 256 * KIB, "{}", allowance.taken());
    }
    assert!(acknowledge(&mut tracker, 10_000, 0, 1), "there is room again");
}

#[test]
fn batches_in_flight_are_refused_where_there_is_no_room_for_them() {
    let (mut tracker, allowance) = allowing(256);
    let common = 256 * KIB - 256 * KIB / 8;
    let sends = |tracker: &mut Tracker, n: i32| {
        tracker.look(T, 0, &batch(i64::from(n / 128), 0, n % 128, 1), &sender(), NOW).ticket.is_some()
    };
    let mut count = 0;
    while sends(&mut tracker, count) {
        count += 1;
        assert_eq!(allowance.taken(), tracker.bytes());
    }
    assert!(tracker.bytes() <= common, "{}", tracker.bytes());
    let least = count as usize * size_of::<Attempt>();
    assert!((common / 2..common).contains(&least), "{count} take {least}");
}

/// Every part of the state by itself.
#[test]
fn whatever_is_kept_counts() {
    let grows_by = |least: usize, act: &dyn Fn(&mut Tracker)| {
        let mut tracker = tracker();
        let before = tracker.bytes();
        act(&mut tracker);
        assert!(tracker.bytes() >= before + least, "{} after {before}, {least}", tracker.bytes());
    };
    grows_by(10_000 * 32, &|it| (0..10_000).for_each(|n| it.hand_out(ProducerId::new(n), ProducerEpoch::new(0))));
    grows_by(100 * 256, &|it| {
        for n in 0..100 {
            it.introduce(TopicRef::Name(format!("{n:0>249}").as_bytes()), None, None, NOW);
        }
    });
    grows_by(1_000 * (size_of::<Topic>() + 8), &|it| {
        for n in 0..1_000_u128 {
            it.introduce(TopicRef::Id(TopicId(n.to_be_bytes())), None, None, NOW);
        }
    });
    grows_by(100 * size_of::<Attempt>(), &|it| (0..100).for_each(|n| _ = it.send_one(&batch(1, 0, n, 1))));
    let of_entry = size_of::<Entry>() + 8;
    let of_partition = size_of::<Partition>() + Intervals::BYTES_MIN + 8;
    grows_by(1_000 * of_entry, &|it| (0..1_000).for_each(|n| assert!(acknowledge(it, n, 0, 0))));
    grows_by(1_000 * (of_partition + of_entry), &|it| {
        for n in 1..=1_000 {
            let ticket = it.look(T, n, &batch(1, 0, 0, 1), &sender(), NOW).ticket.expect("it is sent");
            it.settle(ticket, ok(0), NOW);
        }
    });
}

#[test]
fn windows_stop_growing_before_others_are_kept_out() {
    let (mut tracker, allowance) = allowing(256);
    let mut seconds = 0;
    for base in 0..20 {
        for n in 0..400 {
            seconds += 1;
            assert!(acknowledge(&mut tracker, n, base, seconds));
            assert_eq!(allowance.taken(), tracker.bytes());
        }
    }
    assert_eq!((tracker.producers(), tracker.evictions().limit), (400, 0));
    assert!(allowance.taken() <= 256 * KIB, "{}", allowance.taken());
    let remembered = tracker.entries.iter().map(|entry| entry.window.iter().count());
    let (mut least, mut most) = (usize::MAX, 0);
    remembered.for_each(|count| (least, most) = (least.min(count), most.max(count)));
    assert!(least >= 5 && most < 20, "{least} to {most}");
}

#[test]
fn names_of_topics_count() {
    let (mut tracker, allowance) = allowing(512);
    for n in 0..10_000 {
        let name = format!("{n:0>249}");
        let sent = tracker.look(TopicRef::Name(name.as_bytes()), 0, &batch(7, 0, 0, 1), &sender(), after(n * 1000));
        tracker.settle(sent.ticket.expect("others make room"), ok(0), after(n * 1000));
        assert!(allowance.taken() <= 512 * KIB, "{} after {n}", allowance.taken());
    }
    assert!(tracker.producers() > 400, "{}", tracker.producers());
}

#[test]
fn names_that_are_learnt_later_count() {
    let (mut tracker, allowance) = allowing(512);
    for n in 0..2_000_u64 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let sent = tracker.look(TopicRef::Id(TopicId(id)), 0, &batch(7, 0, 0, 1), &sender(), after(n * 1000));
        tracker.settle(sent.ticket.expect("others make room"), ok(0), after(n * 1000));
        tracker.link(format!("{n:0>249}").as_bytes(), TopicId(id));
        assert!(allowance.taken() <= 512 * KIB, "{} after {n}", allowance.taken());
    }
}

#[test]
fn ids_that_were_handed_out_count() {
    let (mut tracker, allowance) = allowing(256);
    (0..100_000).for_each(|n| tracker.hand_out(ProducerId::new(n), ProducerEpoch::new(0)));
    assert!(allowance.taken() <= 256 * KIB, "{}", allowance.taken());
    // A step may make it twice as large, so it stops where that would be too much.
    let taken = tracker.handed.bytes();
    assert!((64 * KIB..160 * KIB).contains(&taken), "{taken}");
}

#[test]
fn a_tracker_that_comes_late_has_room_of_its_own() {
    let (mut first, allowance) = allowing(2048);
    let mut second = sharing(&allowance);
    (0..20_000).for_each(|n| assert!(acknowledge(&mut first, n, 0, n.cast_unsigned())));
    assert!(first.evictions().limit > 0);
    (0..100).for_each(|n| assert!(acknowledge(&mut second, n, 0, 30_000)));
    assert_eq!((second.producers(), second.evictions().limit), (100, 0));
    assert!(allowance.taken() <= 2048 * KIB, "{}", allowance.taken());
}

#[test]
fn a_topic_without_room_leaves_nothing() {
    let (mut tracker, allowance) = allowing(96);
    let mut sent = 0;
    while tracker.look(T, 0, &batch(sent, 0, 0, 1), &sender(), NOW).ticket.is_some() {
        sent += 1;
    }
    let _rest = rest_of(&allowance);
    tracker.introduce(TopicRef::Name(&[b'x'; 249]), None, None, NOW);
    let other = tracker.observe(TopicRef::Name(&[b'x'; 249]), 0, &batch(7, 0, 0, 1), &sender(), false, NOW);
    assert_eq!((other, tracker.topics.len()), (Err(UnknownTopic), 1));
}

#[test]
fn an_id_for_whose_name_there_is_no_room_leads_nowhere_any_more() {
    let (mut tracker, allowance) = allowing(96);
    let (id, name) = (TopicId([1; 16]), [b'x'; 249]);
    let mut sent = 0;
    while tracker.look(TopicRef::Id(id), 0, &batch(sent, 0, 0, 1), &sender(), NOW).ticket.is_some() {
        sent += 1;
    }
    let _rest = rest_of(&allowance);
    tracker.link(&name, id);
    assert!(allowance.taken() <= 96 * KIB, "{}", allowance.taken());
    for topic in [TopicRef::Name(&name), TopicRef::Id(id)] {
        let other = tracker.observe(topic, 0, &batch(7, 0, 0, 1), &sender(), false, NOW);
        assert_eq!(other, Err(UnknownTopic));
    }
}

/// So many KiB full of idle pairs, with nothing left of what all may take.
fn full_of_idle_pairs(kib: usize) -> (Tracker, Arc<Allowance>, Share) {
    let (mut tracker, allowance) = allowing(kib);
    let mut pairs = 0;
    while tracker.evictions().limit == 0 {
        assert!(acknowledge(&mut tracker, pairs, 0, 0));
        pairs += 1;
    }
    assert!(pairs as usize > 3 * kib, "{pairs}");
    let mut others = Share::new(&allowance);
    others.set((kib * KIB / 8 * 7).saturating_sub(allowance.taken()));
    (tracker, allowance, others)
}

/// Sends a batch as a session does: a topic that is known is not introduced again.
fn send(tracker: &mut Tracker, topic: TopicRef<'_>, partition: i32, batch: &Batch) -> Option<Ticket> {
    let now = after(10_000_000);
    let sent = tracker.observe(topic, partition, batch, &sender(), false, now).or_else(|UnknownTopic| {
        tracker.introduce(topic, None, None, now);
        tracker.observe(topic, partition, batch, &sender(), false, now)
    });
    sent.ok()?.ticket
}

fn is_tracked(tracker: &mut Tracker, topic: TopicRef<'_>, partition: i32, batch: &Batch) -> bool {
    send(tracker, topic, partition, batch).is_some()
}

/// T36: a pair takes its place in a chunk of them, so it takes a chunk's worth to give anything back, and no more.
#[test]
fn idle_pairs_make_room_for_whatever_comes() {
    type Tracks<'a> = &'a dyn Fn(&mut Tracker) -> bool;
    const NEW: i64 = 1_000_000;
    let (topics, in_flight) = (["u", "v", "w"].map(|name| TopicRef::Name(name.as_bytes())), 3 * 128);
    let tracks: [(u64, Tracks<'_>); 4] = [
        (1, &|it| is_tracked(it, T, 0, &batch(NEW, 0, 0, 1))),
        (140, &|it| is_tracked(it, T, 1, &batch(NEW, 0, 0, 1))),
        (140, &|it| topics.iter().all(|topic| is_tracked(it, *topic, 0, &batch(NEW, 0, 0, 1)))),
        (520, &|it| (0..in_flight).all(|n| is_tracked(it, T, 0, &batch(NEW + i64::from(n % 4), 0, n / 4, 1)))),
    ];
    for (evicted_max, tracks) in tracks {
        let (mut tracker, allowance, _others) = full_of_idle_pairs(1_024);
        let (before, of_others) = (tracker.evictions().limit, allowance.taken() - tracker.bytes());
        assert!(tracks(&mut tracker), "up to {evicted_max}");
        let evicted = tracker.evictions().limit - before;
        assert!((1..=evicted_max).contains(&evicted), "{evicted} instead of {evicted_max} at most");
        assert_eq!(allowance.taken(), of_others + tracker.bytes());
        assert!(allowance.taken() <= 1_024 * KIB, "{}", allowance.taken());
    }
}

/// Also in a tracker that was larger, so that many of its places have gone.
#[test]
fn idle_pairs_make_room_for_topics_as_long_as_there_are_any() {
    let (mut tracker, _allowance, _others) = full_of_idle_pairs(384);
    let names: Vec<String> = (0..1_500).map(|n| format!("{n:0>249}")).collect();
    for (name, n) in names.iter().zip(0..) {
        let (pairs, evicted) = (u64::from(tracker.producers()), tracker.evictions().limit);
        let sent = send(&mut tracker, TopicRef::Name(name.as_bytes()), 0, &batch(2_000_000 + n, 0, 0, 1));
        tracker.settle(sent.expect("others make room"), ok(0), after(10_000_000));
        assert_eq!(pairs + 1 - u64::from(tracker.producers()), tracker.evictions().limit - evicted);
    }
    let (capacity, places) = (tracker.entries.capacity(), tracker.entries.places());
    assert!(2 * capacity < places, "{capacity} of {places}");
}

/// Less than a chunk of them gives nothing back.
#[test]
fn idle_pairs_that_are_too_few_to_make_room_are_not_forgotten() {
    const KIB_MAX: usize = 1_024;
    let (mut tracker, allowance) = allowing(KIB_MAX);
    (0..100).for_each(|n| assert!(acknowledge(&mut tracker, n, 0, 0)));
    let in_flight = (100..2 * 128).map(|n| tracker.send_one(&batch(n, 0, 0, 1))).count();
    assert_eq!((tracker.entries.free_places(), in_flight), (0, 156));
    let mut others = Share::new(&allowance);
    others.set((KIB_MAX * KIB / 8 * 7).saturating_sub(allowance.taken()));
    let topics: Vec<String> = (0..50).map(|n| format!("{n:0>249}")).collect();
    for name in &topics {
        is_tracked(&mut tracker, TopicRef::Name(name.as_bytes()), 0, &batch(2_000_000, 0, 0, 1));
    }
    assert!(tracker.evictions().limit <= 1, "{}", tracker.evictions().limit);
}

/// Those that move to other places are found there, with what is open of them.
#[test]
fn who_stays_when_places_are_given_back_stays_as_he_is() {
    let (mut tracker, _allowance, _others) = full_of_idle_pairs(1_024);
    let kept: Vec<i64> = tracker.entries.iter().map(|entry| entry.producer.get()).filter(|id| id % 7 == 0).collect();
    let in_flight: Vec<_> = kept.iter().map(|id| (*id, tracker.send_one(&batch(*id, 0, 1, 1)))).take(100).collect();
    // One topic after the other, until nobody is left who is idle.
    let names: Vec<String> = (0..).map(|n| format!("{n:0>249}")).take(3_000).collect();
    for (name, n) in names.iter().zip(0..) {
        is_tracked(&mut tracker, TopicRef::Name(name.as_bytes()), 0, &batch(2_000_000 + n, 0, 0, 1));
    }
    assert!(tracker.producers() < 1_500, "{}", tracker.producers());
    for (id, ticket) in in_flight {
        assert_eq!(tracker.rule(&batch(id, 0, 0, 1)), Rule::D12, "{id}");
        tracker.settle(ticket, ok(5_000_000 + id), NOW);
        assert_eq!(tracker.rule(&batch(id, 0, 1, 1)), Rule::D12, "{id}");
        assert_eq!(tracker.rule(&batch(id, 0, 2, 1)), Rule::D8, "{id}");
    }
}

#[test]
fn what_idle_pairs_took_is_given_back_though_others_stand_between_them() {
    let (mut tracker, allowance, _others) = full_of_idle_pairs(1_024);
    let (full, later) = (tracker.bytes(), after(TrackerLimits::default().idle_ms_max + 1_000_000));
    let ids: Vec<i64> = tracker.entries.iter().map(|entry| entry.producer.get()).collect();
    let used: Vec<&i64> = ids.iter().filter(|id| *id % 50 == 0).collect();
    for id in &used {
        let ticket = tracker.look(T, 0, &batch(**id, 0, 1, 1), &sender(), later).ticket.unwrap();
        tracker.settle(ticket, ok(5_000_000 + **id), later);
    }
    (0..100).for_each(|_| tracker.sweep(200, later));
    assert_eq!(tracker.producers() as usize, used.len());
    assert!(tracker.bytes() < full / 5 && tracker.share.is_roomy(), "{} of {full}", tracker.bytes());
    assert!(allowance.taken() >= tracker.bytes());
    for id in used {
        assert_eq!(tracker.look(T, 0, &batch(*id, 0, 1, 1), &sender(), later).rule, Rule::D12, "{id}");
    }
}

/// Two trackers see the same; the one that is short of memory may know less, and nothing else.
#[test]
fn a_tracker_that_is_short_of_memory_proves_nothing_that_another_one_does_not() {
    let topics: Vec<String> = (0..40).map(|n| format!("{n:0>99}")).collect();
    let mut proven = 0;
    for seed in 1..=3_u64 {
        let (mut tight, allowance) = allowing(384);
        let mut roomy = tracker();
        // By topic and producer: how many batches of one record were acknowledged.
        let mut acknowledged = HashMap::new();
        let (mut sent, mut open, mut random, mut now) = (Vec::new(), Vec::new(), seed, NOW);
        for offset in 0..6_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (draw, topic, producer) = (random >> 60, random as usize >> 40, (random >> 20 & 2_047).cast_signed());
            let new = (&topics[topic % topics.len().min(1 + offset as usize / 150)], producer);
            sent.push(new);
            // A retry is of one of the newest.
            let pair @ (name, producer) =
                if draw < 6 { sent[sent.len() - 1 - topic % sent.len().min(500)] } else { new };
            let topic = TopicRef::Name(name.as_bytes());
            let count = acknowledged.entry(pair).or_insert(0);
            let base = if draw < 6 && *count > 0 { *count - 1 } else { *count };
            let [here, there] = [&mut tight, &mut roomy].map(|tracker| {
                let sent = tracker.observe(topic, 0, &batch(producer, 0, base, 1), &sender(), false, now);
                sent.unwrap_or_else(|UnknownTopic| {
                    tracker.introduce(topic, None, None, now);
                    let sent = tracker.observe(topic, 0, &batch(producer, 0, base, 1), &sender(), false, now);
                    sent.unwrap_or(Observation::UNTRACKED)
                })
            });
            if let Some(proof) = here.proof {
                assert_eq!(there.proof, Some(proof), "seed {seed}, {offset}");
                proven += 1;
            }
            let is_new = base == *count;
            *count += i32::from(is_new);
            open.push((here.ticket, there.ticket, if is_new { ok(offset) } else { Outcome::Withdrawn }));
            if draw < 12 {
                for (here, there, outcome) in open.drain(..) {
                    here.map(|ticket| tight.settle(ticket, outcome, now));
                    there.map(|ticket| roomy.settle(ticket, outcome, now));
                }
            }
            if draw == 15 {
                now = Millis(now.0 + 20_000);
                tight.sweep(200, now);
            }
            assert_eq!(allowance.taken(), tight.bytes());
            assert!(allowance.taken() <= 384 * KIB, "{}", allowance.taken());
        }
        assert!(tight.evictions().limit > 1_000 && tight.producers() > 500, "{:?}", tight.evictions());
    }
    assert!(proven > 1_000, "{proven}");
}
