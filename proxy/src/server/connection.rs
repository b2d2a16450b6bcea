//! One connection from its accept to its last line in the log.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, warn};

use super::workers::Lease;
use crate::net::foreign::LISTENER_WITHOUT_TLS;
use crate::net::{dial, socket};
use crate::relay::{self, Closed, Connection, Totals};
use crate::runtime::{ConnectionRecord, DrainSignal, Runtime};
use crate::telemetry::labels::Outcome;

/// A client that has a permit but no broker yet.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Not registered with any runtime yet: it is with that of its thread.
    pub(super) client: io::Result<std::net::TcpStream>,
    pub(super) open: Open,
    pub(super) drain: DrainSignal,
}

/// Counts and lists a connection until it is dropped, in whatever way its task ends.
#[derive(Debug)]
pub(super) struct Open {
    runtime: Arc<Runtime>,
    record: Arc<ConnectionRecord>,
    outcome: Option<Outcome>,
    totals: Totals,
    _permit: OwnedSemaphorePermit,
    _lease: Lease,
}

impl Accepted {
    /// Dials the broker, relays, and tells how it ended.
    pub(super) async fn serve(self) {
        let Self { client, mut open, drain } = self;
        let closed = match client.and_then(registered) {
            Ok(client) => open.serve(client, drain).await,
            Err(error) => left_early(&error),
        };
        (open.outcome, open.totals) = (Some(closed.outcome), closed.totals);
        open.tell(&closed);
    }
}

impl Open {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        record: Arc<ConnectionRecord>,
        permit: OwnedSemaphorePermit,
        lease: Lease,
    ) -> Self {
        runtime.metrics.connections_open.inc();
        Self { runtime, record, outcome: None, totals: Totals::default(), _permit: permit, _lease: lease }
    }

    async fn serve(&self, client: TcpStream, drain: DrainSignal) -> Closed {
        let dialled = tokio::select! {
            dialled = self.dial() => dialled,
            () = drain.started() => {
                socket::reset(client);
                return unserved(Outcome::Drain, "the proxy stopped before the broker was reached".to_owned());
            }
        };
        match dialled {
            Ok(upstream) => self.relay(client, upstream, drain).await,
            Err(error) => {
                self.reset(client, &error);
                unserved(Outcome::Error, error.to_string())
            }
        }
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        self.record.listener.upstream.dial(self.runtime.config.limits.dial_timeout).await
    }

    async fn relay(&self, client: TcpStream, upstream: TcpStream, drain: DrainSignal) -> Closed {
        let (record, runtime) = (Arc::clone(&self.record), Arc::clone(&self.runtime));
        let _lease = record.listener.upstream.lease();
        let connection = Connection {
            id: record.id,
            client,
            client_addr: record.client_addr,
            upstream,
            listener: Arc::clone(&record.listener),
            record: Arc::clone(&record),
        };
        relay::run(connection, runtime, drain).await
    }

    /// One line at the end of every connection, and a warning where somebody has to look into it.
    fn tell(&self, closed: &Closed) {
        let Closed { outcome, detail, totals } = closed;
        let Totals { bytes_to_broker, bytes_to_client, requests, responses } = totals;
        let (outcome, age_ms) = (outcome.as_str(), self.record.age().as_millis());
        debug!(outcome, detail, requests, responses, bytes_to_broker, bytes_to_client, age_ms, "connection closed");
        let is_unanswered = *bytes_to_broker > 0 && *bytes_to_client == 0;
        match closed.outcome {
            Outcome::Protocol | Outcome::Limit => self.warn_given_up(closed),
            Outcome::Broker if is_unanswered => self.warn_unanswered(),
            Outcome::Client | Outcome::Broker | Outcome::Drain | Outcome::Timeout | Outcome::Error => {}
        }
    }

    /// A client or a broker that speaks something else, a broker that answers what it was not asked, a frame above the
    /// limit.
    fn warn_given_up(&self, closed: &Closed) {
        let (listener, upstream) = (&self.record.listener, &self.record.listener.upstream.address);
        if let Some(suppressed) = listener.refusals.admit(Instant::now()) {
            let (client_addr, client_id) = (self.record.client_addr, self.record.client_id());
            let (outcome, detail) = (closed.outcome.as_str(), &closed.detail);
            warn!(listener = listener.name, %upstream, client.addr = %client_addr, client_id, outcome, detail, suppressed, "connection given up");
        }
    }

    /// A broker that has answered before is stopping or restarting; of one that never has, it is not to be expected.
    fn warn_unanswered(&self) {
        let (listener, upstream) = (&self.record.listener, &self.record.listener.upstream);
        if upstream.has_answered() {
            return;
        }
        if let Some(suppressed) = upstream.warnings.admit(Instant::now()) {
            let (client_addr, client_id) = (self.record.client_addr, self.record.client_id());
            let (listener, upstream) = (&listener.name, &upstream.address);
            let cure =
                format!("if it expects TLS: {LISTENER_WITHOUT_TLS}; if it expects SASL, set that up in the client");
            warn!(listener, %upstream, client.addr = %client_addr, client_id, cure, suppressed, "the broker closes connections without an answer, and has answered none yet");
        }
    }

    /// Resets the client: an orderly close would be taken for a TLS mismatch by some, and fail their records for good.
    fn reset(&self, client: TcpStream, error: &io::Error) {
        socket::reset(client);
        if let Some(reason) = dial::reason(error) {
            self.runtime.metrics.upstream_errors.inc(reason);
        }
        let upstream = &self.record.listener.upstream;
        if let Some(suppressed) = upstream.warnings.admit(Instant::now()) {
            let listener = &self.record.listener.name;
            warn!(listener, upstream = %upstream.address, %error, suppressed, "broker unreachable: clients are reset");
        }
    }
}

/// The client's socket, with the runtime of the thread that serves it, unless the client is gone already.
fn registered(client: std::net::TcpStream) -> io::Result<TcpStream> {
    // Dialled for, one that only looks in and comes from this proxy itself, over a way that it cannot see, goes round for ever.
    if matches!(client.peek(&mut [0]), Ok(0)) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it sent nothing"));
    }
    let client = TcpStream::from_std(client)?;
    socket::tune(&client)?;
    Ok(client)
}

fn left_early(error: &io::Error) -> Closed {
    unserved(Outcome::Client, format!("the client left before it was served: {error}"))
}

/// The end of a connection through which nothing went.
fn unserved(outcome: Outcome, detail: String) -> Closed {
    Closed { outcome, detail: Some(detail), totals: Totals::default() }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.runtime.connections.close(self.record.id);
        self.runtime.metrics.connections_open.dec();
        let outcome = self.outcome.unwrap_or(Outcome::Error);
        self.runtime.metrics.connections_closed.inc(outcome);
        self.runtime.journal.note_end(&self.record, outcome, self.totals);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_client_that_is_gone_already_is_not_served() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let (silent, accepted) = connect();
        accepted.set_nonblocking(true).unwrap();
        registered(accepted).unwrap();
        let (gone, accepted) = connect();
        drop((silent, gone));
        // Waits for the end to arrive.
        assert_eq!(accepted.peek(&mut [0]).unwrap(), 0);
        accepted.set_nonblocking(true).unwrap();
        assert_eq!(registered(accepted).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        // Whoever has sent something before it left is heard.
        let (mut brief, accepted) = connect();
        std::io::Write::write_all(&mut brief, b"request").unwrap();
        drop(brief);
        accepted.peek(&mut [0]).unwrap();
        accepted.set_nonblocking(true).unwrap();
        registered(accepted).unwrap();
    }
}
