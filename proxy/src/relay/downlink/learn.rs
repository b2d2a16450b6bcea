//! What passing answers tell.

use seqgate_protocol::session::Learnt;
use seqgate_protocol::wire::learn::{Fact, Learner};

use super::super::link::Link;
use super::super::seat::TooOften;

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
                if let Err(TooOften) = session.be_told(id, &link.runtime.shared.clusters) {
                    link.lose_cluster();
                }
            }
            Learnt::Broker { host, port } => {
                if let Ok(host) = std::str::from_utf8(host) {
                    link.runtime.note_advertised(&link.listener, host, port);
                }
            }
        },
    );
    link.place.note_served(session.auth());
    reporter.finish(session.ledger());
}
