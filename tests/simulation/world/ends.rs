//! How connections end.

use seqgate_protocol::sequencing::Millis;

use super::World;
use crate::proxy::{Connection, Slot};

impl World {
    /// A connection of a client, through one of the proxies, to one of the brokers.
    pub(super) fn connect(&mut self, client: usize, proxy: usize, broker: usize) -> usize {
        let at = self.connections.len();
        let session = (!self.direct).then(|| self.proxies[proxy].connect(broker));
        let born_in = self.clients[client].born_in;
        self.connections.push(Connection { born_in, ..Connection::new((client, proxy, broker), session) });
        self.live.push(at);
        self.clients[client].connections[broker] = Some(at);
        self.tell(|| format!("connect c{at} broker={broker}"));
        at
    }

    /// The client's side ends: by a reset, which loses what was not read yet, or in order.
    pub(crate) fn client_goes(&mut self, at: usize, resets: bool) {
        let connection = &mut self.connections[at];
        if resets {
            connection.from_client.clear();
            connection.looks.rounds = 0;
        }
        if !connection.client_here {
            return;
        }
        connection.client_here = false;
        connection.to_client.clear();
        connection.awaited.clear();
        connection.slots.retain(|slot| !matches!(slot, Slot::Local(..)));
        let client = connection.client;
        self.clients[client].lose(at);
        self.tell(|| format!("close c{at}"));
        self.uplink_may_end(at);
        self.tidy(at);
    }

    /// The proxy stops, or the client has closed its side: what was asked for is answered still.
    pub(super) fn drain(&mut self, at: usize) {
        self.tell(|| format!("# c{at} is drained"));
        // With nothing between, nobody does.
        self.has_orphans = true;
        self.connections[at].is_drained = true;
        self.uplink_may_end(at);
        self.tidy(at);
    }

    /// A client that sends no more takes the uplink with it, with all that it looks up.
    fn uplink_may_end(&mut self, at: usize) {
        if self.connections[at].sends() {
            return;
        }
        self.stop_looking(at);
        if !self.connections[at].back.is_empty() {
            self.go_on_with_back(at, Vec::new());
        }
    }

    /// The broker's side ends. `executes`: what the broker has read already is executed all the same.
    pub(crate) fn broker_goes(&mut self, at: usize, executes: bool) {
        self.upstream_ends(at, executes, true);
        self.client_goes(at, true);
        self.forget_if_over(at);
    }

    fn upstream_ends(&mut self, at: usize, executes: bool, by_broker: bool) {
        let connection = &mut self.connections[at];
        if !executes {
            connection.to_broker.clear();
        }
        connection.waiting = None;
        connection.from_broker.clear();
        connection.from_client.clear();
        if !std::mem::replace(&mut connection.broker_here, false) || self.direct {
            return;
        }
        self.tell(|| if by_broker { format!("lose c{at}") } else { format!("# c{at} ends") });
        self.stop_looking(at);
        if by_broker && executes {
            self.give_up_back(at);
        } else {
            self.drop_back(at);
        }
        let connection = &mut self.connections[at];
        self.proxies[connection.proxy].disconnect(connection.broker, by_broker);
        let now_ms = self.now_ms;
        for slot in std::mem::take(&mut self.connections[at].slots) {
            if let Slot::Settle(settle) = slot {
                let connection = &mut self.connections[at];
                if let (Some(pending), Some(session)) = (settle.pending, &connection.session) {
                    session.abandon(pending, Millis(self.now_ms));
                }
                let witness = self.proxies[connection.proxy].witness(settle.ledger);
                settle.asked.iter().for_each(|asked| witness.unanswered(asked, now_ms));
            }
        }
    }

    /// The proxy waits no longer for the answers that a client which has gone is owed.
    pub(super) fn orphan_ends(&mut self, at: usize) {
        self.upstream_ends(at, true, true);
        self.forget_if_over(at);
    }

    /// A client that has gone and is owed nothing takes the broker's side with it.
    pub(crate) fn tidy(&mut self, at: usize) {
        let connection = &self.connections[at];
        let is_owed = !self.direct && connection.is_owed();
        if connection.broker_here
            && connection.is_drained
            && (connection.has_told_all() || !connection.client_here && !is_owed)
        {
            self.upstream_ends(at, true, false);
            self.client_goes(at, true);
        }
        let connection = &self.connections[at];
        self.has_orphans |= is_owed && connection.broker_here && !connection.client_here;
        if connection.broker_here && !connection.client_here && connection.from_client.is_empty() && !is_owed {
            self.upstream_ends(at, true, false);
        }
        self.forget_if_over(at);
    }

    fn forget_if_over(&mut self, at: usize) {
        if self.connections[at].is_over() {
            self.connections[at].session = None;
            self.live.retain(|live| *live != at);
        }
    }

    /// Every connection of a proxy ends with it; what it had sent on is executed.
    pub(super) fn proxy_ends(&mut self, proxy: usize) {
        let of_it = |at: &usize| self.connections[*at].proxy == proxy;
        for at in self.live.iter().copied().filter(of_it).collect::<Vec<_>>() {
            self.broker_goes(at, true);
        }
        if !self.direct {
            self.proxies[proxy].restart();
        }
    }

    /// Every connection to a broker ends with it.
    pub(super) fn broker_ends(&mut self, broker: usize) {
        let to_it = |at: &usize| self.connections[*at].broker == broker;
        for at in self.live.iter().copied().filter(to_it).collect::<Vec<_>>() {
            self.broker_goes(at, false);
        }
    }
}
