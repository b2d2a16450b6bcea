//! Runs many seeds on all cores, and makes the story of one that fails as short as it can be.

use std::cell::RefCell;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::plan::Plan;
use crate::world::{self, Ending, Tally};

/// What many runs came to, with proxies and without.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    /// Those in which seqgate did nothing but forward, and logs were compared record by record.
    pub(crate) same: u64,
    pub(crate) through: Tally,
    pub(crate) direct: Tally,
}

/// A seed that fails.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) problem: String,
    /// The shortest list of steps that still fails, told.
    pub(crate) story: Vec<String>,
}

/// Which run is wrong.
#[derive(Clone, Copy, Debug)]
enum Which {
    Through,
    Direct,
    /// Each by itself is right; together they are not.
    Both,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what panics say for the story, instead of printing it.
pub(crate) fn keep_panics() {
    panic::set_hook(Box::new(|info| PANIC.set(Some(info.to_string()))));
}

/// Runs a plan; a panic is a problem with its words.
fn run(plan: &Plan, direct: bool, tells: bool) -> Ending {
    let mut ending = world::run(plan, direct, tells);
    if let Some(said) = PANIC.take() {
        ending.problem = Some(said);
    }
    ending
}

/// Runs seeds from `from` on, on all cores, each with proxies and without; stops at the first that fails.
pub(crate) fn hunt(from: u64, count: u64, progress: &(impl Fn(u64) + Sync)) -> Result<Totals, Box<Failure>> {
    let (next, done) = (AtomicU64::new(from), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    let failure = Mutex::new(None::<(u64, Which)>);
    let work = || {
        let mut own = Totals::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                break;
            }
            for seed in Plan::seeds_of(seed) {
                let plan = Plan::of(seed);
                let (through, direct) = (run(&plan, false, false), run(&plan, true, false));
                let which = [Which::Through, Which::Direct, Which::Both];
                if let Some(which) = which.into_iter().find(|which| which.problem(&through, &direct).is_some()) {
                    stop.store(true, Ordering::Relaxed);
                    let mut found = failure.lock().expect("nobody panics with it");
                    if found.is_none_or(|(known, _)| seed < known) {
                        *found = Some((seed, which));
                    }
                }
                own.add(&through, &direct);
            }
            own.seeds += 1;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        totals.lock().expect("nobody panics with it").merge(&own);
    };
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    match failure.into_inner().expect("nobody panics with it") {
        Some((seed, which)) => Err(Box::new(shrink(seed, which))),
        None => Ok(totals.into_inner().expect("nobody panics with it")),
    }
}

/// Takes out of a failing run whatever it fails without.
fn shrink(seed: u64, which: Which) -> Failure {
    let mut plan = Plan::of(seed);
    let run_both = |plan: &Plan, tells| (run(plan, false, tells), run(plan, true, tells));
    let fails = |plan: &Plan| {
        let (through, direct) = run_both(plan, false);
        which.problem(&through, &direct).is_some()
    };
    let mut size = plan.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut has_shrunk = false;
        while at < plan.steps.len() {
            let mut shorter = plan.clone();
            shorter.steps.drain(at..(at + size).min(plan.steps.len()));
            if fails(&shorter) {
                plan = shorter;
                has_shrunk = true;
            } else {
                at += size;
            }
        }
        if !has_shrunk || size > 1 {
            size /= 2;
        }
    }
    let (through, direct) = run_both(&plan, true);
    let problem = which.problem(&through, &direct).unwrap_or_default();
    let story = match which {
        Which::Through => through.story,
        Which::Direct => direct.story,
        Which::Both => [through.story, vec!["# the same without seqgate".into()], direct.story].concat(),
    };
    Failure { seed, problem, story }
}

impl Which {
    fn problem(self, through: &Ending, direct: &Ending) -> Option<String> {
        match self {
            Self::Through => through.problem.clone(),
            Self::Direct => direct.problem.clone(),
            Self::Both => (through.logs.is_some() && through.logs != direct.logs)
                .then(|| "it did nothing but forward, and the logs are not those without it".into()),
        }
    }
}

/// The whole story of one seed.
pub(crate) fn tell(seed: u64, direct: bool) -> Ending {
    run(&Plan::of(seed), direct, true)
}

impl Totals {
    fn add(&mut self, through: &Ending, direct: &Ending) {
        self.same += u64::from(through.logs.is_some());
        self.through.merge(&through.tally);
        self.direct.merge(&direct.tally);
    }

    fn merge(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.same += other.same;
        self.through.merge(&other.through);
        self.direct.merge(&other.direct);
    }
}
