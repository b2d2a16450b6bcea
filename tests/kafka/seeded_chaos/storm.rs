//! Plays a plan on a chain, with or without seqgate.

use std::time::Instant;

use super::follower::Follower;
use super::members::{self, Member};
use super::plan::{Fault, Moment, Plan, Round};
use crate::support::chain::{Chain, Death};
use crate::support::eventually;
use crate::support::family::Family;
use crate::support::relay::{Point, Relay, Strike};
use crate::support::rig::Side;

/// Each led by another broker, where there are as many.
pub(crate) const PARTITIONS: usize = 3;

/// A plan that is being played.
pub(crate) struct Storm<'a> {
    pub(crate) chain: &'a mut Chain,
    pub(crate) members: Vec<Member>,
    pub(crate) follower: Follower,
    pub(crate) struck: usize,
}

impl<'a> Storm<'a> {
    /// Clients are up, and each has had a record acknowledged, when this returns.
    pub(crate) fn begin(chain: &'a mut Chain, families: &[Family], label: &str, plan: &Plan) -> Self {
        let members = members::launch(chain, families, label, plan.impatient);
        let transactional = members.iter().filter(|member| member.transactions.is_some());
        let topics: Vec<_> = transactional.map(|member| member.producer.topic().to_owned()).collect();
        let follower = Follower::launch(chain, &topics, label);
        let struck = chain.struck();
        let mut storm = Self { chain, members, follower, struck };
        storm.play_round(&Round::calm());
        storm
    }

    /// Plays all rounds, and one more in calm: what the last fault has left behind shows there.
    pub(crate) fn play(&mut self, plan: &Plan) {
        for round in &plan.rounds {
            self.play_round(round);
        }
        self.play_round(&Round::calm());
        self.struck = self.chain.struck() - self.struck;
        self.members.iter_mut().for_each(|member| member.close(self.chain));
    }

    fn play_round(&mut self, round: &Round) {
        self.chain.ask_each_broker();
        self.members.iter_mut().for_each(|member| member.begin_round(round));
        self.wait_settled();
        self.send_first(round);
        let before: Vec<_> = self.members.iter().map(|member| self.chain.requests_of(member.name)).collect();
        let attempts = self.chain.attempts();
        round.faults.iter().for_each(|fault| self.begin_fault(*fault));
        self.send_rest(round);
        if round.moment == Moment::Open && round.forgets() {
            // Somebody has noticed, unless nobody needs to: of several brokers the others may have all that was sent.
            let noticed = || self.chain.attempts() > attempts || self.members.iter().all(Member::is_settled);
            eventually("attempt to reach a broker that is down", noticed, || format!("{attempts} until now"));
        }
        for fault in round.faults.iter().rev() {
            self.end_fault(*fault, &before);
        }
        if let (Some(ending), Some(side)) = (round.lost, round.held()) {
            self.chain.relays(side).for_each(|relay| relay.cut_all(ending));
        }
        self.release(Side::Front);
        self.release(Side::Back);
        self.settle();
    }

    fn send_rest(&mut self, round: &Round) {
        for member in &mut self.members {
            member.send_rest(round);
            member.decide_transaction(round.commits);
        }
    }

    /// Answers pass on this side again.
    fn release(&self, side: Side) {
        self.chain.relays(side).for_each(Relay::release_answers);
    }

    /// Until every record of the round has met its fate; then nothing that was armed is left.
    fn settle(&mut self) {
        self.wait_settled();
        self.members.iter_mut().for_each(Member::finish_transaction);
        self.chain.links.iter().flat_map(|link| [&link.front, &link.back]).for_each(Relay::resume);
    }

    fn wait_settled(&mut self) {
        let since = Instant::now();
        self.members.iter_mut().for_each(|member| member.wait_settled(since));
    }

    fn send_first(&mut self, round: &Round) {
        if let Some(side) = round.held() {
            self.chain.relays(side).for_each(Relay::hold_answers);
        }
        let before: Vec<_> = self.members.iter().map(|member| self.chain.requests_of(member.name)).collect();
        self.members.iter_mut().for_each(|member| member.send_first(self.chain, round));
        for (member, before) in self.members.iter().zip(before) {
            member.wait_first(self.chain, round, before);
        }
    }

    fn begin_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Cut(side, strike) => self.arm(side, strike),
            // Held from the beginning of the round.
            Fault::Stall(_) => {}
            Fault::Broker { link, death } => self.chain.end_broker(link, death),
            Fault::Rolling(death) => {
                for link in 0..self.chain.links.len() {
                    self.chain.end_broker(link, death);
                    self.chain.links[link].broker.start_again();
                }
            }
            Fault::Leaders => {
                let topics: Vec<_> = self.members.iter().map(|member| member.producer.topic().to_owned()).collect();
                self.chain.move_leaders(&topics);
            }
            Fault::Proxy(death) => self.end_proxy(death),
        }
    }

    fn end_fault(&mut self, fault: Fault, before: &[usize]) {
        match fault {
            Fault::Stall(side) => {
                let again = || members::have_come_again(&self.members, self.chain, before);
                eventually("end of patience of each client", again, || format!("stalled on {side:?}"));
                self.release(side);
            }
            Fault::Broker { link, .. } => self.chain.links[link].broker.start_again(),
            Fault::Proxy(_) if self.chain.has_seqgate() => self.chain.start_seqgate_again(),
            Fault::Cut(..) | Fault::Rolling(_) | Fault::Leaders | Fault::Proxy(_) => {}
        }
    }

    /// One cut of each client at each broker, at an exchange that will come.
    fn arm(&self, side: Side, strike: Strike) {
        for member in &self.members {
            let nth = match strike.point {
                // Few requests are left to come.
                Point::InRequest | Point::AfterRequest => 1,
                Point::BeforeAnswer | Point::InAnswer | Point::AfterAnswer => {
                    strike.nth.min(member.producer.family().in_flight())
                }
            };
            for relay in self.chain.relays(side) {
                relay.strike_client(member.name, Strike { nth, ..strike });
            }
        }
    }

    /// In good order it first answers what is in flight, so answers must not be held from it.
    fn end_proxy(&mut self, death: Death) {
        self.chain.end_seqgate_while(death, |chain| chain.relays(Side::Back).for_each(Relay::release_answers));
    }
}
