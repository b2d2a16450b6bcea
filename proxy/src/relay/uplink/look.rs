//! Requests of our own, to look into the log: they go between the client's, and the client gets nothing of them.

use std::time::Duration;

use seqgate_protocol::session::{LookUp, LookUpOutcome};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::super::fifo::{Expected, Own};
use super::super::link::Wish;
use super::super::looks::Turn;
use super::{Frame, Step, UpEnd, Uplink, wanted};
use crate::net::socket;

/// How long another connection's look into the same log is waited for before it is looked into at the same time.
const TURN_PATIENCE: Duration = Duration::from_millis(500);

impl Uplink<'_> {
    /// Whether a request of our own can go now: the broker has no part of one.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.frame, None | Some(Frame::Gathering))
    }

    /// Looks up what the downlink wants to know.
    pub(super) async fn grant_wish(&mut self) -> Step {
        let Some(Wish { look_ups, deadline, back }) = self.link.take_wish() else { return Ok(()) };
        if back.is_closed() {
            // It was given up.
            return Ok(());
        }
        let looked = self.look_into(look_ups, Some(deadline)).await?;
        back.send(looked).ok();
        Ok(())
    }

    /// Looks into these logs, one after the other. `at_latest`: when the answer that they are for goes as it came.
    pub(super) async fn look_into(
        &mut self,
        look_ups: Vec<LookUp>,
        at_latest: Option<Instant>,
    ) -> Result<Vec<LookUp>, UpEnd> {
        // What stands before must be on its way, for the answers come in this order.
        self.flush().await?;
        let since = Instant::now();
        let deadline = self.row.deadline(since);
        let looked = self.look_one_by_one(look_ups, at_latest.map_or(deadline, |end| end.min(deadline))).await;
        self.row.note(since.elapsed());
        looked
    }

    async fn look_one_by_one(&mut self, look_ups: Vec<LookUp>, deadline: Instant) -> Result<Vec<LookUp>, UpEnd> {
        let mut looked = Vec::new();
        for look in look_ups {
            let kind = look.kind();
            let look = self.look(Box::new(look), deadline).await?;
            let outcome = look.as_ref().and_then(|look| look.outcome()).unwrap_or(LookUpOutcome::GivenUp);
            // What somebody else has found was not asked for.
            if look.as_ref().is_none_or(|look| look.has_asked()) {
                self.link.runtime.metrics.own_requests.inc(kind, outcome);
            }
            let Some(look) = look else { break };
            self.link.note_look_up(&look, outcome);
            looked.push(*look);
        }
        Ok(looked)
    }

    /// One look, once nobody else looks there, and only if what they have found is not enough; `None` when it is given
    /// up.
    async fn look(&mut self, mut look: Box<LookUp>, deadline: Instant) -> Result<Option<Box<LookUp>>, UpEnd> {
        loop {
            let cluster = self.link.cluster();
            let (topic, partition) = (look.topic().into(), look.partition());
            match cluster.looks.begin(topic, partition) {
                Turn::Ours(_turn) => {
                    self.link.session().look_back(&mut look, self.link.runtime.shared.now());
                    return self.ask(look, deadline).await;
                }
                Turn::Theirs(over) => {
                    let patience = deadline.min(Instant::now() + TURN_PATIENCE);
                    if wanted(&self.client, timeout_at(patience, over)).await?.is_err() {
                        // Of whoever looks there the broker is slow, or many look one after the other.
                        return self.ask(look, deadline).await;
                    }
                }
            }
        }
    }

    /// Request by request, until the look is over.
    async fn ask(&mut self, mut look: Box<LookUp>, deadline: Instant) -> Result<Option<Box<LookUp>>, UpEnd> {
        loop {
            let correlation_id = self.link.own_correlation_id();
            let Some(frame) = look.request(correlation_id) else { return Ok(Some(look)) };
            // The client may have begun to authenticate again meanwhile.
            let asks = self.link.session().asks(&self.link.present());
            if !asks || !self.link.may_send_own() || Instant::now() >= deadline {
                return Ok(None);
            }
            let (back, answer) = oneshot::channel();
            self.expect(Expected::Own(Box::new(Own::new(self.link, correlation_id, look, back)))).await?;
            let written = wanted(&self.client, socket::write_all(self.broker, &frame)).await?;
            written.map_err(UpEnd::BrokerLost)?;
            match wanted(&self.client, timeout_at(deadline, answer)).await? {
                Ok(Ok(answered)) => look = answered,
                // Nobody will answer it, or not in time. It stays in its place in the order of answers.
                Ok(Err(_)) | Err(_) => return Ok(None),
            }
        }
    }
}
