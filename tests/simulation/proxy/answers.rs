//! A proxy takes the next answer of a broker.

use seqgate_protocol::event::Event;
use seqgate_protocol::sequencing::Millis;
use seqgate_protocol::session::{Learnt, Ledger, Local, Settled};
use seqgate_protocol::wire::head::ApiKey;
use seqgate_protocol::wire::learn::Learner;

use super::{Api, Asked, Connection, Frame, Settle, Slot};
use crate::wire::Response;
use crate::world::World;

impl World {
    /// The oldest answer of a broker is passed on.
    pub(crate) fn proxy_hears(&mut self, at: usize) {
        let Some(frame) = self.connections[at].from_broker.pop_front() else { return };
        if self.connections[at].session.is_none() {
            self.connections[at].to_client.push_back(frame);
            return;
        }
        self.follow(at);
        match self.connections[at].slots.pop_front() {
            Some(Slot::Settle(settle)) => self.settle(at, *settle, frame),
            Some(Slot::Own(own)) if own.correlation_id == frame.correlation_id => {
                self.own_is_answered(at, *own, &frame);
            }
            // The broker has lost its mind, and the connection goes.
            Some(Slot::Own(_)) => return self.broker_goes(at, false),
            Some(Slot::Pass(api)) => {
                self.learn(at, api, &frame.bytes);
                self.give(at, frame);
            }
            Some(Slot::Local(..)) | None => self.fail("an answer came that was not due".into()),
        }
        self.note_served(at);
        self.release(at);
        self.tidy(at);
    }

    /// A connection that was told nothing leads where the others of its proxy lead.
    pub(super) fn follow(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let (ledger, handle) = self.proxies[connection.proxy].home();
        if let Some(session) = connection.session.as_mut().filter(|session| !session.ledger().is_same(handle))
            && !connection.is_told
        {
            assert!(session.switch(handle.clone()), "clusters change too often");
            connection.ledger = ledger;
            // What it waited for was in the other one.
            connection.waits_for_firsts.clear();
        }
    }

    fn note_served(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        // It may have ended over this answer.
        let Some(session) = connection.session.as_ref() else { return };
        if session.auth().is_served_without_sasl() {
            self.proxies[connection.proxy].note_served();
        }
    }

    fn settle(&mut self, at: usize, mut settle: Settle, frame: Frame) {
        let response = Response::read(settle.version, &frame.bytes);
        self.tell(|| told(at, &settle.asked, &settle.sent, &response));
        let Some(pending) = settle.pending.take() else { unreachable!("there is a proxy") };
        let session = self.connections[at].session.as_mut().expect("there is a proxy");
        let mut gaps = Vec::new();
        let settled = session.settle(pending, &frame.bytes, Millis(self.now_ms), &mut |event| {
            if let Event::GapConfirmed { batch, partition, .. } = event {
                gaps.push((batch.producer_id.get(), partition, batch.range.first.get()));
            }
        });
        let open = match &settled {
            Settled::Look(_, ups) => self.open_in(&settle, &response, ups),
            Settled::Unchanged | Settled::Merged(_) | Settled::Reset(_) => Vec::new(),
        };
        self.judge_refused(at, &settle, &response, &open);
        let is_settled = |place: &&usize| !open.contains(place);
        let settled_here: Vec<Asked> =
            settle.sent.iter().filter(is_settled).map(|place| settle.asked[*place].clone()).collect();
        settled_here.iter().for_each(|asked| self.note_answered(at, settle.ledger, asked, &response, true));
        self.judge_confirmed(at, &settled_here, &response, &gaps);
        match settled {
            Settled::Look(unresolved, ups) => {
                self.keep_back_unresolved(at, (*unresolved, ups), settle, (frame, response), open);
            }
            settled => self.give_settled(at, settled, settle, frame, &response, false),
        }
    }

    /// The client gets an answer that the broker was asked for. `resolved`: after the log was looked into.
    pub(super) fn give_settled(
        &mut self,
        at: usize,
        settled: Settled,
        settle: Settle,
        frame: Frame,
        response: &Response,
        resolved: bool,
    ) {
        let is_whole = settle.is_whole();
        let Settle { asked, sent, request, correlation_id, version, .. } = settle;
        match settled {
            Settled::Unchanged if is_whole && !resolved => self.give(at, frame),
            Settled::Merged(bytes) if is_whole && resolved => {
                if Response::read(version, &bytes) != *response {
                    self.fail(format!("{response:?} was made {:?}", Response::read(version, &bytes)));
                }
                self.deliver(at, Frame { bytes, ..frame });
            }
            Settled::Merged(bytes) if !is_whole => {
                let merged = Response::read(version, &bytes);
                self.judge_merged(&request, &sent, response, &merged);
                let kept = asked.iter().enumerate().filter(|(place, _)| !sent.contains(place));
                kept.for_each(|(_, asked)| self.judge_leaving(at, asked, merged.said_of(asked)));
                let frame = Frame { bytes, ..frame };
                if resolved { self.deliver(at, frame) } else { self.give(at, frame) }
            }
            Settled::Reset(_) if !is_whole => {
                self.tally.resets += 1;
                self.client_goes(at, true);
            }
            other => self.fail(format!("the answer to {correlation_id} is {other:?}")),
        }
    }

