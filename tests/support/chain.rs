//! One or several brokers of a cluster, each behind relays of its own, with or without seqgate between the relays.
//!
//! Client, front relay, back relay, broker; or client, front relay, seqgate, back relay, broker: the same cuts can be made
//! at the same places with and without seqgate.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::judge::{Outcome, judge};
use super::jvm::Parts;
use super::kafka::{Kafka, probe};
use super::producer::Producer;
use super::relay::{Ending, Relay};
use super::rig::Side;
use super::seqgate::{Seqgate, WARNINGS_OF_A_RIG, assert_quiet};
use super::tools::Tools;
use super::{eventually, net, place};

const START_ATTEMPTS: usize = 3;

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By SIGTERM, and it does what it has to do.
    Orderly,
    /// By SIGKILL, as in a power cut.
    Sudden,
}

/// A cluster, its relays, and perhaps a seqgate with one listener per broker.
pub struct Chain {
    /// Brokers and relays.
    pub links: Vec<Link>,
    /// Sets up and reads back past relays and seqgate.
    pub tools: Tools,
    /// The one that runs now.
    pub seqgate: Option<Seqgate>,
    /// What it is started with, each time.
    config: PathBuf,
    /// All that ended seqgates have logged.
    logged: String,
}

/// A broker and what is before it.
pub struct Link {
    /// On the clients' side. The broker advertises its address.
    pub front: Relay,
    /// On the broker's side.
    pub back: Relay,
    /// The broker.
    pub broker: Kafka,
}

impl Chain {
    /// Starts so many brokers; clients cannot connect yet.
    pub fn start(parts: &'static Parts, nodes: usize, settings: &[(&str, &str)]) -> Self {
        let fronts: Vec<_> = (0..nodes).map(|_| Relay::bind("front")).collect();
        let advertised: Vec<_> = fronts.iter().map(|front| Some(front.address())).collect();
        let brokers = Kafka::cluster(parts, &advertised, settings);
        let link = |(front, broker): (Relay, Kafka)| Link { back: Relay::to("back", broker.address()), front, broker };
        Self {
            links: fronts.into_iter().zip(brokers).map(link).collect(),
            tools: Tools::start(parts),
            seqgate: None,
            config: PathBuf::new(),
            logged: String::new(),
        }
    }

    /// From now on clients reach the brokers through the relays alone.
    pub fn go_direct(&mut self) {
        self.begin_anew();
        for link in &self.links {
            link.front.target(link.back.address());
            link.front.admit();
        }
    }

    /// From now on clients reach the brokers through a new seqgate.
    pub fn go_through_seqgate(&mut self) {
        self.begin_anew();
        self.start_seqgate(Self::configure_seqgate);
        for link in &self.links {
            link.front.admit();
        }
    }

    /// Nothing of before is in the records, and nobody can connect.
    fn begin_anew(&mut self) {
        self.end_seqgate(Death::Orderly);
        self.config.clear();
        self.logged.clear();
        for link in &self.links {
            for relay in [&link.front, &link.back] {
                relay.refuse();
                relay.cut_all(Ending::Reset);
                relay.forget();
                relay.resume();
            }
            link.front.refuse();
        }
    }

    /// Writes a configuration with ports that stay the same when seqgate is started again, and starts it.
    fn configure_seqgate(&mut self) -> Result<(), String> {
        let home = place::fresh("seqgate-config");
        let mut config =
            "[admin]\nlisten = \"127.0.0.1:0\"\n[journal]\nfile = \"journal\"\nevery_batch = true\n".to_owned();
        for (link, port) in self.links.iter().zip(net::free_ports(self.links.len())) {
            let (listen, upstream) = (net::local(port), link.back.address());
            link.front.target(listen);
            let lines =
                [("name", port.to_string()), ("listen", listen.to_string()), ("upstream", upstream.to_string())];
            config.push_str("[[listener]]\ncluster_name = \"cluster\"\n");
            lines.iter().for_each(|(key, value)| writeln!(config, "{key} = \"{value}\"").unwrap());
        }
        self.config = home.join("seqgate.toml");
        fs::write(&self.config, config).unwrap();
        self.try_start_seqgate()
    }

    fn try_start_seqgate(&mut self) -> Result<(), String> {
        let config = self.config.to_str().expect("test directories have plain names").to_owned();
        self.seqgate = Some(Seqgate::try_run(&["run", "-c", &config], self.links.len())?);
        Ok(())
    }

    /// Whether a seqgate is on the way to the brokers, though it may be down.
    pub fn has_seqgate(&self) -> bool {
        self.config != Path::new("")
    }

