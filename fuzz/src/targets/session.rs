//! A cluster, its connections and a script of what they send and are answered.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use seqgate_protocol::sequencing::{
    BrokerGeneration, ConnectionId, Directory, Millis, ProducerEpoch, ProducerId, TopicId, Tracker, TrackerLimits,
};
use seqgate_protocol::session::{Admission, Ledger, Mixed, Mode, Pending, Policy, Present, Session, Settled};
use seqgate_protocol::wire::head::RequestHead;
use seqgate_protocol::wire::learn::Fact;
use seqgate_protocol::wire::produce::{AnswerEntry, OwnedTopic, ProduceRequest, ProduceResponse, answer};

use super::Bytes;

/// Rule 1: whatever happens, no answer made here names an offset that the cluster has not given to that very batch,
/// and every admitted request can be settled once.
pub fn session(data: &[u8]) {
    let mut play = Play::new();
    let mut script = Bytes(data);
    // Long inputs add nothing but time.
    for _ in 0..200 {
        if script.0.is_empty() {
            break;
        }
        play.turn(&mut script);
    }
    play.end();
}

/// One tracker with small limits, so that eviction is reached.
#[derive(Clone)]
struct Cluster(Rc<(RefCell<Tracker>, RefCell<Directory>, Cell<bool>)>);

impl Cluster {
    fn new() -> Self {
        let limits = TrackerLimits { window: 5, producers_max: 4, proof_ttl_ms: 1_000, idle_ms_max: 5_000 };
        Self(Rc::new((RefCell::new(Tracker::new(limits)), RefCell::default(), Cell::new(false))))
    }
}

impl Ledger for Cluster {
    fn tracker<R>(&self, _: i32, act: impl FnOnce(&mut Tracker) -> R) -> R {
        act(&mut self.0.0.borrow_mut())
    }

    fn each_tracker(&self, mut act: impl FnMut(&mut Tracker)) {
        act(&mut self.0.0.borrow_mut());
    }

    fn directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut self.0.1.borrow_mut())
    }

    fn is_tainted(&self) -> bool {
        self.0.2.get()
    }

    fn taint(&self) {
        self.0.2.set(true);
    }

    fn settled(&self) {}

    fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// A batch as its entry in a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    topic: OwnedTopic,
    partition: i32,
    producer: i64,
    epoch: i16,
    first: i32,
    last: i32,
    crc: u32,
    length: i32,
}

struct Play {
    cluster: Cluster,
    sessions: [Session<Cluster>; 2],
    /// By connection: what went to the broker and is not answered.
    at_broker: [VecDeque<(Pending, Vec<u8>)>; 2],
    /// Every offset that a batch was acknowledged at.
    acked: HashMap<Name, Vec<i64>>,
    /// Ids that the topic `t` was said to have: what was given under one of them counts for the name, and the other
    /// way round.
    ids: HashSet<TopicId>,
    /// The frames sent last, for retries.
    sent: Vec<Vec<u8>>,
    log_end: i64,
    now: u64,
    generation: u32,
    policy: Policy,
}

impl Play {
    fn new() -> Self {
        let cluster = Cluster::new();
        let session = |id| Session::new(ConnectionId(id), cluster.clone());
        Self {
            sessions: [session(0), session(1)],
            cluster,
            at_broker: Default::default(),
            acked: HashMap::new(),
            ids: HashSet::new(),
            sent: Vec::new(),
            log_end: 0,
            now: 1_000,
            generation: 0,
            policy: Policy { mode: Mode::Dedupe, mixed: Mixed::Strip, authoritative: false },
        }
    }

    fn turn(&mut self, script: &mut Bytes<'_>) {
        let (what, n) = (script.u8(), script.u8());
        let on = usize::from(n & 1);
        match what % 12 {
            0..=3 => {
                let frame = request(script, n);
                self.send(on, frame);
            }
            4 => {
                if let Some(frame) = self.sent.get(usize::from(n >> 1)).cloned() {
                    self.send(on, frame);
                }
            }
            5..=7 => self.answer(on, script),
            8 => {
                if let Some((pending, _)) = self.at_broker[on].pop_front() {
                    self.sessions[on].abandon(pending, Millis(self.now));
                }
            }
            9 => self.now += u64::from(n) * 20,
            10 => self.change(n),
            _ => self.learn(on, script),
        }
    }

    fn present(&self) -> Present {
        let broker = BrokerGeneration { broker: 0, generation: self.generation };
        Present {
            now: Millis(self.now),
            broker,
            policy: self.policy,
            serves_without_sasl: true,
            keep_bytes_max: usize::MAX,
        }
    }

