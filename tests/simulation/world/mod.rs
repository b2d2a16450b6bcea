//! Clients, proxies and a cluster, and everything that moves between them, one step at a time.

mod brokers;
mod calm;
mod ends;
mod faults;
mod firsts;
mod gaps;
mod judge;
mod people;
mod reads;
mod verdicts;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use seqgate_protocol::session::{Mode, Policy};

use crate::batch::Batch;
use crate::clients::Client;
use crate::cluster::{Cluster, Partition};
use crate::plan::{Act, Plan, Setup};
use crate::proxy::{Connection, Proxy, Witness};
use crate::random::Random;
use crate::wire::TopicKey;
pub(crate) use reads::Reads;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) acked: u64,
    /// Records that honest clients were told are not sent.
    pub(crate) failed: u64,
    /// Records of honest clients that stand twice, as far as nothing was lost.
    pub(crate) doubled: u64,
    /// Clients that gave up for good.
    pub(crate) dead: u64,
    pub(crate) answered: u64,
    pub(crate) stripped: u64,
    pub(crate) streamed: u64,
    pub(crate) by_head: u64,
    pub(crate) held: u64,
    pub(crate) resets: u64,
    pub(crate) gaps: u64,
    /// Verdicts that were certain, and compared.
    pub(crate) judged: u64,
    /// Looks into the log that were begun.
    pub(crate) looks: u64,
    /// Batches that were answered because they stand in the log.
    pub(crate) found: u64,
    /// Answers that were kept back, and batches in them that stand in the log.
    pub(crate) kept_back: u64,
    pub(crate) resolved: u64,
    /// Gaps that were asked about, and that were refused here.
    pub(crate) asked: u64,
    pub(crate) refused: u64,
    pub(crate) steps: u64,
}

impl Tally {
    pub(crate) const fn merge(&mut self, other: &Self) {
        self.acked += other.acked;
        self.failed += other.failed;
        self.doubled += other.doubled;
        self.dead += other.dead;
        self.answered += other.answered;
        self.stripped += other.stripped;
        self.streamed += other.streamed;
        self.by_head += other.by_head;
        self.held += other.held;
        self.resets += other.resets;
        self.gaps += other.gaps;
        self.judged += other.judged;
        self.looks += other.looks;
        self.found += other.found;
        self.kept_back += other.kept_back;
        self.resolved += other.resolved;
        self.asked += other.asked;
        self.refused += other.refused;
        self.steps += other.steps;
    }
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) step: u64,
    pub(crate) now_ms: u64,
    pub(crate) cluster: Cluster,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) connections: Vec<Connection>,
    /// Those on which anything may still happen.
    live: Vec<usize>,
    pub(crate) clients: Vec<Client>,
    /// There is no proxy.
    direct: bool,
    /// The mode was changed on the way.
    pub(crate) has_switched: bool,
    /// Something that was committed is gone, or a topic is another one.
    has_lost: bool,
    /// A client went while its proxy waited for answers that it was owed: with nothing between, nobody does.
    has_orphans: bool,
    /// Nothing goes wrong any more.
    is_calm: bool,
    /// Answers to requests of the proxies' own.
    pub(crate) own_answers: u64,
    /// Where brokers have said that logs begin.
    log_starts: HashSet<(usize, i64)>,
    pub(crate) tally: Tally,
    story: Option<Vec<String>>,
    problem: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) tally: Tally,
    /// What stands in each partition; absent where a proxy did anything but forward, or had orphans: from then on the run
    /// takes another course than without it.
    pub(crate) logs: Option<Vec<Vec<(i64, Batch)>>>,
    /// What was wrong first.
    pub(crate) problem: Option<String>,
    /// What happened, for people; if it was asked for.
    pub(crate) story: Vec<String>,
}

/// Runs a plan, with proxies or without.
pub(crate) fn run(plan: &Plan, direct: bool, tells: bool) -> Ending {
    let mut world = World::new(&plan.setup, direct, tells);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for (act, number) in &plan.steps {
            if world.problem.is_some() {
                return;
            }
            world.act(*act, &mut Random::new(*number));
        }
        world.end();
    }));
    if outcome.is_err() {
        // What the panic said is on standard error.
        world.fail("a panic".into());
    }
    let logs = world.only_forwards().then(|| world.logs());
    Ending { tally: world.tally, logs, problem: world.problem, story: world.story.unwrap_or_default() }
}

