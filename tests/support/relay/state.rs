//! What a relay is told to do, and what it has counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::recording::Stream;
use super::{Ending, Point, Strike};

#[derive(Default)]
pub(super) struct State {
    pub(super) upstream: Option<SocketAddr>,
    pub(super) refusing: Option<Ending>,
    pub(super) holding: bool,
    pub(super) closed: bool,
    pub(super) strikes: Vec<Armed>,
    pub(super) struck: Vec<Strike>,
    pub(super) refused: usize,
    /// Of all clients.
    pub(super) counts: Counts,
    /// By client id.
    pub(super) clients: BTreeMap<String, Counts>,
    pub(super) connections: BTreeMap<usize, Connection>,
    pub(super) connections_made: usize,
}

impl State {
    /// Counts a Produce request that was read, and says whether it is to be cut.
    pub(super) fn count_request(&mut self, connection: usize) -> Option<Strike> {
        self.count(connection, |counts| &mut counts.requests, Point::is_on_request)
    }

    /// Counts a Produce answer that is about to go on, and says whether it is to be cut.
    pub(super) fn count_answer(&mut self, connection: usize) -> Option<Strike> {
        self.count(connection, |counts| &mut counts.answers, |point| !point.is_on_request())
    }

    fn count(
        &mut self,
        connection: usize,
        counter: impl Fn(&mut Counts) -> &mut usize,
        found_here: impl Fn(Point) -> bool,
    ) -> Option<Strike> {
        let client = self.connection(connection).stream.client.clone();
        let one_more = |counts: &mut Counts| {
            *counter(counts) += 1;
            *counter(counts)
        };
        let of_all = one_more(&mut self.counts);
        let of_client = one_more(self.clients.entry(client.clone()).or_default());
        let due = |armed: &Armed| {
            let nth = match &armed.client {
                Some(wanted) => (*wanted == client).then_some(of_client),
                None => Some(of_all),
            };
            found_here(armed.strike.point) && nth == Some(armed.strike.nth)
        };
        let at = self.strikes.iter().position(due)?;
        let strike = self.strikes.remove(at).strike;
        self.struck.push(strike);
        Some(strike)
    }

    pub(super) fn counts_of(&self, client: &str) -> Counts {
        self.clients.get(client).copied().unwrap_or_default()
    }

    pub(super) fn connection(&mut self, id: usize) -> &mut Connection {
        self.connections.entry(id).or_default()
    }

    pub(super) fn open_connection(&mut self) -> usize {
        let id = self.connections_made;
        self.connections_made += 1;
        self.connection(id).open = true;
        self.connection(id).stream.connection = id;
        id
    }

    pub(super) fn count_refused(&mut self) {
        self.refused += 1;
    }

    pub(super) fn held(&self) -> usize {
        self.connections.values().map(|connection| connection.held).sum()
    }

    pub(super) fn held_of(&self, client: &str) -> usize {
        let of_client = self.connections.values().filter(|connection| connection.stream.client == client);
        of_client.map(|connection| connection.held).sum()
    }

    pub(super) fn summary(&self) -> String {
        let open = self.connections.values().filter(|connection| connection.open).count();
        format!(
            "{} connections, {open} open, {} refused, {} produce requests, {} answers gone on, {} held, \
             struck {:?}, to come {:?}",
            self.connections_made,
            self.refused,
            self.counts.requests,
            self.counts.answers,
            self.held(),
            self.struck,
            self.strikes,
        )
    }
}

/// Produce requests that were read, and Produce answers that were about to go on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) requests: usize,
    pub(super) answers: usize,
}

/// A cut to come.
#[derive(Debug)]
pub(super) struct Armed {
    /// Only connections of the client with this id.
    pub(super) client: Option<String>,
    /// Its `nth` is absolute, by the counts it belongs to.
    pub(super) strike: Strike,
}

/// A connection's record, and the order to end it.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) open: bool,
    pub(super) cut: Option<Ending>,
    /// Produce answers read from upstream that wait for leave to go on.
    pub(super) held: usize,
    pub(super) stream: Stream,
}
