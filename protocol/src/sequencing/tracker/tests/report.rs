//! What the admin port shows.

use super::*;

#[test]
fn a_report_goes_on_where_it_has_ended_until_there_is_no_more() {
    let mut tracker = tracker();
    (0..3).for_each(|id| _ = tracker.give(&batch(id, 0, 0, 1), ok(id)));
    let seen = |from, steps, visits_max: usize| {
        let mut seen = Vec::new();
        let next = tracker.report(from, steps, NOW, |report| {
            seen.push(report.producer_id.get());
            seen.len() < visits_max
        });
        (seen, next)
    };
    let places = tracker.entries.places();
    assert_eq!(seen(0, places, 9), (vec![0, 1, 2], None));
    assert_eq!(seen(0, places + 1, 9), (vec![0, 1, 2], None));
    assert_eq!(seen(0, 2, 9), (vec![0, 1], Some(2)));
    assert_eq!(seen(2, places, 9), (vec![2], None));
    assert_eq!(seen(0, 2, 1), (vec![0], None), "whoever looks has seen enough");
}

#[test]
fn a_report_tells_what_was_acknowledged_and_since_when_nothing_was_sent() {
    let report_of = |tracker: &Tracker| {
        let mut reports = Vec::new();
        tracker.report(0, 1_000, after(5_500), |report| {
            reports.push(report);
            true
        });
        let [report] = &reports[..] else { panic!("{reports:?}") };
        report.clone()
    };
    let mut tracker = tracker();
    let first = tracker.send_one(&batch(7, 3, 0, 2));
    let ProducerReport { epoch, expected, base_offset, acknowledged, pending, idle_ms, .. } = report_of(&tracker);
    assert_eq!((epoch, expected, base_offset, acknowledged, pending), (None, None, -1, 0, 1));
    assert_eq!(idle_ms, 5_500);
    tracker.settle(first, ok(100), NOW);
    let ProducerReport { epoch, expected, base_offset, acknowledged, proofs, pending, .. } = report_of(&tracker);
    assert_eq!((epoch, expected, base_offset), (Some(3), Sequence::new(2), 100));
    assert_eq!((acknowledged, proofs, pending), (1, 1, 0));
}
