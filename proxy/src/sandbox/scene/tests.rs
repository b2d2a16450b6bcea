//! The scenes with stand-ins for the proxy: one that only passes on, and one that remembers what was acknowledged.

use super::stand_in::StandIn;
use super::*;

const FORGETFUL: StandIn = StandIn { remembers: false };
const REMEMBERING: StandIn = StandIn { remembers: true };

fn config(records: usize) -> SceneConfig {
    SceneConfig { records, seed: 1, bootstrap: None, topic: "events".to_owned(), partition: 0, timestamp_ms: 0 }
}

#[tokio::test]
async fn lost_acknowledgements_reach_the_broker_as_duplicates_without_a_memory() {
    let report = scene_lost_acks(&config(50), Via::Direct, &FORGETFUL, &|_| {}).await.expect("plays");
    assert_eq!((report.verdict(), report.answered_by_proxy), (SceneVerdict::Once, 0));
    assert!(report.duplicates_at_broker > 0 && report.retried > 0, "{report:?}");
}

#[tokio::test]
async fn lost_acknowledgements_stop_at_a_memory() {
    let report = scene_lost_acks(&config(50), Via::Seqgate, &REMEMBERING, &|_| {}).await.expect("plays");
    assert_eq!(report.verdict(), SceneVerdict::Once);
    assert!(report.answered_by_proxy > 0, "{report:?}");
}

#[tokio::test]
async fn a_restart_doubles_five_batches_with_and_without_a_forgetful_proxy() {
    for via in [Via::Direct, Via::Seqgate] {
        let report = scene_restart(&config(20), via, &FORGETFUL, &|_| {}).await.expect("plays");
        assert_eq!((report.verdict(), report.in_log), (SceneVerdict::Doubled(5), 25), "{report:?}");
        assert_eq!(report.holds(), via == Via::Direct);
    }
}

#[tokio::test]
async fn a_restart_doubles_nothing_behind_a_memory() {
    let report = scene_restart(&config(20), Via::Seqgate, &REMEMBERING, &|_| {}).await.expect("plays");
    assert_eq!(
        (report.verdict(), report.in_log, report.duplicates_at_broker),
        (SceneVerdict::Once, 20, 0),
        "{report:?}"
    );
    assert!(report.answered_by_proxy >= 5, "{report:?}");
}

#[tokio::test]
async fn a_gap_is_seen_by_one_that_remembers_only() {
    for (proxy, verdict) in [(FORGETFUL, SceneVerdict::Unflagged(1)), (REMEMBERING, SceneVerdict::Once)] {
        let report = scene_gap(&config(251), Via::Seqgate, &proxy, &|_| {}).await.expect("plays");
        assert_eq!((report.verdict(), report.duplicates_at_broker), (verdict, 0), "{report:?}");
    }
}

#[tokio::test]
async fn progress_is_told_up_to_the_last_record() {
    let told = std::sync::atomic::AtomicUsize::new(0);
    let tell = |acknowledged| told.store(acknowledged, std::sync::atomic::Ordering::Relaxed);
    scene_lost_acks(&config(10), Via::Direct, &FORGETFUL, &tell).await.expect("plays");
    assert_eq!(told.into_inner(), 10);
}
