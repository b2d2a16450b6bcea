//! Requests of our own, to look into the log: they go between the client's, and the client gets nothing of them.

use std::future::pending;
use std::time::Duration;

use seqgate_protocol::event::{Event, GivenUp, LookUpEvent, LookUpOutcome};
use seqgate_protocol::sequencing::ErrorCode;
use seqgate_protocol::session::{LookUp, Subject};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::super::fifo::{Expected, Own};
use super::super::link::{Link, Wish};
use super::super::looks::Turn;
use super::super::unwind;
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
        let Some(Wish { look_ups, deadline, mut back }) = self.link.take_wish() else { return Ok(()) };
        if back.is_closed() {
            // It was given up.
            return Ok(());
        }
        let looked = self.look_for(look_ups, Some((deadline, &mut back))).await?;
        back.send(looked).ok();
        Ok(())
    }

    /// Looks into these logs, one after the other, for the request at the front.
    pub(super) async fn look_into(&mut self, look_ups: Vec<LookUp>) -> Result<Vec<LookUp>, UpEnd> {
        self.look_for(look_ups, None).await
    }

    /// `kept_back`: for an answer that goes as it came at this time, or when nobody hears what is found.
    async fn look_for(
        &mut self,
        look_ups: Vec<LookUp>,
        kept_back: Option<(Instant, &mut oneshot::Sender<Vec<LookUp>>)>,
    ) -> Result<Vec<LookUp>, UpEnd> {
        // What stands before must be on its way, for the answers come in this order.
        self.flush().await?;
        let since = Instant::now();
        let deadline = self.row.deadline(since);
        let mut asker = match kept_back {
            None => Asker { deadline, back: None },
            Some((end, back)) => Asker { deadline: end.min(deadline), back: Some(back) },
        };
        let looked = self.look_one_by_one(look_ups, &mut asker).await;
        self.row.note(since, Instant::now());
        looked
    }

    async fn look_one_by_one(&mut self, look_ups: Vec<LookUp>, asker: &mut Asker<'_>) -> Result<Vec<LookUp>, UpEnd> {
        let mut looked = Vec::new();
        for look in look_ups {
            let mut tale = Tale::new(self.link, &look);
            match self.look(Box::new(look), asker, &mut tale).await? {
                Looked::Over(look) => {
                    tale.ends_with(&look);
                    looked.push(*look);
                }
                Looked::GivenUp(why) => {
                    tale.ends_early(why);
                    break;
                }
            }
        }
        Ok(looked)
    }

    /// One look, once nobody else looks there, and only if what they have found is not enough.
    async fn look(
        &mut self,
        mut look: Box<LookUp>,
        asker: &mut Asker<'_>,
        tale: &mut Tale<'_>,
    ) -> Result<Looked, UpEnd> {
        loop {
            let cluster = self.link.cluster();
            let (topic, partition) = (look.topic().into(), look.partition());
            match cluster.looks.begin(topic, partition) {
                Turn::Ours(_turn) => {
                    self.link.session().look_back(&mut look, self.link.runtime.shared.now());
                    return self.ask(look, asker, tale).await;
                }
                Turn::Theirs(over) => {
                    let patience = asker.deadline.min(Instant::now() + TURN_PATIENCE);
                    if wanted(&self.client, timeout_at(patience, over)).await?.is_err() {
                        // Of whoever looks there the broker is slow, or many look one after the other.
                        return self.ask(look, asker, tale).await;
                    }
                }
            }
        }
    }

    /// Request by request, until the look is over.
    async fn ask(
        &mut self,
        mut look: Box<LookUp>,
        asker: &mut Asker<'_>,
        tale: &mut Tale<'_>,
    ) -> Result<Looked, UpEnd> {
        loop {
            let correlation_id = self.link.own_correlation_id();
            let Some(frame) = look.request(correlation_id) else { return Ok(Looked::Over(look)) };
            // The client may have begun to authenticate again meanwhile.
            let asks = self.link.session().asks(&self.link.present());
            let is_late = Instant::now() >= asker.deadline;
            let hindrance = [
                (asker.has_given_up(), GivenUp::Unwanted),
                (!asks, GivenUp::Unserved),
                (!self.link.may_send_own(), GivenUp::Busy),
                (is_late, GivenUp::Late),
            ];
            if let Some((_, why)) = hindrance.into_iter().find(|(is_there, _)| *is_there) {
                return Ok(Looked::GivenUp(why));
            }
            let (back, answer) = oneshot::channel();
            tale.is_untold = true;
            self.expect(Expected::Own(Box::new(Own::new(self.link, correlation_id, look, back)))).await?;
            let written = wanted(&self.client, socket::write_all(self.broker, &frame)).await?;
            written.map_err(UpEnd::BrokerLost)?;
            // Given up, it stays in its place in the order of answers.
            let answered = async {
                tokio::select! {
                    biased;
                    answered = timeout_at(asker.deadline, answer) => match answered {
                        Ok(answered) => answered.map_err(|_| GivenUp::Closed),
                        Err(_) => Err(GivenUp::Late),
                    },
                    () = asker.given_up() => Err(GivenUp::Unwanted),
                }
            };
            match wanted(&self.client, answered).await? {
                Ok(answered) => look = answered,
                Err(why) => return Ok(Looked::GivenUp(why)),
            }
        }
    }
}

