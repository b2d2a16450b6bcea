//! Clients that take part: producers of every family, and two whose records are in transactions.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::plan::Round;
use super::storm::PARTITIONS;
use crate::support::chain::Chain;
use crate::support::family::Family;
use crate::support::jvm::Version;
use crate::support::producer::Producer;
use crate::support::rig::Side;
use crate::support::{PATIENCE, eventually};

/// For all that is left to do once everything is up again.
const SETTLING: Duration = Duration::from_secs(150);
const TRANSACTIONAL: [(Family, &str); 2] =
    [(Family::Java(Version::V4_3_1), "txn-java-4.3.1"), (Family::Java(Version::V3_9_1), "txn-java-3.9.1")];

/// A client that takes part.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) producer: Producer,
    pub(crate) transactions: Option<Transactions>,
    /// The records of each round.
    pub(crate) rounds: Vec<Range<usize>>,
    /// It has not settled records within all patience, and gets no more.
    pub(crate) stuck: bool,
}

/// What became of the transactions of a producer.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    pub(crate) committed: Vec<Range<usize>>,
    pub(crate) aborted: Vec<Range<usize>>,
    /// Those that were to be committed and could not be, and why.
    pub(crate) refused: Vec<(Range<usize>, String)>,
    /// What it said when it could neither commit nor abort any more.
    pub(crate) dead: Option<String>,
    open: Option<Open>,
}

/// A transaction that is being ended.
#[derive(Debug)]
struct Open {
    first: usize,
    told: Option<(&'static str, usize)>,
}

/// Starts one of each family, and the transactional ones; each has a topic of its own.
pub(crate) fn launch(chain: &mut Chain, families: &[Family], label: &str, impatient: bool) -> Vec<Member> {
    let plain = families.iter().map(|family| (*family, family.name(), false));
    let transactional = TRANSACTIONAL.into_iter().filter(|(family, _)| families.contains(family));
    let all: Vec<_> = plain.chain(transactional.map(|(family, name)| (family, name, true))).collect();
    let topics: Vec<_> = all.iter().map(|(_, name, _)| format!("{label}-{name}")).collect();
    chain.create_topics(&topics, PARTITIONS);
    let mut members = Vec::new();
    for ((family, name, has_transactions), topic) in all.into_iter().zip(topics) {
        // However long brokers take to come back: a record is given up for its age by nobody.
        let mut settings = vec![("client.id", name), ("delivery.timeout.ms", "600000")];
        if impatient && family.retries_late() {
            settings.push(("request.timeout.ms", "5000"));
        }
        if has_transactions {
            // Nobody else ends its transactions, however long a round takes.
            settings.extend([("transactional.id", topic.as_str()), ("transaction.timeout.ms", "600000")]);
        }
        let producer = Producer::launch(family, chain.bootstrap(), &topic, &settings);
        let transactions = has_transactions.then(Transactions::default);
        members.push(Member { name, producer, transactions, rounds: Vec::new(), stuck: false });
    }
    members.iter().for_each(|member| member.producer.wait_ready());
    members
}

impl Member {
    /// Gives it a record for each partition, in calm: then it has several in flight as soon as it may, and the partitions
    /// are part of its transaction.
    pub(crate) fn begin_round(&mut self, round: &Round) {
        let sent = self.producer.sent();
        if self.stuck {
            return self.rounds.push(sent..sent);
        }
        self.rounds.push(sent..sent + PARTITIONS + round.records);
        self.begin_transaction();
        for partition in 0..PARTITIONS {
            self.producer.begin_send(1, Some(partition.try_into().unwrap()));
        }
    }

    /// Gives it the first of the round's own records, apart from each other where answers are held; the rest is for
    /// [`Self::send_rest`].
    pub(crate) fn send_first(&mut self, chain: &Chain, round: &Round) {
        if self.stuck || round.records == 0 {
            return;
        }
        let Some(side) = round.held() else {
            return self.producer.begin_send(1, round.partition);
        };
        for _ in 0..self.first_of(round) {
            let before = chain.requests_of(self.name);
            self.producer.begin_send(1, round.partition);
            let gone = || chain.requests_of(self.name) > before || self.is_settled();
            eventually("request of a record", gone, || format!("{}: {before} requests, {side:?}", self.name));
        }
    }