impl World {
    fn new(setup: &Setup, direct: bool, tells: bool) -> Self {
        let shape = (setup.make.brokers, setup.make.topics * setup.make.partitions);
        let cluster = Cluster::new(setup.make);
        let client = |(id, (family, version, begins)): (usize, &_)| Client::new(id, *family, *version, *begins, shape);
        let mut clients: Vec<Client> = setup.clients.iter().enumerate().map(client).collect();
        for client in &mut clients {
            client.keeps = setup.keeps;
            client.topic_ids = cluster.topics.iter().map(|topic| topic.id).collect();
            client.leaders = cluster.partitions.iter().map(|partition| partition.leader).collect();
        }
        let proxy = |_| Proxy::new(setup.limits, setup.policy, setup.make.brokers);
        let mut world = Self {
            setup: setup.clone(),
            step: 0,
            now_ms: 1_000_000,
            cluster,
            proxies: (0..setup.proxies).map(proxy).collect(),
            connections: Vec::new(),
            live: Vec::new(),
            clients,
            direct,
            has_switched: false,
            has_lost: false,
            has_orphans: false,
            is_calm: false,
            own_answers: 0,
            log_starts: HashSet::new(),
            tally: Tally::default(),
            story: tells.then(Vec::new),
            problem: None,
        };
        world.tell_setup();
        world
    }

    fn act(&mut self, act: Act, random: &mut Random) {
        self.step += 1;
        self.tally.steps += 1;
        match act {
            Act::Send => self.send(random),
            Act::ProxyTakes => {
                if let Some(at) = self.pick(random, Connection::has_to_send) {
                    self.proxy_takes(at, random);
                    self.tidy(at);
                }
            }
            Act::BrokerTakes => {
                if let Some(at) = self.pick(random, |it| !it.to_broker.is_empty() && it.waiting.is_none()) {
                    self.broker_takes(at, random);
                }
            }
            Act::BrokerAnswers => self.broker_answers(random),
            Act::ProxyHears => {
                if let Some(at) = self.pick(random, |it| it.broker_here && !it.from_broker.is_empty()) {
                    self.proxy_hears(at);
                }
            }
            Act::ClientHears => {
                if let Some(at) = self.pick(random, |it| it.client_here && !it.to_client.is_empty()) {
                    self.client_hears(at);
                    if self.connections[at].is_drained {
                        self.tidy(at);
                    }
                }
            }
            Act::Replicate => {
                let partition = random.below(self.cluster.partitions.len());
                self.cluster.replicate(partition);
            }
            Act::AskMetadata => self.ask_metadata(random),
            Act::EndTransaction => self.end_transaction(random),
            Act::Deliver => self.deliver_most(random),
            fault => self.suffer(fault, random),
        }
    }

    fn only_forwards(&self) -> bool {
        let Tally { answered, stripped, held, resets, looks, .. } = self.tally;
        answered + stripped + held + resets + looks == 0 && !self.has_orphans
    }

    fn logs(&self) -> Vec<Vec<(i64, Batch)>> {
        let log = |it: &Partition| it.log.batches().map(|(offset, batch)| (offset, batch.clone())).collect();
        self.cluster.partitions.iter().map(log).collect()
    }

    /// One of the connections on which something can happen.
    fn pick(&self, random: &mut Random, can: impl Fn(&Connection) -> bool) -> Option<usize> {
        let able: Vec<usize> = self.live.iter().copied().filter(|at| can(&self.connections[*at])).collect();
        (!able.is_empty()).then(|| *random.pick(&able))
    }

    pub(crate) fn policy(&self, at: usize) -> Policy {
        self.proxies[self.connections[at].proxy].policy
    }

    /// The witness of what a connection goes by.
    pub(crate) fn witness(&mut self, at: usize) -> &mut Witness {
        let Connection { proxy, ledger, .. } = self.connections[at];
        self.proxies[proxy].witness(ledger)
    }

    fn witnesses(&mut self) -> impl Iterator<Item = &mut Witness> {
        self.proxies.iter_mut().flat_map(Proxy::witnesses)
    }

    /// The number of a partition as a request names it, whichever topic the name or id stands for now.
    pub(crate) fn number_of(&self, topic: &TopicKey, index: i32) -> usize {
        let at = match topic {
            TopicKey::Name(name) => self.cluster.topics.iter().position(|topic| topic.name == *name),
            TopicKey::Id(id) => self.cluster.topic_of(*id),
        };
        at.unwrap_or(0) * self.setup.make.partitions + index as usize
    }

    /// What is wrong; the first thing counts.
    pub(crate) fn fail(&mut self, problem: String) {
        self.tell(|| format!("# WRONG: {problem}"));
        self.problem.get_or_insert(problem);
    }

    /// A line of the story, in the words of golden scenarios.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    fn tell_setup(&mut self) {
        let Setup { make, proxies, limits, policy, clients, .. } = self.setup.clone();
        self.tell(|| format!("# {make:?}, {proxies} proxies"));
        for (id, (family, version, _)) in clients.iter().enumerate() {
            self.tell(|| format!("# client {id}: {} with Produce v{version}", family.name()));
        }
        self.tell(|| {
            let mode = name_of(policy.mode);
            let mixed = if policy.mixed == seqgate_protocol::session::Mixed::Forward { " mixed=forward" } else { "" };
            let authoritative = if policy.authoritative { " authoritative" } else { "" };
            let (window, max) = (limits.window, limits.producers_max);
            format!("set mode={mode}{mixed}{authoritative} window={window} producers_max={max}")
        });
    }
}

/// As golden scenarios call it.
const fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Dedupe => "dedupe",
        Mode::Enforce => "enforce",
    }
}
