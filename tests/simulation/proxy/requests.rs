//! A proxy takes the next request of a client.

use seqgate_protocol::event::{Action, BatchEvent, Event, Rule, Verdict};
use seqgate_protocol::session::{Admission, Mixed, Mode, Pending};

use super::answers::is_refusal;
use super::look::Told;
use super::{Api, Asked, Frame, Settle, Slot};
use crate::batch::{Batch, Key};
use crate::random::Random;
use crate::wire::{Request, Response};
use crate::world::World;

/// With fewer producers than this, some are forgotten.
pub(crate) const SMALL: u32 = 100;

/// How often a batch is asked for again that waits for the first of its producer, before it goes all the same.
pub(crate) const GUARD_PATIENCE: u32 = 5;

/// Where a batch is called by one of these, its producer may have sent it before.
const OLD: [Rule; 9] =
    [Rule::D5, Rule::D10, Rule::D11, Rule::D12, Rule::D14, Rule::D15, Rule::D16, Rule::D19, Rule::D23];

/// How many of a hundred requests are asked about by their fronts first.
const BY_HEAD: usize = 40;

/// How often a log is looked into for one request.
const LOOKS_MAX: u32 = 3;

/// What a session reported of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    verdict: Verdict,
    rule: Rule,
    action: Action,
    key: Option<Key>,
    is_new_gap: bool,
}

impl World {
    /// The next frame of a client is looked at.
    pub(crate) fn proxy_takes(&mut self, at: usize, random: &mut Random) {
        if self.connections[at].looks.wish.is_some() {
            return self.grant_wish(at);
        }
        let Some(frame) = self.connections[at].from_client.front().cloned() else { return };
        let Api::Produce(version) = frame.api else {
            self.connections[at].from_client.pop_front();
            self.connections[at].slots.push_back(Slot::Pass(frame.api));
            self.connections[at].to_broker.push_back(frame);
            return;
        };
        if self.connections[at].session.is_none() {
            self.connections[at].from_client.pop_front();
            self.connections[at].to_broker.push_back(frame);
            return;
        }
        self.follow(at);
        let request = Request::read(&frame.bytes);
        let asked = self.asked(at, &request);
        debug_assert_eq!(request.version, version);
        if random.percent(self.setup.streams) && !self.connections[at].held {
            self.stream(at, frame, request, asked, random);
        } else if !random.percent(BY_HEAD) || !self.by_head(at, &frame, &request, &asked, random) {
            let may_look = self.may_look(at) && !self.connections[at].held;
            self.admit(at, frame, request, asked, may_look);
        }
        self.release(at);
    }

    /// The request at the front is decided on after the log was looked into for it. `stands`: nothing has spoken against
    /// the log meanwhile.
    pub(super) fn admit_looked(&mut self, at: usize, stands: bool) {
        self.follow(at);
        let Some(frame) = self.connections[at].from_client.front().cloned() else { return };
        let request = Request::read(&frame.bytes);
        let asked = self.asked(at, &request);
        let may_look = !stands && self.connections[at].looks.rounds < LOOKS_MAX && self.may_look(at);
        self.admit(at, frame, request, asked, may_look);
    }

    /// What the witness is told of each entry.
    pub(super) fn asked(&self, at: usize, request: &Request) -> Vec<Asked> {
        let connection = &self.connections[at];
        let broker = self.proxies[connection.proxy].generation(connection.broker);
        let guarded = connection.waits < GUARD_PATIENCE
            && self.policy(at).mode != Mode::Observe
            && self.proxies[connection.proxy].serves_without_sasl();
        let asked = |(topic, index, records): &(_, i32, Vec<u8>)| {
            let twice = request.entries.iter().filter(|(t, i, _)| (t, i) == (topic, index)).count() > 1;
            Asked {
                partition: self.number_of(topic, *index),
                topic: topic.clone(),
                index: *index,
                batch: Batch::read(records),
                acks: request.acks,
                sent: self.step,
                connection: at,
                broker,
                opaque: twice,
                is_suspect: false,
                may_be_old: false,
                found: None,
                guarded,
            }
        };
        request.entries.iter().map(asked).collect()
    }

