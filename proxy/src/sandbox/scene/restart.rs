//! The broker restarts while stored batches have no acknowledgement: afterwards it remembers the newest alone, refuses
//! the oldest, and the producer sends all of them anew under other numbers.

use anyhow::Context;
use tokio::time::timeout;

use super::stage::{SCENE_TIMEOUT, Stage};
use super::{Progress, SceneConfig, SceneReport, StartProxy, Via};

/// As many batches as a producer has on its way.
const UNACKNOWLEDGED: usize = 5;

/// Keeps the acknowledgements of five batches back, restarts the sandbox's broker, and lets the producer go on.
pub async fn scene_restart<S: StartProxy>(
    config: &SceneConfig,
    via: Via,
    start_proxy: &S,
    progress: Progress<'_>,
) -> anyhow::Result<SceneReport> {
    let mut stage = Stage::set(config, via, start_proxy, 0).await?;
    let mut broker = stage.broker.take().context("a real broker cannot be restarted from here")?;
    let unacknowledged = stage.batches().min(UNACKNOWLEDGED);
    stage.queue(0..config.records);
    let relay = &stage.trouble;
    relay.hold_answers(true);
    let trouble = async {
        relay.held(unacknowledged).await;
        broker.restart().await.context("restarting the sandbox's broker")?;
        relay.cut();
        Ok(())
    };
    let both = async { tokio::try_join!(Stage::<S::Proxy>::flush(&mut stage.producer, progress), trouble) };
    timeout(SCENE_TIMEOUT, both).await.context("the scene takes too long")??;
    stage.broker = Some(broker);
    stage.strike(0).await
}