    fn send(&mut self, on: usize, frame: Vec<u8>) {
        let present = self.present();
        match self.sessions[on].admit(&frame, false, &present, &mut |_| {}) {
            Admission::Forward(Some(pending)) => self.at_broker[on].push_back((pending, frame.clone())),
            Admission::Strip { frame: left, pending } => {
                assert!(pending.is_stripped());
                self.at_broker[on].push_back((pending, left));
            }
            Admission::Answer(local) => {
                assert!(self.sessions[on].still_holds(&local, Millis(self.now)));
                self.check(&frame, local.frame());
            }
            Admission::Forward(None)
            | Admission::Unread
            | Admission::Stream(_)
            | Admission::Hold
            | Admission::Reset => {}
        }
        if self.sent.len() < 64 {
            self.sent.push(frame);
        }
    }

    /// Every entry that says success at an offset was given that offset.
    fn check(&self, request: &[u8], response: &[u8]) {
        let (version, names) = names(request).expect("it was admitted");
        let response = ProduceResponse::parse(version, &response[4..]).expect("an answer of ours parses");
        for entry in response.entries() {
            let topic = OwnedTopic::from(entry.topic);
            let proven =
                names.iter().filter(|name| name.topic == topic && name.partition == entry.partition).any(|name| {
                    self.forms(&topic).any(|topic| {
                        let name = Name { topic, ..name.clone() };
                        self.acked.get(&name).is_some_and(|offsets| offsets.contains(&entry.base_offset))
                    })
                });
            assert!(entry.error == 0 && proven, "no offset {} was given to {topic:?}", entry.base_offset);
        }
    }

    /// Every way in which a topic may have been named.
    fn forms(&self, topic: &OwnedTopic) -> impl Iterator<Item = OwnedTopic> {
        let name = OwnedTopic::Name(b"t".as_slice().into());
        let linked = match topic {
            OwnedTopic::Name(_) if *topic == name => self.ids.iter().map(|id| OwnedTopic::Id(*id)).collect(),
            OwnedTopic::Id(id) if self.ids.contains(id) => vec![name],
            OwnedTopic::Name(_) | OwnedTopic::Id(_) => Vec::new(),
        };
        std::iter::once(topic.clone()).chain(linked)
    }

    /// The broker answers the oldest request on this connection.
    fn answer(&mut self, on: usize, script: &mut Bytes<'_>) {
        let Some((pending, frame)) = self.at_broker[on].pop_front() else { return };
        let kind = script.u8();
        let Some((version, names)) = names(&frame) else {
            self.sessions[on].abandon(pending, Millis(self.now));
            return;
        };
        let mut entries = Vec::new();
        for name in &names {
            let error = [0, 0, 0, 0, 45, 19, 7, 3][usize::from(script.u8() % 8)];
            let base_offset = if error == 0 { self.log_end } else { -1 };
            if error == 0 {
                let count = i64::from(name.last.wrapping_sub(name.first).cast_unsigned() & 0x7fff_ffff) + 1;
                self.log_end += count.min(1 << 20);
            }
            let (topic, partition) = (name.topic.clone(), name.partition);
            entries.push(AnswerEntry {
                topic,
                partition,
                error,
                base_offset,
                log_append_time: -1,
                log_start_offset: 0,
            });
        }
        let mut response = answer(version, pending.correlation_id(), &entries);
        if kind % 8 == 7 {
            let at = usize::from(script.u8()) % response.len();
            response[at] ^= script.u8();
        } else {
            for (name, entry) in names.into_iter().zip(&entries).filter(|(_, entry)| entry.error == 0) {
                self.acked.entry(name).or_default().push(entry.base_offset);
            }
        }
        // A damaged answer may still be read: what it then says counts as said.
        if kind % 8 == 7
            && let Ok(read) = ProduceResponse::parse(version, &response[4..])
        {
            self.note_damaged(&frame, &read);
        }
        let settled = self.sessions[on].settle(pending, &response, Millis(self.now), &mut |_| {});
        if let Settled::Merged(frame) = settled {
            ProduceResponse::parse(version, &frame[4..]).expect("a merged answer parses");
        }
    }

    fn note_damaged(&mut self, request: &[u8], response: &ProduceResponse<'_>) {
        let Some((_, names)) = names(request) else { return };
        for entry in response.entries().filter(|entry| entry.error == 0) {
            for name in names.iter().filter(|name| name.partition == entry.partition) {
                self.acked.entry(name.clone()).or_default().push(entry.base_offset);
            }
        }
    }

    fn change(&mut self, n: u8) {
        self.policy.mode = if n & 2 == 0 { Mode::Dedupe } else { Mode::Observe };
        self.policy.mixed = if n & 4 == 0 { Mixed::Strip } else { Mixed::Forward };
        self.policy.authoritative = n & 8 != 0;
        self.generation += u32::from(n & 16 != 0);
        if n & 32 != 0 {
            self.cluster.each_tracker(|tracker| tracker.sweep(100, Millis(self.now)));
        }
    }