    fn admit(&mut self, at: usize, frame: Frame, request: Request, mut asked: Vec<Asked>, may_look: bool) {
        let connection = &mut self.connections[at];
        let guards = connection.waits < GUARD_PATIENCE;
        let present = self.proxies[connection.proxy].present(connection.broker, self.now_ms, may_look, guards);
        let held = std::mem::take(&mut connection.held);
        let session = connection.session.as_mut().expect("there is a proxy");
        let mut reported = Vec::new();
        let admission = session.admit(&frame.bytes, held, &present, &mut |event| report(&event, &mut reported));
        if !matches!(admission, Admission::Look(_)) {
            self.connections[at].looks.rounds = 0;
        }
        if !matches!(admission, Admission::Hold | Admission::Reset | Admission::Look(_)) {
            self.judge_verdicts(at, &mut asked, &reported);
        }
        if matches!(admission, Admission::Forward(_) | Admission::Strip { .. }) && held {
            self.judge_held(at, &asked);
        }
        if let Admission::Answer(local) = &admission {
            self.judge_if_refused(at, &request, &asked, &Response::read(request.version, local.frame()));
        }
        let asks = self.asks(at);
        if !matches!(admission, Admission::Hold | Admission::Look(_)) {
            let connection = &mut self.connections[at];
            connection.from_client.pop_front();
            (connection.waits, connection.waits_since_ms) = (0, None);
            connection.waits_for_firsts.clear();
            (connection.looks.would_refuse, connection.looks.told) = (false, Told::default());
        } else {
            self.connections[at].waits_since_ms.get_or_insert(self.now_ms);
        }
        match admission {
            Admission::Forward(pending) => {
                self.judge_forwarded(at, &request, &asked);
                self.forward(at, frame, request, (asked, asks), pending);
            }
            Admission::Strip { frame: left, pending } => {
                self.strip(at, (frame, left), request, (asked, asks), pending);
            }
            Admission::Answer(local) => {
                let response = Response::read(request.version, local.frame());
                for asked in asked.iter().filter(|_| !is_refusal(&response)) {
                    self.tally.answered += 1;
                    self.judge_answer(at, asked, response.said_of(asked));
                }
                if self.policy(at).mode == Mode::Observe {
                    self.fail("a batch was answered in observe mode".into());
                }
                self.connections[at].slots.push_back(Slot::Local(Box::new(local), asked));
            }
            Admission::Hold => {
                self.tell(|| format!("#    c{at} has to wait"));
                self.judge_hold(at, &asked);
                self.tally.held += 1;
                self.connections[at].held = true;
                self.connections[at].waits += 1;
            }
            Admission::Reset => {
                self.tally.resets += 1;
                self.client_goes(at, true);
            }
            Admission::Look(ups) if may_look => self.look_for_request(at, ups, &request, &asked),
            Admission::Look(_) => self.fail("the log is looked into where it may not be".into()),
            Admission::Unread | Admission::Stream(_) => {
                self.fail(format!("a request went through unread: {request:?}"))
            }
        }
    }

    /// The whole request goes to the broker.
    fn forward(
        &mut self,
        at: usize,
        frame: Frame,
        request: Request,
        (asked, asks): (Vec<Asked>, bool),
        pending: Option<Pending>,
    ) {
        for asked in &asked {
            self.note_forwarded(at, asked);
        }
        if pending.is_some() != (request.acks != 0) {
            self.fail(format!("an answer is due or not: {request:?}"));
        }
        if let Some(pending) = pending {
            let sent = (0..asked.len()).collect();
            let (version, correlation_id) = (request.version, request.correlation_id);
            let ledger = self.connections[at].ledger;
            let settle = Settle { pending: Some(pending), correlation_id, version, ledger, asked, sent, request, asks };
            self.connections[at].slots.push_back(Slot::Settle(Box::new(settle)));
        }
        self.connections[at].to_broker.push_back(frame);
    }

