//! A model of a Kafka cluster, as far as producers see it: leaders, logs, high watermarks, what goes wrong.

mod log;
mod produce;
mod reads;
#[cfg(test)]
mod rules;
mod transactions;

use std::collections::HashMap;
use std::rc::Rc;

use crate::batch::{Batch, Keeping};
use crate::primitive::{Reader, Writer};
use crate::random::Random;
use crate::wire::{Said, TopicKey};
pub(crate) use log::{Listed, Log};
pub(crate) use produce::{Handled, Waiting};
pub(crate) use reads::{Manner, Read, Shown, What, read_end, read_producers, read_shown, read_topic};
use transactions::Transactions;

/// A topic's name, and what it stands for at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: Rc<str>,
    pub(crate) id: u8,
}

/// A partition: one log, at one leader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    pub(crate) leader: usize,
    /// How often it had another one, or the same one anew.
    epoch: u32,
    pub(crate) log: Log,
    /// The next batch gets this code.
    pub(crate) trouble: Option<i16>,
    /// Up to here, batches are in the record of what was committed.
    recorded_to: i64,
    /// Something that was committed is gone.
    pub(crate) has_lost: bool,
}

/// How the model's brokers differ from run to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Make {
    pub(crate) brokers: usize,
    pub(crate) topics: usize,
    /// Per topic.
    pub(crate) partitions: usize,
    /// Replicas lag behind: a batch is acknowledged some time after it was appended.
    pub(crate) lags: bool,
    /// As brokers before 2.5: an unknown producer must start at 0 (59).
    pub(crate) old: bool,
    /// They tell which producers they know, as brokers from 2.8 on do.
    pub(crate) describes: bool,
    /// What its topics do to batches.
    pub(crate) keeping: Keeping,
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) make: Make,
    pub(crate) topics: Vec<Topic>,
    /// Those of the first topic first.
    pub(crate) partitions: Vec<Partition>,
    /// How often everything was lost.
    pub(crate) wipes: u32,
    pub(crate) cluster_id: u32,
    next_producer: i64,
    next_topic_id: u8,
    /// Every id that a topic ever had, and how often everything had been lost before.
    ids: Vec<(usize, u8, u32)>,
    transactions: Transactions,
    /// Everything that was ever committed, by topic id, partition and offset.
    committed: HashMap<(u8, i32, i64), Vec<Batch>>,
}

impl Cluster {
    pub(crate) fn new(make: Make) -> Self {
        let topic = |at: usize| Topic { name: format!("t{at}").into(), id: at as u8 + 1 };
        let partition = |at: usize| Partition { leader: at % make.brokers, ..Partition::default() };
        Self {
            make,
            topics: (0..make.topics).map(topic).collect(),
            partitions: (0..make.topics * make.partitions).map(partition).collect(),
            wipes: 0,
            cluster_id: 0,
            next_producer: 0,
            next_topic_id: make.topics as u8 + 1,
            ids: (0..make.topics).map(|at| (at, at as u8 + 1, 0)).collect(),
            transactions: Transactions::default(),
            committed: HashMap::new(),
        }
    }

    /// Topic and index of a partition.
    pub(crate) fn place(&self, partition: usize) -> (&Topic, i32) {
        (&self.topics[partition / self.make.partitions], (partition % self.make.partitions) as i32)
    }

    /// The partition that a request names, or the code for one that there is none of.
    pub(crate) fn find(&self, topic: &TopicKey, index: i32) -> Result<usize, i16> {
        let (at, code) = match topic {
            TopicKey::Name(name) => (self.topics.iter().position(|topic| topic.name == *name), 3),
            TopicKey::Id(id) => (self.topics.iter().position(|topic| topic.id == *id), 100),
        };
        at.map(|at| at * self.make.partitions + index as usize).ok_or(code)
    }

    /// Every replica of the partition has what its leader has.
    pub(crate) fn replicate(&mut self, partition: usize) {
        self.partitions[partition].log.replicate();
        self.record(partition);
    }

    fn record(&mut self, at: usize) {
        let (topic, index) = self.place(at);
        let id = topic.id;
        let partition = &mut self.partitions[at];
        let (from, to) = (partition.recorded_to, partition.log.high_watermark);
        for (offset, batch) in partition.log.batches().filter(|(offset, _)| (from..to).contains(offset)) {
            self.committed.entry((id, index, offset)).or_default().push(batch.clone());
        }
        partition.recorded_to = to;
    }

    /// Whether this batch, content and all, was ever committed where an answer says it is, on whatever topic had the
    /// name or the id since everything was lost so often.
    pub(crate) fn has_committed(&self, partition: usize, said: &Said, batch: &Batch, wipes: u32) -> bool {
        let keeping = self.make.keeping;
        let is_it =
            |it: &Batch| it.key() == batch.key() && it.records == batch.records || batch.may_be_stored_as(it, keeping);
        // Where a dead topic's id leads after another cluster has come unseen, its name has led: what stands there now is
        // neither lost nor doubled.
        let of_now = self.partitions[partition].log.batches();
        if of_now.into_iter().any(|(offset, it)| offset == said.base_offset && is_it(it)) {
            return true;
        }
        self.ids.iter().any(|(topic, id, lost)| {
            *topic == partition / self.make.partitions
                && *lost >= wipes
                && (matches!(said.topic, TopicKey::Name(_)) || said.topic == TopicKey::Id(*id))
                && self.committed.get(&(*id, said.partition, said.base_offset)).is_some_and(|at| at.iter().any(is_it))
        })
    }