    fn learn(&mut self, on: usize, script: &mut Bytes<'_>) {
        let (what, n) = (script.u8(), script.u8());
        let (name, id) = (Some(&b"t"[..]), TopicId([n % 3; 16]));
        self.ids.insert(id);
        let id = Some(id);
        let fact = match what % 3 {
            0 => Fact::Producer {
                error: 0,
                producer_id: ProducerId::new(i64::from(n % 6)),
                epoch: ProducerEpoch::new(i16::from(n >> 6)),
            },
            1 => Fact::Topic { error: 0, name, id },
            _ => Fact::DeletedTopic { error: 0, name, id },
        };
        let present = self.present();
        let _nothing_to_do = self.sessions[on].learn(fact, 12, &present, &mut |_| {});
    }

    /// The connections end: nothing stays in flight.
    fn end(mut self) {
        for on in 0..2 {
            for (pending, _) in std::mem::take(&mut self.at_broker[on]) {
                self.sessions[on].abandon(pending, Millis(self.now));
            }
        }
        self.cluster.each_tracker(|tracker| {
            tracker.report(0, 1_000, Millis(self.now), |report| {
                assert_eq!(report.pending, 0, "a batch stays in flight: {report:?}");
                true
            });
        });
    }
}

/// A produce request of up to four batches, told by the script: v9 by name or v13 by id.
fn request(script: &mut Bytes<'_>, n: u8) -> Vec<u8> {
    let version: i16 = if n & 2 == 0 { 9 } else { 13 };
    let mut frame = vec![0; 6];
    frame.extend(version.to_be_bytes());
    frame.extend([0, 0, 0, n, 0xff, 0xff, 0]);
    frame.push(0);
    frame.extend(if n & 4 == 0 || n & 8 == 0 { -1_i16 } else { i16::from(n & 16 == 0) }.to_be_bytes());
    frame.extend(1_000_i32.to_be_bytes());
    frame.push(2);
    if version == 13 {
        frame.extend([n >> 6; 16])
    } else {
        frame.extend([2, b't' + (n >> 7)])
    }
    let partitions = usize::from(n >> 5 & 3) + 1;
    frame.push(partitions as u8 + 1);
    for _ in 0..partitions {
        frame.extend(i32::from(script.u8() % 4).to_be_bytes());
        frame.push(61 + 1);
        frame.extend(batch(script));
        frame.push(0);
    }
    frame.extend([0, 0]);
    let size = u32::try_from(frame.len() - 4).expect("a small frame");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    // Now and then, damage.
    if n == 0xff {
        let at = usize::from(script.u8()) % (frame.len() - 4) + 4;
        frame[at] ^= script.u8();
    }
    frame
}

/// A batch's header: few producers, epochs, sequences and checksums, so that they meet.
fn batch(script: &mut Bytes<'_>) -> [u8; 61] {
    let (who, sequence, content) = (script.u8(), script.u8(), script.u8());
    let count = i32::from(content & 1) + 1;
    let near_the_wrap = if sequence & 0x80 == 0 { 0 } else { i32::MAX - 3 };
    let mut batch = [0; 61];
    batch[8..12].copy_from_slice(&49_i32.to_be_bytes());
    batch[16] = 2;
    batch[17..21].copy_from_slice(&u32::from(content >> 6).to_be_bytes());
    batch[22] = if content & 0x3e == 0x3e { 1 << 4 } else { 0 };
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    let producer = if who & 0xf == 0xf { -1 } else { i64::from(who % 6) };
    batch[43..51].copy_from_slice(&producer.to_be_bytes());
    batch[51..53].copy_from_slice(&i16::from(who >> 6).to_be_bytes());
    let base = near_the_wrap.wrapping_add(i32::from(sequence & 0x7) * 2) & i32::MAX;
    batch[53..57].copy_from_slice(&base.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch
}

/// The version and the batches of a request that parses.
fn names(frame: &[u8]) -> Option<(i16, Vec<Name>)> {
    let head = RequestHead::parse(frame.get(4..)?).ok()?;
    let version = head.prefix.api_version;
    let request = ProduceRequest::parse(version, head.body).ok()?;
    let name = |entry: seqgate_protocol::wire::produce::ProduceEntry<'_>| {
        let view = entry.records.view()?;
        let last = view.base_sequence().wrapping_add(view.last_offset_delta()) & i32::MAX;
        Some(Name {
            topic: OwnedTopic::from(entry.topic),
            partition: entry.partition,
            producer: view.producer_id().get(),
            epoch: view.epoch().get(),
            first: view.base_sequence(),
            last,
            crc: view.crc(),
            length: view.batch_length(),
        })
    };
    Some((version, request.entries().map(name).collect::<Option<_>>()?))
}
