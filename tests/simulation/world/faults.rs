//! What goes wrong.

use seqgate_protocol::session::Mode;

use super::World;
use crate::clients::Family;
use crate::plan::Act;
use crate::proxy::{Connection, Witness};
use crate::random::Random;

/// What brokers say of batches when they have trouble: not stored, perhaps stored, stored and not replicated, too
/// large, refused for good.
const TROUBLES: [i16; 11] = [19, 19, 2, 7, 20, 10, 10, 87, 29, 3, 56];

impl World {
    pub(super) fn suffer(&mut self, fault: Act, random: &mut Random) {
        match fault {
            Act::CutClient => {
                if let Some(at) = self.pick(random, |it| it.client_here) {
                    self.client_goes(at, random.percent(50));
                }
            }
            Act::CutBroker => {
                if let Some(at) = self.pick(random, |it| it.broker_here) {
                    self.broker_goes(at, random.percent(50));
                }
            }
            Act::GiveUpOrphan => {
                if let Some(at) = self.pick(random, |it| it.broker_here && !it.client_here) {
                    self.orphan_ends(at);
                }
            }
            Act::RestartBroker => {
                let broker = random.below(self.setup.make.brokers);
                self.tell(|| format!("# broker {broker} restarts"));
                self.broker_ends(broker);
                self.cluster.restart(broker, random);
            }
            Act::Wait => {
                let seconds = *random.pick(&[1, 20, 100, 200, 301, 4_000]);
                self.tell(|| format!("wait {seconds}s"));
                self.now_ms += 1000 * seconds;
                self.witnesses().for_each(|witness| witness.note_wait(1000 * seconds));
            }
            Act::RestartProxy => {
                let proxy = random.below(self.proxies.len());
                self.tell(|| format!("# proxy {proxy} restarts"));
                self.proxy_ends(proxy);
            }
            Act::Sweep => self.sweep(),
            Act::Skip => self.skip(random),
            Act::SwitchMode => self.switch_mode(),
            Act::LookLate => self.is_late(random),
            Act::Drain => {
                if let Some(at) = self.pick(random, |it| it.session.is_some() && it.sends() && !it.looks_now()) {
                    self.drain(at);
                }
            }
            Act::RestartClient => {
                let client = random.below(self.clients.len());
                self.restart_client(client);
            }
            _ => self.suffer_at_cluster(fault, random),
        }
    }

    fn suffer_at_cluster(&mut self, fault: Act, random: &mut Random) {
        let partition = random.below(self.cluster.partitions.len());
        match fault {
            Act::MoveLeader => {
                self.tell(|| format!("# partition {partition} gets another leader"));
                self.cluster.move_leader(partition, random);
            }
            Act::LoseTail => {
                self.tell(|| format!("# partition {partition} loses its tail"));
                self.cluster.lose_tail(partition, random);
                self.has_lost |= self.cluster.partitions[partition].has_lost;
            }
            Act::Expire => {
                self.tell(|| format!("# partition {partition} forgets its producers"));
                self.cluster.partitions[partition].log.expire();
            }
            Act::Trouble => {
                let code = *random.pick(&TROUBLES);
                self.tell(|| format!("# partition {partition} will answer {code}"));
                self.cluster.partitions[partition].trouble = Some(code);
            }
            Act::Recreate => {
                let topic = random.below(self.cluster.topics.len());
                self.tell(|| format!("# topic {topic} is deleted and made anew"));
                self.cluster.recreate(topic);
                self.has_lost = true;
            }
            Act::Trim => {
                self.tell(|| format!("# partition {partition} lets its oldest go"));
                self.cluster.partitions[partition].log.trim(random);
            }
            Act::Wipe => self.wipe(random),
            Act::Redirect => {
                self.tell(|| "# the connections lead to another cluster".into());
                self.cluster.is_another_one(random.percent(30));
                self.has_lost = true;
            }
            other => unreachable!("{other:?} is no fault of the cluster"),
        }
    }

    /// The cluster loses everything; its numbers start again.
    fn wipe(&mut self, random: &mut Random) {
        self.tell(|| "# the cluster loses everything".into());
        let is_another = random.percent(40);
        // Something between proxy and brokers may keep the connections and lead them to another cluster.
        if !is_another || random.percent(40) {
            (0..self.setup.make.brokers).for_each(|broker| self.broker_ends(broker));
        }
        self.cluster.wipe(is_another);
        self.has_lost = true;
        for client in 0..self.clients.len() {
            if random.percent(60) {
                self.restart_client(client);
            }
        }
    }

    /// A look, or an answer that is kept back for one, has taken too long.
    fn is_late(&mut self, random: &mut Random) {
        let of_uplink = random.percent(50);
        let waits = |it: &Connection| if of_uplink { it.looks_now() } else { it.back.waits() };
        if let Some(at) = self.pick(random, waits) {
            if of_uplink {
                self.look_is_late(at)
            } else {
                self.back_is_late(at)
            }
            self.tidy(at);
        }
    }

    /// A client's process starts again.
    fn restart_client(&mut self, client: usize) {
        self.tell(|| format!("# client {client} starts again"));
        for at in self.clients[client].connections.clone().into_iter().flatten() {
            self.client_goes(at, true);
        }
        let born = self.clients[client].reborn(self.cluster.wipes);
        self.close_account(client);
        self.clients[client] = born;
        self.refresh(client);
    }

    pub(super) fn sweep(&mut self) {
        self.tell(|| "sweep".into());
        self.witnesses().for_each(Witness::note_unusual);
        self.proxies.iter().for_each(|proxy| proxy.sweep(self.now_ms));
    }

    /// A client leaves sequences out.
    fn skip(&mut self, random: &mut Random) {
        let client = random.below(self.clients.len());
        let partition = random.below(self.cluster.partitions.len());
        if self.clients[client].family == Family::Java && self.clients[client].skip(partition) {
            self.tell(|| format!("# client {client} leaves three sequences of partition {partition} out"));
        }
    }

    fn switch_mode(&mut self) {
        self.has_switched = true;
        for proxy in &mut self.proxies {
            proxy.policy.mode = match proxy.policy.mode {
                Mode::Observe if self.setup.policy.mode == Mode::Enforce => Mode::Enforce,
                Mode::Observe => Mode::Dedupe,
                Mode::Dedupe | Mode::Enforce => Mode::Observe,
            };
        }
        let mode = self.proxies[0].policy.mode;
        self.tell(|| format!("set mode={}", super::name_of(mode)));
    }
}
