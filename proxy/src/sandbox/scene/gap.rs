//! The producer leaves out sequence numbers, as if batches had been lost inside of it.

use anyhow::Context;
use tokio::time::timeout;

use super::stage::{SCENE_TIMEOUT, Stage};
use super::{Progress, SceneConfig, SceneReport, StartProxy, Via};

/// How many sequences are left out.
const SKIPPED: u32 = 3;

/// Sends all records but one, leaves out some sequences, and sends the last one.
pub async fn scene_gap<S: StartProxy>(
    config: &SceneConfig,
    via: Via,
    start_proxy: &S,
    progress: Progress<'_>,
) -> anyhow::Result<SceneReport> {
    anyhow::ensure!(config.records >= 2, "a gap needs a record before and one behind it");
    let mut stage = Stage::set(config, via, start_proxy, 0).await?;
    let last = config.records - 1;
    let both = async {
        stage.queue(0..last);
        Stage::<S::Proxy>::flush(&mut stage.producer, progress).await?;
        stage.producer.skip_sequences(SKIPPED);
        stage.queue(last..config.records);
        Stage::<S::Proxy>::flush(&mut stage.producer, progress).await
    };
    timeout(SCENE_TIMEOUT, both).await.context("the scene takes too long")??;
    stage.strike(1).await
}