    /// Whether another batch of one producer, epoch and range was committed in this partition: brokers take the second
    /// for the first.
    pub(crate) fn has_twice(&self, partition: usize, batch: &Batch) -> bool {
        let (topic, index) = (partition / self.make.partitions, (partition % self.make.partitions) as i32);
        let is_here = |id: u8| self.topic_of(id) == Some(topic);
        let is_other = |it: &Batch| it.key() == batch.key() && it.records != batch.records;
        let here = self.committed.iter().filter(|((id, at, _), _)| *at == index && is_here(*id));
        here.flat_map(|(_, batches)| batches).any(is_other)
    }

    /// The topic that has or had this id.
    pub(crate) fn topic_of(&self, id: u8) -> Option<usize> {
        self.ids.iter().find(|(_, known, _)| *known == id).map(|(topic, ..)| *topic)
    }

    /// A broker is started again: what it remembers of producers comes from a snapshot.
    pub(crate) fn restart(&mut self, broker: usize, random: &mut Random) {
        for at in 0..self.partitions.len() {
            if self.partitions[at].leader != broker {
                continue;
            }
            if self.make.brokers > 1 && random.percent(70) {
                self.move_leader(at, random);
            } else {
                self.replicate(at);
                self.partitions[at].log.restart();
            }
        }
    }

    /// Another replica leads, which lacks perhaps what was not acknowledged yet.
    pub(crate) fn move_leader(&mut self, at: usize, random: &mut Random) {
        if self.make.brokers > 1 {
            let from = self.partitions[at].log.high_watermark;
            self.cut(at, from, random);
        }
    }

    /// Another replica leads that lacks what was acknowledged (unclean election).
    pub(crate) fn lose_tail(&mut self, at: usize, random: &mut Random) {
        let committed = self.partitions[at].log.high_watermark;
        self.cut(at, 0, random);
        self.partitions[at].has_lost |= self.partitions[at].log.end < committed;
    }

    fn cut(&mut self, at: usize, from: i64, random: &mut Random) {
        let partition = &mut self.partitions[at];
        partition.leader = (partition.leader + 1) % self.make.brokers;
        partition.epoch += 1;
        let end = *random.pick(&partition.log.ends_from(from));
        partition.log.truncate(end);
        partition.recorded_to = partition.recorded_to.min(end);
        self.replicate(at);
    }

    /// A topic of the same name, with a new id and nothing in it.
    pub(crate) fn recreate(&mut self, topic: usize) {
        self.topics[topic].id = self.next_topic_id;
        self.ids.push((topic, self.next_topic_id, self.wipes));
        self.next_topic_id += 1;
        for at in topic * self.make.partitions..(topic + 1) * self.make.partitions {
            let leader = self.partitions[at].leader;
            self.partitions[at] = Partition { leader, has_lost: true, ..Partition::default() };
        }
    }

    /// Everything is gone, and numbers start again; perhaps with another cluster id.
    pub(crate) fn wipe(&mut self, new_id: bool) {
        self.wipes += 1;
        self.cluster_id += u32::from(new_id);
        self.next_producer = 0;
        self.transactions = Transactions::default();
        (0..self.topics.len()).for_each(|topic| self.recreate(topic));
    }

    /// Another cluster is there in its place, or one of the same id as the one before.
    pub(crate) fn is_another_one(&mut self, goes_back: bool) {
        let before = self.cluster_id.checked_sub(1).filter(|_| goes_back);
        self.wipe(before.is_none());
        self.cluster_id = before.unwrap_or(self.cluster_id);
    }

    /// A producer id that nobody has.
    pub(crate) fn hand_out(&mut self) -> i64 {
        self.next_producer += 1;
        self.next_producer - 1
    }

    /// The body of a Metadata v12 response, with its header.
    pub(crate) fn metadata(&self, correlation_id: i32) -> Vec<u8> {
        let mut out = Writer::new(true);
        out.i32(correlation_id).tags(&[]).i32(0).count(0);
        out.nullable_string(Some(&format!("cluster-{}", self.cluster_id))).i32(0).count(self.topics.len());
        for topic in &self.topics {
            out.i16(0).nullable_string(Some(&topic.name)).raw(&[topic.id; 16]).raw(&[0]).count(0);
            out.i32(i32::MIN).tags(&[]);
        }
        out.tags(&[]);
        out.0
    }

    /// The body of an InitProducerId v4 response, with its header.
    pub(crate) fn init_producer_id(correlation_id: i32, producer_id: i64, epoch: i16) -> Vec<u8> {
        let mut out = Writer::new(true);
        out.i32(correlation_id).tags(&[]).i32(0).i16(0).i64(producer_id).i16(epoch).tags(&[]);
        out.0
    }
}

/// What [`Cluster::metadata`] has written: the number in the cluster's id, and topics with their ids.
pub(crate) fn read_metadata(frame: &[u8]) -> (u32, Vec<(String, u8)>) {
    let mut input = Reader::new(&frame[8..], true);
    input.tags();
    input.i32();
    input.count();
    let cluster = input.nullable_string().and_then(|id| id.strip_prefix("cluster-")?.parse().ok()).expect("an id");
    input.i32();
    let mut topics = Vec::new();
    for _ in 0..input.count() {
        input.i16();
        let name = input.nullable_string().expect("a name").to_string();
        topics.push((name, input.take(16)[0]));
        input.take(1);
        input.count();
        input.i32();
        input.tags();
    }
    (cluster, topics)
}