    /// Waits until what was sent first is where the round wants it.
    pub(crate) fn wait_first(&self, chain: &Chain, round: &Round, requests: usize) {
        let held = |side| chain.held_of(side, self.name);
        let there = || match round.held() {
            // All of them, so that seqgate has seen every acknowledgement.
            Some(Side::Front) => held(Side::Front) >= self.first_of(round),
            // After a restart one batch at a time may be let through to the broker.
            Some(Side::Back) => held(Side::Back) >= 1,
            None => chain.requests_of(self.name) > requests,
        };
        let state = || format!("{}: {} and {} held", self.name, held(Side::Front), held(Side::Back));
        eventually("beginning of a round", || there() || self.is_settled(), state);
    }

    /// Gives it those of the round's records that it does not have yet.
    pub(crate) fn send_rest(&mut self, round: &Round) {
        let end = self.rounds.last().expect("a round has begun").end;
        let left = end - self.producer.sent();
        if left > 0 {
            self.producer.begin_send(left, round.partition);
        }
    }

    /// As many as it sends before answers come.
    fn first_of(&self, round: &Round) -> usize {
        round.records.min(self.producer.family().in_flight())
    }

    /// Whether it has nothing left to do.
    pub(crate) fn is_settled(&self) -> bool {
        self.stuck || self.producer.settled() >= self.producer.sent()
    }

    /// Waits until each of its records is acknowledged or failed; after all patience it is stuck.
    pub(crate) fn wait_settled(&mut self, since: Instant) {
        if !self.is_settled() && !self.producer.wait_settled_until(since + SETTLING) {
            self.stuck = true;
            println!(
                "  {}: {} of {} settled\n{}",
                self.name,
                self.producer.settled(),
                self.producer.sent(),
                self.producer.tail()
            );
        }
    }

    /// Ends it, and leaves no transaction open: one that cannot end its own is fenced by another.
    pub(crate) fn close(&mut self, chain: &Chain) {
        let dead = self.transactions.as_ref().is_some_and(|transactions| transactions.dead.is_some());
        if !self.stuck && !dead {
            return self.producer.close();
        }
        if self.transactions.is_some() {
            let topic = self.producer.topic();
            let settings = [("transactional.id", topic)];
            let mut successor = Producer::launch(self.producer.family(), chain.bootstrap(), topic, &settings);
            successor.wait_ready();
            successor.close();
        }
    }

    fn begin_transaction(&mut self) {
        let Some(transactions) = &mut self.transactions else { return };
        if transactions.dead.is_some() {
            return;
        }
        let begun = self.producer.begin_transaction("begin");
        match self.producer.end_transaction("begin", begun) {
            Ok(()) => transactions.open = Some(Open { first: self.producer.sent(), told: None }),
            Err(error) => transactions.dead = Some(error),
        }
    }

    /// Tells it to end its transaction, and does not wait.
    pub(crate) fn decide_transaction(&mut self, commits: bool) {
        let open = self.transactions.as_mut().and_then(|transactions| transactions.open.as_mut());
        if let Some(open) = open.filter(|open| open.told.is_none()) {
            let command = if commits { "commit" } else { "abort" };
            open.told = Some((command, self.producer.begin_transaction(command)));
        }
    }

    /// Waits until its transaction has ended, in whatever way is left.
    pub(crate) fn finish_transaction(&mut self) {
        let Some(transactions) = &mut self.transactions else { return };
        let Some(Open { first, told: Some((mut command, mut begun)) }) = transactions.open.take() else { return };
        let records = first..self.producer.sent();
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let ended = self.producer.end_transaction(command, begun);
            match (ended, command) {
                (Ok(()), "commit") => return transactions.committed.push(records),
                (Ok(()), _) => return transactions.aborted.push(records),
                // It wants to be asked once more.
                (Err(error), _) if error.contains("TimeoutException") && Instant::now() < deadline => {}
                (Err(error), "commit") => {
                    transactions.refused.push((records.clone(), error));
                    command = "abort";
                }
                (Err(error), _) => {
                    transactions.dead = Some(error);
                    return;
                }
            }
            begun = self.producer.begin_transaction(command);
        }
    }
}

/// Clients with short patience come again by themselves; whether each that does so has.
pub(crate) fn have_come_again(members: &[Member], chain: &Chain, before: &[usize]) -> bool {
    members.iter().zip(before).all(|(member, before)| {
        !member.producer.family().retries_late() || member.is_settled() || chain.requests_of(member.name) > *before
    })
}