    /// `by_broker`: it was not found in the log, against what its broker said.
    pub(super) fn note_answered(
        &mut self,
        at: usize,
        ledger: usize,
        asked: &Asked,
        response: &Response,
        by_broker: bool,
    ) {
        let Connection { proxy, ledger: present, .. } = self.connections[at];
        let (step, now_ms) = (self.step, self.now_ms);
        let Some(said) = response.said_of(asked) else {
            return self.proxies[proxy].witness(ledger).unanswered(asked, now_ms);
        };
        self.proxies[proxy].witness(ledger).answered(asked, said, by_broker, (step, now_ms));
        if present != ledger && matches!(said.error, 3 | 56 | 100) {
            // The same broker says it, whichever cluster the request was thought to go to.
            self.proxies[proxy].witness(present).is_gone(asked, step);
        }
    }

    /// What the client gets at last, in its turn.
    fn give(&mut self, at: usize, frame: Frame) {
        if self.connections[at].back.is_empty() {
            return self.deliver(at, frame);
        }
        if let Err(frame) = self.keep_back_frame(at, frame) {
            self.deliver(at, frame);
        }
    }

    /// What the client gets now.
    pub(super) fn deliver(&mut self, at: usize, frame: Frame) {
        if matches!(frame.api, Api::Own | Api::Log | Api::End | Api::Topic | Api::Producers) {
            self.fail("a client gets an answer to a request that is not its own".into());
        }
        if self.connections[at].client_here {
            self.connections[at].to_client.push_back(frame);
        }
    }

    /// Answers made here leave when nothing is due before them.
    pub(crate) fn release(&mut self, at: usize) {
        while matches!(self.connections[at].slots.front(), Some(Slot::Local(..))) {
            let Some(Slot::Local(local, asked)) = self.connections[at].slots.pop_front() else { return };
            if self.connections[at].back.is_empty() {
                self.deliver_local(at, &local, &asked);
            } else {
                self.keep_back_ours(at, local, asked);
            }
        }
    }

    pub(super) fn deliver_local(&mut self, at: usize, local: &Local, asked: &[Asked]) {
        if !self.connections[at].client_here {
            return;
        }
        let session = self.connections[at].session.as_ref().expect("there is a proxy");
        if session.still_holds(local, Millis(self.now_ms)) {
            self.give_local(at, local, asked);
        } else {
            self.tally.resets += 1;
            self.client_goes(at, true);
        }
    }

    fn give_local(&mut self, at: usize, local: &Local, asked: &[Asked]) {
        let bytes = local.frame().to_vec();
        let correlation_id = i32::from_be_bytes(bytes[4..8].try_into().expect("four bytes"));
        let Some(request) = self.connections[at].awaits(correlation_id) else {
            return self.fail(format!("an answer to {correlation_id}, which was not asked for"));
        };
        let version = request.version;
        let response = Response::read(version, &bytes);
        if is_refusal(&response) {
            self.tell(|| format!("# c{at} is refused here: {:?}", response.said));
        } else {
            asked.iter().for_each(|asked| self.judge_leaving(at, asked, response.said_of(asked)));
            self.judge_local(at, &request, &response);
        }
        self.deliver(at, Frame { api: Api::Produce(version), correlation_id, bytes, silent: true });
    }

    fn learn(&mut self, at: usize, api: Api, bytes: &[u8]) {
        let (key, version) = match api {
            Api::Metadata => (ApiKey::METADATA, 12),
            Api::InitProducerId => (ApiKey::INIT_PRODUCER_ID, 4),
            Api::Produce(_) | Api::Own | Api::Log | Api::End | Api::Topic | Api::Producers => return,
        };
        let mut learner = Learner::new(key, version).expect("it is learnt from");
        self.learn_from(at, (&mut learner, version), &bytes[4..]);
        assert!(learner.finished(), "an answer was not read to its end");
        self.witness_learns(at, api, bytes);
    }

    /// Feeds an answer to its learner, and acts on what it tells.
    pub(super) fn learn_from(&mut self, at: usize, (learner, version): (&mut Learner, i16), bytes: &[u8]) {
        let step = self.step;
        let connection = &mut self.connections[at];
        let proxy = &mut self.proxies[connection.proxy];
        let present = proxy.present(connection.broker, self.now_ms, false, false);
        let session = connection.session.as_mut().expect("there is a proxy");
        for piece in bytes.chunks(11) {
            learner.feed(piece, &mut |fact| {
                let Learnt::ClusterId(id) = session.learn(fact, version, &present, &mut |_| {}) else { return };
                let (ledger, handle) = proxy.identify(connection.ledger, &String::from_utf8_lossy(id), step);
                assert!(session.switch(handle), "clusters change too often");
                if connection.ledger != ledger {
                    connection.waits_for_firsts.clear();
                }
                (connection.ledger, connection.is_told) = (ledger, true);
            });
        }
    }
}

/// Whether an answer that was made here refuses a gap.
pub(super) fn is_refusal(response: &Response) -> bool {
    response.said.iter().any(|said| said.error != 0)
}

/// An answer in the words of golden scenarios: one for each batch that the broker was sent.
fn told(at: usize, asked: &[Asked], sent: &[usize], response: &Response) -> String {
    let mut words = format!("c{at}<");
    for asked in sent.iter().map(|place| &asked[*place]) {
        words += &response.said_of(asked).map_or(" -".into(), |said| {
            let code = if said.error == 0 { "ok".into() } else { said.error.to_string() };
            if said.base_offset >= 0 { format!(" {code}@{}", said.base_offset) } else { format!(" {code}") }
        });
    }
    words
}
