//! What passing answers tell of the cluster.

use super::{Ledger, Present, Report, Session};
use crate::event::Event;
use crate::sequencing::{Learned, TopicId, TopicRef};
use crate::wire::learn::Fact;

/// What the caller has to see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt<'a> {
    /// Nothing more.
    Done,
    /// The connection leads to the cluster with this id.
    ClusterId(&'a [u8]),
    /// Clients are told to find a broker here.
    Broker {
        /// The host as clients are told it.
        host: &'a [u8],
        /// The port.
        port: i32,
    },
}

impl<L: Ledger> Session<L> {
    /// Takes in one fact from an answer; `version` is that of its request.
    pub fn learn<'a>(
        &mut self,
        fact: Fact<'a>,
        version: i16,
        present: &Present,
        report: &mut impl Report,
    ) -> Learnt<'a> {
        match fact {
            Fact::ClusterId(id) => return Learnt::ClusterId(id),
            Fact::Broker { host, port, .. } => {
                self.auth.served();
                return Learnt::Broker { host, port };
            }
            Fact::Topic { error: 0, name: Some(name), id: Some(id) } => self.learn_topic(name, id, report),
            Fact::Producer { error: 0, producer_id, epoch } => {
                self.auth.served();
                self.ledger().each_tracker(|tracker| tracker.hand_out(producer_id, epoch));
                report(Event::ProducerNew { producer_id, epoch });
            }
            Fact::DeletedTopic { error: 0, name, id } => self.forget_topic(name, id),
            Fact::SaslHandshake { error } => self.auth.handshake_answered(version, error),
            Fact::SaslAuthenticate { error: 0, session_lifetime_ms } => {
                self.auth.authenticated(session_lifetime_ms, present.now);
            }
            Fact::SaslAuthenticate { .. } => self.auth.refused(),
            Fact::Topic { .. } | Fact::Producer { .. } | Fact::DeletedTopic { .. } => {}
        }
        Learnt::Done
    }

    fn learn_topic(&self, name: &[u8], id: TopicId, report: &mut impl Report) {
        let ledger = self.ledger();
        match ledger.directory(|directory| directory.learn(name, id)) {
            Learned::Nothing => return,
            Learned::Linked => {}
            Learned::Recreated { old } => {
                ledger.each_tracker(|tracker| tracker.end_topic(TopicRef::Id(old)));
                report(Event::TopicRecreated { name, old, new: id });
            }
        }
        ledger.each_tracker(|tracker| tracker.link(name, id));
    }

    fn forget_topic(&self, name: Option<&[u8]>, id: Option<TopicId>) {
        let ledger = self.ledger();
        let id = id.filter(|id| *id != TopicId::ZERO);
        // An answer may name a topic in one form while its state is kept under the other.
        let (known_name, known_id) = ledger.directory(|directory| {
            let name = name.or_else(|| directory.name_of(id?)).map(Box::<[u8]>::from);
            let id = id.or_else(|| directory.id_of(name.as_deref()?));
            directory.delete(name.as_deref(), id);
            (name, id)
        });
        ledger.each_tracker(|tracker| {
            if let Some(name) = &known_name {
                tracker.end_topic(TopicRef::Name(name));
            }
            if let Some(id) = known_id {
                tracker.end_topic(TopicRef::Id(id));
            }
        });
    }
}