    fn strip(
        &mut self,
        at: usize,
        (frame, left): (Frame, Vec<u8>),
        request: Request,
        (asked, asks): (Vec<Asked>, bool),
        pending: Pending,
    ) {
        let policy = self.policy(at);
        let sent = self.left_in(&request, &left);
        if policy.mode == Mode::Observe || policy.mixed != Mixed::Strip || sent.is_empty() || sent.len() == asked.len()
        {
            self.fail(format!("stripped to {sent:?} of {request:?}"));
        }
        for (place, asked) in asked.iter().enumerate() {
            if sent.contains(&place) {
                self.note_forwarded(at, asked);
            } else {
                self.tally.stripped += 1;
                self.judge_answer(at, asked, None);
            }
        }
        let (version, correlation_id) = (request.version, request.correlation_id);
        let ledger = self.connections[at].ledger;
        let settle = Settle { pending: Some(pending), correlation_id, version, ledger, asked, sent, request, asks };
        self.connections[at].slots.push_back(Slot::Settle(Box::new(settle)));
        self.connections[at].to_broker.push_back(Frame { bytes: left, ..frame });
    }

    /// Which entries are left in a request; everything else in it must be as it was.
    fn left_in(&mut self, request: &Request, left: &[u8]) -> Vec<usize> {
        let left = Request::read(left);
        let is_left = |place: &usize| left.entries.contains(&request.entries[*place]);
        let sent: Vec<usize> = (0..request.entries.len()).filter(is_left).collect();
        let rest =
            Request { entries: sent.iter().map(|place| request.entries[*place].clone()).collect(), ..request.clone() };
        if rest != left {
            self.fail(format!("stripped {request:?} to {left:?}"));
        }
        sent
    }

