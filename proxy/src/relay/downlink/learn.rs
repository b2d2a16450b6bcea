//! What passing answers tell.

use std::sync::Arc;

use seqgate_protocol::session::Learnt;
use seqgate_protocol::wire::learn::{Fact, Learner};

use super::super::cluster::ClusterRef;
use super::super::clusters::TooMany;
use super::super::link::Link;
use crate::telemetry::labels::Outcome;

/// Feeds an answer's bytes to its learner and acts on what it tells.
pub(super) fn learn(link: &Link, learner: &mut Learner, version: i16, bytes: &[u8]) {
    let present = link.present();
    let mut reporter = link.reporter();
    let mut session = link.session();
    learner.feed(
        bytes,
        &mut |fact: Fact<'_>| match session.learn(fact, version, &present, &mut |e| reporter.take(e)) {
            Learnt::Done => {}
            Learnt::ClusterId(id) => {
                let current = Arc::clone(&session.ledger().0);
                let switched = match link.runtime.shared.clusters.identify(&link.place.name, &current, id) {
                    Ok(None) => return,
                    Ok(Some(other)) => session.switch(ClusterRef(other)),
                    Err(TooMany) => false,
                };
                if !switched {
                    link.lose_client(Outcome::Protocol, "the broker changes its cluster id too often");
                }
                // A batch of this connection that is held back has to ask elsewhere.
                current.notify_settled();
            }
            Learnt::Broker { host, port } => {
                if let Ok(host) = std::str::from_utf8(host) {
                    link.runtime.note_advertised(&link.listener, host, port);
                }
            }
        },
    );
    reporter.finish(session.ledger());
}
