//! `seqgate demo`: what seqgate is for, shown in a few seconds with a broker and a producer of its own.

mod bootstrap;
mod table;

use std::io::{IsTerminal, Write, stderr};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bootstrap::Bootstrap;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use table::table;

use super::in_process::InProcess;
use super::{Exit, output::print};
use crate::config::HostPort;
use crate::sandbox::scene::{
    Progress, SceneConfig, SceneReport, StartProxy, Via, scene_gap, scene_lost_acks, scene_restart,
};

/// What was typed after `seqgate demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Use this broker; without it, one in this process
    #[arg(long, value_name = "ADDR", env = "SEQGATE_BOOTSTRAP")]
    pub bootstrap: Option<HostPort>,

    /// How many records each scene sends
    #[arg(long, value_name = "N", env = "SEQGATE_RECORDS", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub records: u32,

    /// What chance is made from: the same number loses the same acknowledgements
    #[arg(long, value_name = "N", env = "SEQGATE_SEED", default_value_t = 1)]
    pub seed: u64,
}

/// Plays the scenes with a proxy in this process, on standard output.
pub async fn execute(args: &DemoArgs) -> anyhow::Result<Exit> {
    run(args, &InProcess, &mut std::io::stdout()).await
}

#[derive(Clone, Copy)]
enum Scene {
    LostAcks,
    Restart,
    Gap,
}

/// Plays the scenes, writes a table for each to `out`, and says how it ended: not held when a record was lost or
/// doubled through seqgate, or a gap missed.
pub async fn run<S: StartProxy>(args: &DemoArgs, start_proxy: &S, out: &mut impl Write) -> anyhow::Result<Exit> {
    let Some(address) = &args.bootstrap else {
        let scenes = [Scene::LostAcks, Scene::Restart, Scene::Gap];
        return play_all(args, &scenes, None, start_proxy, out).await;
    };
    let mut bootstrap = Bootstrap::reach(address).await?;
    print(out, "The second scene restarts the broker and is left out with a real one.\n\n")?;
    let played = play_all(args, &[Scene::LostAcks, Scene::Gap], Some(&mut bootstrap), start_proxy, out).await;
    // Of a demo that failed as well.
    let told = print(out, &bootstrap.left_behind());
    let exit = played?;
    told.map(|()| exit)
}

async fn play_all<S: StartProxy>(
    args: &DemoArgs,
    scenes: &[Scene],
    mut bootstrap: Option<&mut Bootstrap>,
    start_proxy: &S,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let mut holds = true;
    for scene in scenes {
        let mut reports = Vec::new();
        for via in scene.sides() {
            let report = async {
                let config = config(args, bootstrap.as_deref_mut(), *scene, *via).await?;
                play(*scene, &config, *via, start_proxy).await
            };
            reports.push(report.await.with_context(|| format!("scene {} ({})", scene.name(), name(*via)))?);
        }
        holds &= reports.iter().all(SceneReport::holds);
        print(out, &format!("{}\n{}\n{}\n\n", scene.title(), scene.explanation(), table(&reports)))?;
    }
    let verdict =
        if holds { "Through seqgate, every record was stored once." } else { "seqgate did not hold its promise." };
    print(out, &format!("{verdict}\n"))?;
    Ok(if holds { Exit::Done } else { Exit::NotHeld })
}

async fn config(
    args: &DemoArgs,
    bootstrap: Option<&mut Bootstrap>,
    scene: Scene,
    via: Via,
) -> anyhow::Result<SceneConfig> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let (topic, led) = match bootstrap {
        None => ("events".to_owned(), None),
        Some(bootstrap) => {
            // Others may use the broker as well, and earlier runs did.
            let topic = format!("events-{}-{}-{:x}", scene.name(), name(via), now.as_micros());
            let led = bootstrap.make(&topic).await?;
            (topic, Some(led))
        }
    };
    Ok(SceneConfig {
        records: usize::try_from(args.records).context("more records than memory")?,
        seed: args.seed,
        bootstrap: led.map(|led| led.broker),
        topic,
        partition: led.map_or(0, |led| led.partition),
        timestamp_ms: i64::try_from(now.as_millis()).context("the clock is off")?,
    })
}

