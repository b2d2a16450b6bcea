//! What a seed stands for: a world, and a list of things that happen in it.

use seqgate_protocol::sequencing::TrackerLimits;
use seqgate_protocol::session::{Mixed, Mode, Policy};

use crate::batch::Keeping;
use crate::clients::Family;
use crate::cluster::Make;
use crate::proxy::IDLE_MS_MAX;
use crate::random::{Random, mix};
use crate::world::Reads;

/// Something that happens. What exactly is drawn from the number beside it, among what is possible at that moment, so
/// that a list stays good when others are taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Send,
    ProxyTakes,
    BrokerTakes,
    BrokerAnswers,
    ProxyHears,
    ClientHears,
    Replicate,
    AskMetadata,
    EndTransaction,
    /// Most of what is on its way arrives.
    Deliver,
    /// Faults, from here on.
    CutClient,
    CutBroker,
    GiveUpOrphan,
    RestartBroker,
    MoveLeader,
    LoseTail,
    Expire,
    Recreate,
    Wipe,
    Wait,
    Trouble,
    RestartProxy,
    Sweep,
    Skip,
    SwitchMode,
    RestartClient,
    LookLate,
    Trim,
    Drain,
    Redirect,
}

/// What happens in every run, and how often.
const USUAL: [(Act, usize); 9] = [
    (Act::Send, 26),
    (Act::ProxyTakes, 22),
    (Act::BrokerTakes, 18),
    (Act::BrokerAnswers, 18),
    (Act::ProxyHears, 18),
    (Act::ClientHears, 18),
    (Act::Replicate, 6),
    (Act::AskMetadata, 1),
    (Act::EndTransaction, 3),
];

/// What happens in some runs, how often there, and in how many of a hundred.
const FAULTS: [(Act, usize, usize); 19] = [
    (Act::CutClient, 4, 70),
    (Act::CutBroker, 2, 50),
    (Act::GiveUpOrphan, 2, 30),
    (Act::RestartBroker, 2, 40),
    (Act::MoveLeader, 2, 25),
    (Act::LoseTail, 1, 15),
    (Act::Expire, 2, 25),
    (Act::Recreate, 1, 12),
    (Act::Wipe, 1, 8),
    (Act::Wait, 2, 40),
    (Act::Trouble, 4, 50),
    (Act::RestartProxy, 1, 15),
    (Act::Sweep, 1, 20),
    (Act::Skip, 2, 25),
    (Act::SwitchMode, 1, 8),
    (Act::RestartClient, 1, 10),
    (Act::LookLate, 3, 40),
    (Act::Trim, 1, 15),
    (Act::Drain, 1, 15),
];

/// In how many of a hundred runs connections are led to another cluster, and what happens more often there: somebody has to
/// be told of the one and somebody of the other.
const REDIRECTED: usize = 5;
const WHEN_REDIRECTED: [(Act, usize); 2] = [(Act::Redirect, 2), (Act::AskMetadata, 8)];

/// A seed that is larger by this stands for a run in which gaps are refused.
const ENFORCING: u64 = 1 << 40;

/// How many of a hundred seeds have such a run beside their own, and what happens more often there.
const ENFORCED: usize = 18;
const WHEN_ENFORCED: [(Act, usize); 2] = [(Act::Skip, 12), (Act::Deliver, 12)];

/// The first sequence and epoch of a producer that has been there for long.
type Begins = (i32, i16);

/// A world.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) make: Make,
    pub(crate) proxies: usize,
    pub(crate) limits: TrackerLimits,
    pub(crate) policy: Policy,
    /// Family, Produce version, and where a producer that has been there for long begins.
    pub(crate) clients: Vec<(Family, i16, Option<Begins>)>,
    /// How many of a hundred requests are too large to be held.
    pub(crate) streams: usize,
    /// How many of a hundred answers tell the client to slow down.
    pub(crate) throttles: usize,
    /// Whether requests of the proxy's own may go at all.
    pub(crate) may_look: bool,
    /// How many answers are kept back at most.
    pub(crate) back_max: usize,
    pub(crate) reads: Reads,
    /// Rude clients keep batches to themselves now and then, and send them later.
    pub(crate) keeps: bool,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<(Act, u64)>,
}

impl Plan {
    /// The seeds of the runs that a seed counts for: its own, and one in which gaps are refused perhaps.
    pub(crate) fn seeds_of(seed: u64) -> impl Iterator<Item = u64> {
        let enforces = seed < ENFORCING && Random::new(mix(seed ^ 0x9a95)).percent(ENFORCED);
        [seed].into_iter().chain(enforces.then_some(seed + ENFORCING))
    }

