//! Acknowledgements get lost at random, and the producer sends again what is stored already.

use anyhow::Context;
use tokio::time::timeout;

use super::stage::{SCENE_TIMEOUT, Stage};
use super::{Progress, SceneConfig, SceneReport, StartProxy, Via};

/// How many of a hundred acknowledgements get lost.
const LOST_PERCENT: u8 = 20;

/// Sends all records while acknowledgements get lost.
pub async fn scene_lost_acks<S: StartProxy>(
    config: &SceneConfig,
    via: Via,
    start_proxy: &S,
    progress: Progress<'_>,
) -> anyhow::Result<SceneReport> {
    let mut stage = Stage::set(config, via, start_proxy, LOST_PERCENT).await?;
    stage.queue(0..config.records);
    let flushed = timeout(SCENE_TIMEOUT, Stage::<S::Proxy>::flush(&mut stage.producer, progress));
    flushed.await.context("the scene takes too long")??;
    stage.strike(0).await
}