/// Whom a look is for.
struct Asker<'a> {
    /// Until when it waits.
    deadline: Instant,
    /// Where the answer hears of it that is kept back, as long as there is room for what follows it. `None`: for the request at
    /// the front.
    back: Option<&'a mut oneshot::Sender<Vec<LookUp>>>,
}

impl Asker<'_> {
    fn has_given_up(&self) -> bool {
        self.back.as_ref().is_some_and(|back| back.is_closed())
    }

    /// Waits until nobody wants to know any more.
    async fn given_up(&mut self) {
        match &mut self.back {
            None => pending().await,
            Some(back) => back.closed().await,
        }
    }
}

/// How far a look has come.
enum Looked {
    /// To its end.
    Over(Box<LookUp>),
    /// Not there.
    GivenUp(GivenUp),
}

/// What is told of a look once it is over. Dropped before, it has ended with its connection.
struct Tale<'a> {
    link: &'a Link,
    subject: Subject,
    since: Instant,
    /// The broker was asked, and nothing is told of it yet.
    is_untold: bool,
}

impl<'a> Tale<'a> {
    fn new(link: &'a Link, look: &LookUp) -> Self {
        Self { link, subject: look.subject(), since: Instant::now(), is_untold: false }
    }

    /// What somebody else has found was not asked for, and is no look.
    fn ends_with(mut self, look: &LookUp) {
        if let Some(outcome) = look.outcome().filter(|_| look.has_asked()) {
            self.tell(outcome, look.place(), look.error(), None);
        }
    }

    fn ends_early(mut self, why: GivenUp) {
        self.tell(LookUpOutcome::GivenUp, None, None, Some(why));
    }

    fn tell(
        &mut self,
        outcome: LookUpOutcome,
        base_offset: Option<i64>,
        error: Option<ErrorCode>,
        given_up: Option<GivenUp>,
    ) {
        self.is_untold = false;
        let Subject { kind, topic, partition, batch, expected } = &self.subject;
        let (topic, took) = (topic.as_ref(), self.since.elapsed());
        let (kind, partition, batch, expected) = (*kind, *partition, *batch, *expected);
        let mut reporter = self.link.reporter();
        reporter.take(Event::LookedUp(LookUpEvent {
            kind,
            outcome,
            topic,
            partition,
            batch,
            expected,
            base_offset,
            error,
            given_up,
            took,
        }));
        reporter.finish(self.link.session().ledger());
    }
}

impl Drop for Tale<'_> {
    fn drop(&mut self) {
        if self.is_untold {
            unwind::settle(|| self.tell(LookUpOutcome::GivenUp, None, None, Some(GivenUp::Closed)));
        }
    }
}