    /// The run that a seed stands for.
    pub(crate) fn of(seed: u64) -> Self {
        let (enforces, seed) = (seed >= ENFORCING, seed % ENFORCING);
        let mut random = Random::new(mix(seed ^ 0x5e90_a7e0));
        let faults: Vec<(Act, usize)> = FAULTS
            .into_iter()
            .filter(|(.., runs)| random.percent(*runs))
            .map(|(act, weight, _)| (act, weight))
            .collect();
        let happens = |act| faults.iter().any(|(fault, _)| *fault == act);
        let mut of_redirects = Random::new(mix(seed ^ 0x4ed1_4ec7));
        let redirects = of_redirects.percent(REDIRECTED);
        let mut setup = Setup::draw(&mut random, happens(Act::Wipe) || happens(Act::Skip) || redirects);
        let wipes = happens(Act::Wipe);
        let mut weights: Vec<(Act, usize)> = USUAL.into_iter().chain(faults).collect();
        let mut of_gaps = Random::new(mix(seed ^ 0x9a95));
        // Who refuses gaps has a cluster that stays the one that it is.
        let enforces = of_gaps.percent(ENFORCED) && enforces && setup.proxies == 1 && !wipes && !redirects;
        if enforces {
            setup.enforce(&mut of_gaps);
            weights.extend(WHEN_ENFORCED);
        }
        if redirects {
            weights.extend(WHEN_REDIRECTED);
            // One that sends the same bytes again on the same connection.
            let family = Family::Rude;
            setup.clients.push((family, *of_redirects.pick(family.versions()), None));
        }
        let sum: usize = weights.iter().map(|(_, weight)| weight).sum();
        // Nothing may be open where a gap is refused: that takes longer to come about.
        let count = 60 + random.below(240) + if enforces { 400 } else { 0 };
        let steps = (0..count).map(|_| (draw(&weights, random.below(sum)), random.next())).collect();
        Self { seed, setup, steps }
    }
}

fn draw(weights: &[(Act, usize)], mut at: usize) -> Act {
    for (act, weight) in weights {
        if at < *weight {
            return *act;
        }
        at -= weight;
    }
    unreachable!("below the sum of all weights")
}

impl Setup {
    /// `alone`: what happens is sure to be known only to a proxy that sees everything.
    fn draw(random: &mut Random, alone: bool) -> Self {
        let make = Make {
            brokers: *random.pick(&[1, 1, 3]),
            topics: 1 + random.below(2),
            partitions: 1 + random.below(3),
            lags: random.percent(50),
            old: random.percent(5),
            describes: true,
            keeping: Keeping { stamps: random.percent(15), packs: random.percent(10) },
        };
        let proxies = if alone || random.percent(80) { 1 } else { 2 };
        let limits = TrackerLimits {
            window: *random.pick(&[5, 8, 32]),
            producers_max: *random.pick(&[1_000, 1_000, 1_000, 4]),
            proof_ttl_ms: 300_000,
            idle_ms_max: IDLE_MS_MAX,
        };
        let policy = Policy {
            mode: if random.percent(90) { Mode::Dedupe } else { Mode::Observe },
            mixed: if random.percent(80) { Mixed::Strip } else { Mixed::Forward },
            authoritative: proxies == 1 && random.percent(60),
            look_up: random.percent(65),
            producer_expiration_ms: 86_400_000,
        };
        let clients = (0..1 + random.below(3)).map(|_| client(random)).collect();
        let streams = if random.percent(30) { 30 } else { 0 };
        let throttles = if random.percent(20) { 20 } else { 0 };
        let may_look = random.percent(90);
        let back_max = *random.pick(&[1, 2, 100, 100]);
        let reads = Reads {
            fails: *random.pick(&[0, 0, 10, 40]),
            hangs: *random.pick(&[0, 0, 5, 20]),
            batches_max: *random.pick(&[1, 2, 3, 100]),
            unreadable: if random.percent(12) { 1 + random.below(2) } else { 0 },
        };
        Self { make, proxies, limits, policy, clients, streams, throttles, may_look, back_max, reads, keeps: false }
    }

    /// Gaps are refused where their leader would, by what a proxy has to have for that; and there are more of them, in
    /// requests of one partition.
    fn enforce(&mut self, random: &mut Random) {
        (self.policy.mode, self.policy.authoritative, self.policy.look_up) = (Mode::Enforce, true, true);
        self.policy.producer_expiration_ms = *random.pick(&[86_400_000, 86_400_000, 86_400_000, 86_400_000, 1_000_500]);
        (self.make.topics, self.make.partitions) = (1, *random.pick(&[1, 1, 2, 2]));
        self.make.brokers = *random.pick(&[1, 1, self.make.brokers]);
        self.make.lags = random.percent(75);
        self.make.describes = !self.make.old && random.percent(90);
        self.clients.truncate(usize::from(random.percent(30)));
        self.clients.push((Family::Java, *random.pick(Family::Java.versions()), None));
        self.clients.push((Family::Rude, *random.pick(&[7, 8, 9, 13]), None));
        self.keeps = true;
    }
}

fn client(random: &mut Random) -> (Family, i16, Option<Begins>) {
    // Java is what most people have, and rude ones are those that find most.
    let family = match random.below(100) {
        0..25 => Family::Java,
        25..35 => Family::Rude,
        _ => *random.pick(&Family::ALL),
    };
    let version = *random.pick(family.versions());
    let late = family.is_idempotent() && !family.is_transactional() && random.percent(15);
    let begins = late.then(|| {
        let sequence = i32::MAX - random.below(12) as i32;
        (sequence, *random.pick(&[1, 7, i16::MAX - 2]))
    });
    (family, version, begins)
}
