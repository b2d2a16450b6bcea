//! Judges who waits for the first batch of a producer: brokers take whatever they see first of one (KAFKA-15591).

use seqgate_protocol::session::Mode;

use super::World;
use crate::proxy::{Asked, GUARD_PATIENCE, SMALL, Slot, Witness};

impl World {
    /// A batch goes to a broker: it must not be the first that this sees of its producer while the true first one, which
    /// seqgate has sent, is on its way over another connection.
    pub(crate) fn judge_overtaking(&mut self, at: usize, asked: &Asked) {
        if !self.may_have_to_wait(at, asked) {
            return;
        }
        let firsts: Vec<(usize, Asked)> = self.firsts(at, asked).collect();
        let all = !firsts.is_empty() && firsts.iter().all(|first| is_waited_for(first, at, asked));
        if all && firsts.iter().all(|(_, first)| self.witness(at).is_where_it_was(first)) {
            self.fail(format!("{:?} on partition {} overtakes its producer's first", asked.batch, asked.partition));
        }
    }

    /// What was told to wait for a first batch goes: that one must not be lost by now.
    pub(crate) fn judge_held(&mut self, at: usize, asked: &[Asked]) {
        let now_ms = self.now_ms;
        for asked in asked {
            let waited = self.connections[at].waits_for_firsts.contains(&(asked.topic.clone(), asked.index));
            if waited && self.may_have_to_wait(at, asked) && self.witness(at).has_lost_first(asked, now_ms) {
                self.fail(format!("{:?} goes, and its producer's first was lost", asked.batch));
            }
        }
    }

    /// A request is told to wait: for what, and not for what went up the same connection, which a broker takes in this order.
    pub(crate) fn judge_hold(&mut self, at: usize, asked: &[Asked]) {
        let (mut waiting, mut for_certain) = (Vec::new(), Vec::new());
        for it in asked.iter().filter(|it| it.batch.base != 0) {
            let firsts: Vec<(usize, Asked)> = self.firsts(at, it).collect();
            // One that stands twice in its request, or went to what is another topic now, is perhaps not known.
            let is_known = |first: &Asked, witness: &Witness| !first.opaque && witness.is_where_it_was(first);
            let witness = self.witness(at);
            let is_here =
                firsts.iter().any(|(of, first)| *of == at && first.topic == it.topic && is_known(first, witness));
            if !is_here && (firsts.iter().any(|(of, _)| *of != at) || self.waits_elsewhere(at, it, 0, u64::MAX)) {
                waiting.push(it.clone());
            }
            if !firsts.is_empty() && firsts.iter().all(|first| is_waited_for(first, at, it)) {
                for_certain.push((it.topic.clone(), it.index));
            }
        }
        let goes_alone = |it: &Asked| self.proxies[self.connections[at].proxy].has_answered(it.batch.producer_id);
        if waiting.is_empty() && !asked.iter().any(goes_alone) {
            return self.fail(format!("{asked:?} has to wait, and for nothing"));
        }
        if self.connections[at].waits >= GUARD_PATIENCE && !asked.iter().any(goes_alone) {
            return self.fail(format!("{waiting:?} has to wait for too long"));
        }
        if self.connections[at].waits == 0 {
            self.connections[at].waits_for_firsts = for_certain;
        }
    }

    /// Whether it would be the first, if nothing of its producer is at the broker.
    fn may_have_to_wait(&mut self, at: usize, asked: &Asked) -> bool {
        let batch = &asked.batch;
        self.policy(at).mode != Mode::Observe
            && self.setup.limits.producers_max > SMALL
            && asked.guarded
            && asked.acks != 0
            && batch.is_idempotent()
            && !batch.transactional
            && !asked.opaque
            && batch.base != 0
            && self.witness(at).knows_nothing_of(asked)
    }

    /// First batches of the same producer and epoch whose answers are awaited, with their connections.
    fn firsts(&self, at: usize, asked: &Asked) -> impl Iterator<Item = (usize, Asked)> {
        let (proxy, ledger) = (self.connections[at].proxy, self.connections[at].ledger);
        let here = self.live.iter().copied().filter(move |of| self.connections[*of].proxy == proxy);
        let open = move |of: usize| {
            let connection = &self.connections[of];
            let sent = connection.slots.iter().filter_map(move |slot| match slot {
                Slot::Settle(settle) if settle.ledger == ledger => Some(settle),
                Slot::Settle(_) | Slot::Local(..) | Slot::Pass(_) | Slot::Own(_) => None,
            });
            let sent = sent.flat_map(|settle| settle.sent.iter().map(|place| &settle.asked[*place]));
            sent.chain(connection.back.open(ledger)).map(move |first| (of, first.clone()))
        };
        let Asked { partition, batch, .. } = asked.clone();
        let is_first = move |first: &Asked| {
            let of = (first.partition, first.batch.producer_id, first.batch.epoch, first.batch.base);
            of == (partition, batch.producer_id, batch.epoch, 0)
        };
        here.flat_map(open).filter(move |(_, first)| is_first(first))
    }
}

/// Whether what comes after that first batch has to wait for it.
fn is_waited_for((of, first): &(usize, Asked), at: usize, asked: &Asked) -> bool {
    *of != at && first.topic == asked.topic && first.guarded && !first.opaque && first.acks != 0
}
