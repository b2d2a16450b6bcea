//! What happened, into counters, the log and the journal.

use std::time::Instant;

use seqgate_protocol::event::{BatchEvent, Event, LookUpEvent, LookUpOutcome, Unread};
use seqgate_protocol::sequencing::{BatchId, Sequence, TopicId, TopicRef};
use seqgate_protocol::session::Ledger;
use seqgate_protocol::wire::produce::OwnedTopic;
use tracing::{debug, info, trace, warn};

use super::cluster::ClusterRef;
use super::link::Link;
use crate::runtime::Runtime;
use crate::telemetry::journal::Scribe;
use crate::telemetry::labels::Passthrough;

/// Counts and logs the events of one connection, after the session is done with them.
pub(super) struct Reporter<'a> {
    link: &'a Link,
    /// A gap to be told once no lock is held: (topic, partition, batch, expected).
    gaps: Vec<(OwnedTopic, i32, BatchId, Sequence)>,
    scribe: Scribe<'a>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(link: &'a Link) -> Self {
        Self { link, gaps: Vec::new(), scribe: link.runtime.journal.scribe(&link.record) }
    }

    /// Takes in one event. Runs while the session is held, so it must not ask for it.
    pub(super) fn take(&mut self, event: Event<'_>) {
        self.scribe.take(&event);
        let metrics = &self.link.runtime.metrics;
        match event {
            Event::Batch(batch) => self.take_batch(&batch),
            Event::Held { topic, partition, batch, waits_for } => {
                metrics.held.inc(waits_for);
                debug!(
                    topic = %Shown(topic),
                    partition,
                    producer = batch.producer_id.get(),
                    base_sequence = batch.range.first.get(),
                    waits_for = waits_for.name(),
                    "a batch waits"
                );
            }
            Event::LookedUp(look) => self.take_look(&look),
            Event::GapConfirmed { topic, partition, batch, expected } => {
                self.note_gap(topic, partition, batch, expected);
            }
            Event::Resolved { topic, partition, batch, base_offset } => {
                debug!(
                    topic = %Shown(topic),
                    partition,
                    producer = batch.producer_id.get(),
                    base_sequence = batch.range.first.get(),
                    base_offset,
                    "a batch that the broker refused stands in the log"
                );
            }
            Event::ProofsEnded { topic, partition, evidence } => {
                debug!(topic = %Shown(topic), partition, ?evidence, "proofs ended");
            }
            Event::ProducerNew { producer_id, epoch } => {
                debug!(producer = producer_id.get(), epoch = epoch.get(), "producer id handed out");
            }
            Event::TopicRecreated { name, old, new } => {
                debug!(topic = %Shown(TopicRef::Name(name)), %old, %new, "topic re-created");
            }
            Event::Unread(why) => {
                metrics.passthrough.inc(label_of(why));
                debug!(reason = why.name(), "a produce request goes through unread");
            }
            Event::ResponseUndecodable => {
                metrics.passthrough.inc(Passthrough::Undecodable);
                debug!("a produce response does not match its request");
            }
        }
    }

    fn take_look(&self, look: &LookUpEvent<'_>) {
        let Runtime { metrics, shared, .. } = &*self.link.runtime;
        metrics.own_requests.inc(look.kind, look.outcome);
        metrics.look_latency.observe(look.took);
        debug!(
            topic = %Shown(look.topic),
            partition = look.partition,
            producer = look.batch.map(|id| id.producer_id.get()),
            base_sequence = look.batch.map(|id| id.range.first.get()),
            kind = look.kind.name(),
            outcome = look.outcome.name(),
            error = look.error.map(|error| error.0),
            given_up = look.given_up.map(|why| why.name()),
            took = ?look.took,
            "looked into the log for a batch"
        );
        if matches!(look.outcome, LookUpOutcome::NotAllowed | LookUpOutcome::LogEnd)
            && shared.is_newly_unreadable(look.topic)
        {
            info!(
                topic = %Shown(look.topic),
                client_id = self.link.record.client_id(),
                "a client may not read a topic that it writes to: acknowledgements that were not seen cannot be looked up \
                 for it (grant it READ, if they are to be)"
            );
        }
    }

    fn take_batch(&mut self, batch: &BatchEvent<'_>) {
        self.link.runtime.metrics.batches.inc(batch.verdict, batch.action);
        trace!(
            topic = %Shown(batch.topic),
            partition = batch.partition,
            producer = batch.batch.map(|id| id.producer_id.get()),
            epoch = batch.batch.map(|id| id.epoch.get()),
            base_sequence = batch.batch.map(|id| id.range.first.get()),
            verdict = batch.verdict.name(),
            action = batch.action.name(),
            rule = batch.rule.name(),
            "batch"
        );
        if let (true, Some(id), Some(expected)) = (batch.new_gap, batch.batch, batch.expected) {
            self.note_gap(batch.topic, batch.partition, id, expected);
        }
    }

    fn note_gap(&mut self, topic: TopicRef<'_>, partition: i32, batch: BatchId, expected: Sequence) {
        self.link.runtime.metrics.gaps.inc();
        if let Some(suppressed) = self.link.runtime.shared.gap_warnings.admit(Instant::now()) {
            if suppressed > 0 {
                debug!(suppressed, "gaps not logged");
            }
            self.gaps.push((OwnedTopic::from(topic), partition, batch, expected));
        }
    }

    /// Tells what had to wait until the session was free.
    pub(super) fn finish(self, ledger: &ClusterRef) {
        self.scribe.finish(|id| directory_name(id, ledger));
        for (topic, partition, batch, expected) in self.gaps {
            let topic = name_of(&topic, ledger);
            let client_id = self.link.record.client_id();
            warn!(
                producer = batch.producer_id.get(),
                epoch = batch.epoch.get(),
                topic,
                partition,
                expected = expected.get(),
                received = batch.range.first.get(),
                client_id,
                "sequence gap"
            );
        }
    }
}

/// As people know the topic: by its name, where it is known.
fn name_of(topic: &OwnedTopic, ledger: &ClusterRef) -> String {
    let name = match topic {
        OwnedTopic::Name(_) => None,
        OwnedTopic::Id(id) => directory_name(*id, ledger),
    };
    name.map_or_else(|| Shown(topic.as_ref()).to_string(), |name| Shown(TopicRef::Name(&name)).to_string())
}

fn directory_name(id: TopicId, ledger: &ClusterRef) -> Option<Box<[u8]>> {
    ledger.directory(|directory| directory.name_of(id).map(Into::into))
}

fn label_of(why: Unread) -> Passthrough {
    match why {
        Unread::Version => Passthrough::Version,
        Unread::Undecodable => Passthrough::Undecodable,
        Unread::SaslRaw => Passthrough::SaslRaw,
        Unread::TooLarge => Passthrough::TooLarge,
        Unread::Memory => Passthrough::Memory,
    }
}

/// A topic as the log shows it: hostile bytes are escaped.
struct Shown<'a>(TopicRef<'a>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            TopicRef::Name(name) => write!(f, "{}", name.escape_ascii()),
            TopicRef::Id(id) => write!(f, "{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one vocabulary, and it is the protocol's.
    #[test]
    fn metrics_say_why_something_went_unread_in_the_words_of_its_event() {
        for why in [Unread::Version, Unread::Undecodable, Unread::SaslRaw, Unread::TooLarge, Unread::Memory] {
            assert_eq!(label_of(why).as_str(), why.name());
        }
    }
}