async fn play<S: StartProxy>(scene: Scene, config: &SceneConfig, via: Via, proxy: &S) -> anyhow::Result<SceneReport> {
    let bar = bar(config.records, format!("{} ({})", scene.name(), name(via)));
    let tell = |acknowledged: usize| bar.set_position(acknowledged as u64);
    let progress: Progress<'_> = &tell;
    let played = match scene {
        Scene::LostAcks => scene_lost_acks(config, via, proxy, progress).await,
        Scene::Restart => scene_restart(config, via, proxy, progress).await,
        Scene::Gap => scene_gap(config, via, proxy, progress).await,
    };
    bar.finish_and_clear();
    played
}

fn bar(records: usize, message: String) -> ProgressBar {
    let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len}").expect("the template is valid");
    ProgressBar::with_draw_target(Some(records as u64), target).with_style(style).with_message(message)
}

impl Scene {
    const fn sides(self) -> &'static [Via] {
        match self {
            Self::LostAcks | Self::Restart => &[Via::Direct, Via::Seqgate],
            Self::Gap => &[Via::Seqgate],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::LostAcks => "lost-acks",
            Self::Restart => "restart",
            Self::Gap => "gap",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::LostAcks => "1. Acknowledgements get lost",
            Self::Restart => "2. The broker restarts before its acknowledgements arrive",
            Self::Gap => "3. The producer leaves out sequence numbers",
        }
    }

    const fn explanation(self) -> &'static str {
        match self {
            Self::LostAcks => {
                "A producer that misses an acknowledgement sends the batch again; the cluster has stored it already, so \
                 seqgate answers it and the broker never sees it."
            }
            Self::Restart => {
                "A restarted broker remembers only the newest batch of a producer and refuses the older ones sent again, \
                 so the producer renumbers them and they are stored twice; seqgate still knows them all."
            }
            Self::Gap => {
                "Sequence numbers without holes prove that nothing went missing before the broker; seqgate tells of a hole \
                 the moment it passes, and leaves it to the broker to refuse the batch."
            }
        }
    }
}

const fn name(via: Via) -> &'static str {
    match via {
        Via::Direct => "direct",
        Via::Seqgate => "seqgate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::scene::stand_in::StandIn;

    async fn demo(remembers: bool) -> (Exit, String) {
        let args = DemoArgs { bootstrap: None, records: 40, seed: 7 };
        let mut out = Vec::new();
        let status = run(&args, &StandIn { remembers }, &mut out).await.expect("plays");
        (status, String::from_utf8(out).expect("text"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_proxy_that_remembers_passes() {
        let (status, out) = demo(true).await;
        assert_eq!(status, Exit::Done, "{out}");
        assert!(out.contains("5 doubled") && out.ends_with("every record was stored once.\n"), "{out}");
    }

    #[tokio::test]
    async fn a_proxy_that_lets_records_double_fails_the_check() {
        let (status, out) = demo(false).await;
        assert_eq!(status, Exit::NotHeld, "{out}");
    }

    #[test]
    fn a_bootstrap_name_and_too_few_records_are_told_apart() {
        use clap::{Args, FromArgMatches};
        let command = DemoArgs::augment_args(clap::Command::new("demo"));
        let parse = |args: &[&str]| {
            let matches = command.clone().try_get_matches_from(std::iter::once(&"demo").chain(args)).ok()?;
            DemoArgs::from_arg_matches(&matches).ok()
        };
        let args = parse(&["--bootstrap", "localhost:9092", "--records", "5"]).expect("valid");
        assert_eq!((args.bootstrap, args.records), (Some(HostPort::new("localhost", 9092)), 5));
        assert!(parse(&["--bootstrap", "localhost"]).is_none());
        assert!(parse(&["--records", "1"]).is_none());
    }
}