    /// Ends the seqgate that runs, if one does.
    pub fn end_seqgate(&mut self, death: Death) {
        self.end_seqgate_while(death, |_| {});
    }

    /// The same; `meanwhile` is done when it has been told to end, and may do what it waits for.
    pub fn end_seqgate_while(&mut self, death: Death, meanwhile: impl FnOnce(&Self)) {
        let Some(mut seqgate) = self.seqgate.take() else { return };
        match death {
            Death::Orderly => {
                seqgate.process().terminate();
                meanwhile(self);
                seqgate.wait_stopped();
            }
            Death::Sudden => drop(seqgate.process().kill()),
        }
        self.logged.push_str(&seqgate.log());
    }

    /// Starts seqgate on the ports that the one before it had.
    pub fn start_seqgate_again(&mut self) {
        assert!(self.seqgate.is_none(), "seqgate runs");
        self.start_seqgate(Self::try_start_seqgate);
    }

    fn start_seqgate(&mut self, attempt: impl Fn(&mut Self) -> Result<(), String>) {
        let mut attempts = 1;
        while let Err(said) = attempt(self) {
            // Somebody else had a port between our look and its bind.
            assert!(said.contains("in use") && attempts < START_ATTEMPTS, "seqgate does not start\n{said}");
            attempts += 1;
        }
    }

    /// Has each broker answer one question that comes all the way: seqgate answers by itself only where somebody has been
    /// served without having to authenticate.
    pub fn ask_each_broker(&self) {
        for link in &self.links {
            let answers = || probe::advertised_ports(link.front.address()).is_ok();
            eventually("answer of a broker", answers, || link.front.address().to_string());
        }
    }

    /// Ends the broker of a link.
    pub fn end_broker(&mut self, link: usize, death: Death) {
        let broker = &mut self.links[link].broker;
        match death {
            Death::Orderly => broker.stop_clean(),
            Death::Sudden => broker.kill(),
        }
    }

    /// Makes topics, with a copy on every broker.
    pub fn create_topics(&mut self, topics: &[String], partitions: usize) {
        let direct = self.a_running_broker().direct();
        self.tools.create_topics(direct, topics, partitions);
    }

    /// Has every partition of these topics led by another broker, with all brokers up.
    pub fn move_leaders(&mut self, topics: &[String]) {
        let direct = self.a_running_broker().direct();
        self.tools.move_leaders(direct, topics);
    }

    /// A broker that is up.
    pub fn a_running_broker(&self) -> &Kafka {
        self.links.iter().map(|link| &link.broker).find(|broker| broker.is_running()).expect("a broker runs")
    }

    /// Where clients find the cluster.
    pub fn bootstrap(&self) -> SocketAddr {
        self.links[0].front.address()
    }

    /// The relays on one side, one per broker.
    pub fn relays(&self, side: Side) -> impl Iterator<Item = &Relay> {
        self.links.iter().map(move |link| match side {
            Side::Front => &link.front,
            Side::Back => &link.back,
        })
    }

    /// Produce requests of a client that have come since the start.
    pub fn requests_of(&self, client: &str) -> usize {
        self.relays(Side::Front).map(|front| front.requests_of(client)).sum()
    }

    /// Produce answers to a client that are kept on that side now.
    pub fn held_of(&self, side: Side, client: &str) -> usize {
        self.relays(side).map(|relay| relay.held_of(client)).sum()
    }

    /// Connections of clients that have come since the start, let in or refused.
    pub fn attempts(&self) -> usize {
        self.relays(Side::Front).map(Relay::attempts).sum()
    }

    /// Cuts that have struck since the start, on both sides.
    pub fn struck(&self) -> usize {
        self.links.iter().map(|link| link.front.struck().len() + link.back.struck().len()).sum()
    }

    /// Judges all that a producer did on its topic.
    pub fn judge(&mut self, producer: &Producer) -> Outcome {
        let direct = self.a_running_broker().direct();
        judge(producer.acked(), producer.failed(), self.tools.read_log(direct, producer.topic()))
    }

    /// Lines in the journal of all seqgates since the last beginning that hold this text; the last second may be missing.
    pub fn journal_lines(&self, text: &str) -> usize {
        let journal = fs::read(self.config.with_file_name("journal")).unwrap_or_default();
        String::from_utf8_lossy(&journal).lines().filter(|line| line.contains(text)).count()
    }

    /// Ends seqgate in good order, and looks through the logs of all since the last beginning.
    pub fn assert_seqgates_quiet(&mut self, allowed: &[&str]) {
        self.end_seqgate(Death::Orderly);
        assert_quiet(&self.logged, &[&WARNINGS_OF_A_RIG, allowed].concat());
    }
}