    /// The request is decided on by its front. False: by all of it, then.
    fn by_head(&mut self, at: usize, frame: &Frame, request: &Request, asked: &[Asked], random: &mut Random) -> bool {
        let may_look = self.may_look(at);
        let connection = &mut self.connections[at];
        if connection.held {
            return false;
        }
        let present = self.proxies[connection.proxy].present(connection.broker, self.now_ms, may_look, true);
        let session = connection.session.as_mut().expect("there is a proxy");
        let mut reported = Vec::new();
        let mut sink = |event: Event<'_>| report(&event, &mut reported);
        let size = (frame.bytes.len() - 4) as u32;
        let front = random.below(frame.bytes.len() + 1);
        let Some(streamed) = session.admit_by_head(&frame.bytes[..front], size, &present, &mut sink) else {
            if !reported.is_empty() {
                self.fail(format!("a request that was not decided on was reported of: {request:?}"));
            }
            return false;
        };
        self.tally.by_head += 1;
        let connection = &mut self.connections[at];
        connection.from_client.pop_front();
        (connection.looks.rounds, connection.waits, connection.waits_since_ms) = (0, 0, None);
        let (mut asked, mut streamed) = (asked.to_vec(), streamed);
        self.judge_verdicts(at, &mut asked, &reported);
        self.judge_forwarded(at, request, &asked);
        let session = self.connections[at].session.as_mut().expect("there is a proxy");
        let mut rest = &frame.bytes[..];
        let mut goes_on = true;
        while goes_on && !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(97)));
            goes_on = streamed.pass_over(piece.len())
                || session.stream(&mut streamed, piece, &present, &mut |_: Event<'_>| {});
            rest = behind;
        }
        let pending = session.end_stream(streamed, &present);
        if !goes_on {
            self.fail("a request that was on its way was stopped".into());
        }
        let asks = self.asks(at);
        self.forward(at, frame.clone(), request.clone(), (asked, asks), pending);
        true
    }

    /// The request passes in pieces, as one that is too large to be held.
    fn stream(&mut self, at: usize, frame: Frame, request: Request, mut asked: Vec<Asked>, random: &mut Random) {
        // What cannot be held cannot wait, and nobody waits for it.
        asked.iter_mut().for_each(|asked| asked.guarded = false);
        let connection = &mut self.connections[at];
        connection.from_client.pop_front();
        let present = self.proxies[connection.proxy].present(connection.broker, self.now_ms, false, true);
        let session = connection.session.as_mut().expect("there is a proxy");
        let mut reported = Vec::new();
        let mut sink = |event: Event<'_>| report(&event, &mut reported);
        let size = (frame.bytes.len() - 4) as u32;
        let Some(mut streamed) = session.begin_stream(&frame.bytes, size, &mut sink) else {
            return self.fail(format!("a streamed request went through unread: {request:?}"));
        };
        let mut rest = &frame.bytes[..];
        let mut goes_on = true;
        while goes_on && !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(97)));
            goes_on = session.stream(&mut streamed, piece, &present, &mut sink);
            rest = behind;
        }
        self.tally.streamed += 1;
        if goes_on {
            let pending = session.end_stream(streamed, &present);
            self.judge_verdicts(at, &mut asked, &reported);
            let asks = self.asks(at);
            return self.forward(at, frame, request, (asked, asks), pending);
        }
        session.cut_stream(streamed, &present);
        asked.iter().for_each(|asked| self.witness(at).cut_off(asked));
        self.tally.resets += 1;
        self.client_goes(at, true);
    }

    fn note_forwarded(&mut self, at: usize, asked: &Asked) {
        self.judge_overtaking(at, asked);
        // In observe mode nothing is held back, and a duplicate that cannot be left out of its request is not the next.
        // Nor is it known who goes alone when producers are evicted.
        let now_ms = self.now_ms;
        let is_old = self.witness(at).proof(asked, now_ms).is_ok() || self.setup.limits.producers_max < SMALL;
        let problem = self.witness(at).forwarded(asked).filter(|_| !is_old);
        if let Some(problem) = problem.filter(|_| self.policy(at).mode != Mode::Observe) {
            self.fail(problem);
        }
    }

    fn judge_verdicts(&mut self, at: usize, asked: &mut [Asked], reported: &[Reported]) {
        if reported.len() != asked.len() {
            self.fail(format!("{} verdicts on {} batches", reported.len(), asked.len()));
        }
        for (asked, reported) in asked.iter_mut().zip(reported) {
            self.tell(|| {
                let Reported { verdict, rule, action, .. } = reported;
                let batch = &asked.batch;
                format!("#    c{at} {batch:?}: {} {} {}", verdict.name(), rule.name(), action.name())
            });
            // Of these two rules the broker's refusal makes a gap.
            asked.is_suspect = reported.verdict == Verdict::Suspect && matches!(reported.rule, Rule::D5a | Rule::D18);
            asked.may_be_old = OLD.contains(&reported.rule);
            // What there is no room for teaches nothing.
            asked.opaque |= reported.rule == Rule::T36;
            asked.found = (reported.rule == Rule::L1).then_some((self.step, self.now_ms));
            self.tally.found += u64::from(asked.found.is_some());
            if asked.batch.is_idempotent() && reported.key != Some(asked.batch.key()) {
                self.fail(format!("{reported:?} was reported of {:?}", asked.batch));
            }
            self.judge_verdict(at, asked, reported.verdict);
            self.judge_gap(at, asked, reported.verdict, reported.is_new_gap);
        }
    }
}

/// Keeps what is judged of an event.
fn report(event: &Event<'_>, reported: &mut Vec<Reported>) {
    let Event::Batch(BatchEvent { verdict, rule, action, batch, new_gap, .. }) = event else { return };
    let key = batch.map(|id| Key {
        producer_id: id.producer_id.get(),
        epoch: id.epoch.get(),
        base: id.range.first.get(),
        last: id.range.last.get(),
    });
    reported.push(Reported { verdict: *verdict, rule: *rule, action: *action, key, is_new_gap: *new_gap });
}
