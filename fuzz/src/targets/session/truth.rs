//! What the cluster has acknowledged, and what puts it in doubt: the rules of a proof, kept as a plain list of what
//! happened.

use std::collections::{HashMap, HashSet};

use seqgate_protocol::sequencing::TopicId;
use seqgate_protocol::wire::produce::OwnedTopic;

use super::script::{Batch, Name, Part, Place, Request, Said};

/// How long proofs hold after the newest of their producer and partition, in ms.
pub const PROOF_TTL_MS: u64 = 1_000;

/// What happened to one cluster, in order; the place in the order is the time of it.
#[derive(Debug, Default)]
pub struct Truth {
    serial: u64,
    acks: Vec<Ack>,
    evidence: Vec<(u64, Evidence)>,
    /// As Metadata says it.
    id_of: HashMap<Vec<u8>, TopicId>,
    /// Everything that Metadata ever said.
    links: HashSet<(Vec<u8>, TopicId)>,
    retired: HashSet<TopicId>,
    /// When Metadata last named a topic.
    linked: u64,
}

/// All in-sync replicas have this batch, says a broker.
#[derive(Debug)]
struct Ack {
    sent: u64,
    said: u64,
    at_ms: u64,
    name: Name,
    offset: i64,
    lapsed: bool,
    source: Source,
}

/// Who says that a batch is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Answer,
    /// It stands in the log below the high watermark, perhaps with the broker's own times.
    Log {
        stamped: bool,
    },
    /// It was proven when a look into the log began, and good for as long as what is read.
    Known,
}

impl Ack {
    fn is_of(&self, name: &Name) -> bool {
        let Source::Log { stamped } = self.source else { return self.name == *name };
        // A topic may store other bytes than it was sent.
        let may_differ = self.name.codec != name.codec || stamped && self.name.length == name.length;
        let (crc, length, codec) = (name.crc, name.length, name.codec);
        let stored = if may_differ { Name { crc, length, codec, ..self.name.clone() } } else { self.name.clone() };
        stored == *name
    }
}

/// A batch that was read in a log.
#[derive(Clone, Debug)]
pub struct Shown {
    name: Name,
    offset: i64,
    stamped: bool,
}

impl Shown {
    /// Reads a batch's header; nothing for control batches and those of transactions, and of no producer.
    pub fn read(place: Place, header: &[u8; 61]) -> Option<Self> {
        let name = Batch(header).name(place).filter(|name| name.first >= 0 && header[22] & 0x30 == 0)?;
        let offset = i64::from_be_bytes(header[..8].try_into().expect("eight bytes"));
        let stamped = header[22] & 8 != 0 && header[35..43] != [0xff; 8];
        Some(Self { name, offset, stamped })
    }
}

/// What ends proofs that were sent before.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Against the log of a partition, unless it was said by the very acknowledgement.
    Log { place: Place, spares: u64 },
    /// Against a topic.
    Topic(OwnedTopic),
    /// A producer id was handed out.
    Producer { id: i64, epoch: i16 },
    /// A broker does not know the producer there.
    Entry { place: Place, producer: i64, epoch: Option<i16> },
    /// The producer has moved on to this epoch.
    Epoch { place: Place, producer: i64, epoch: i16 },
}

impl Evidence {
    /// The same, but for what was acknowledged at that time.
    pub fn sparing(mut self, at: u64) -> Self {
        if let Self::Log { spares, .. } = &mut self {
            *spares = at;
        }
        self
    }

    fn ends(&self, ack: &Ack) -> bool {
        let name = &ack.name;
        match self {
            Self::Log { place, spares } => *place == name.place && ack.said != *spares,
            Self::Topic(topic) => *topic == name.place.0,
            Self::Producer { id, epoch } => name.producer == *id && name.epoch >= *epoch,
            Self::Entry { place, producer, epoch } => {
                *place == name.place && *producer == name.producer && epoch.is_none_or(|epoch| epoch == name.epoch)
            }
            Self::Epoch { place, producer, epoch } => {
                *place == name.place && *producer == name.producer && name.epoch < *epoch
            }
        }
    }
}

impl Truth {
    /// The time, which goes on.
    pub fn now(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub fn learn(&mut self, evidence: Evidence) {
        let now = self.now();
        self.evidence.push((now, evidence));
    }

    /// Takes in an answer to what was sent at `sent`; returns the time of it.
    pub fn answer(&mut self, request: &Request, sent: u64, answer: &[Said], now_ms: u64) -> u64 {
        let now = self.now();
        let mut heard = HashSet::new();
        for said in answer.iter().filter(|said| heard.insert(&said.place)) {
            for part in request.parts.iter().filter(|part| part.place == said.place) {
                self.take_in(request, part, [sent, now], said, now_ms);
            }
        }
        now
    }

    fn take_in(&mut self, request: &Request, part: &Part, [sent, now]: [u64; 2], said: &Said, now_ms: u64) {
        let Some(name) = part.name.clone() else { return };
        let (place, producer, epoch) = (name.place.clone(), name.producer, name.epoch);
        // What the session does not keep track of ends nothing there.
        let tells = part.tracked && !self.has_gone(&place.0, sent);
        let evidence = match said.error {
            0 if said.base_offset >= 0 && request.acks == -1 && !part.transactional => {
                let (offset, source) = (said.base_offset, Source::Answer);
                if !self.acknowledge(Ack { sent, said: now, at_ms: now_ms, name, offset, lapsed: false, source }) {
                    return;
                }
                Evidence::Epoch { place, producer, epoch }
            }
            47 if said.base_offset < 0 => Evidence::Entry { place, producer, epoch: Some(epoch) },
            59 if said.base_offset < 0 => Evidence::Entry { place, producer, epoch: None },
            3 | 56 | 100 => Evidence::Log { place, spares: 0 },
            _ => return,
        };
        if tells {
            self.evidence.push((now, evidence));
        }
    }

    fn acknowledge(&mut self, ack: Ack) -> bool {
        let stands = !self.has_ended(&ack);
        if stands {
            self.lapse(&ack.name, ack.at_ms);
            self.acks.push(ack);
        }
        stands
    }

    /// A look that began at `since` has read this in a log.
    pub fn show(&mut self, shown: &[Shown], since: u64, now_ms: u64) {
        let now = self.now();
        for Shown { name, offset, stamped } in shown {
            let (name, offset, source) = (name.clone(), *offset, Source::Log { stamped: *stamped });
            self.acknowledge(Ack { sent: since, said: now, at_ms: now_ms, name, offset, lapsed: false, source });
        }
    }

    /// A batch that is proven is told of as if it had been looked up.
    pub fn renew(&mut self, name: &Name, now_ms: u64) {
        let proving = |ack: &&Ack| self.proves(name, ack.offset, Some(now_ms));
        let offsets: HashSet<_> = self.acks.iter().filter(proving).map(|ack| ack.offset).collect();
        assert!(!offsets.is_empty(), "no proof of {name:?}\n{self:#?}");
        let now = self.now();
        self.acks.extend(offsets.into_iter().map(|offset| {
            let (name, source) = (name.clone(), Source::Known);
            Ack { sent: now, said: now, at_ms: now_ms, name, offset, lapsed: false, source }
        }));
    }

    /// What was sent at `sent` and refused turned out to stand in the log; returns the time of it.
    pub fn resolve(&mut self, resolved: &[(Name, i64)], sent: u64, now_ms: u64) -> u64 {
        let now = self.now();
        for (name, offset) in resolved {
            let (name, offset, source) = (name.clone(), *offset, Source::Answer);
            self.acknowledge(Ack { sent, said: now, at_ms: now_ms, name, offset, lapsed: false, source });
        }
        now
    }

    /// Whether what was sent then may have gone to another topic than the one that is there now.
    fn has_gone(&self, topic: &OwnedTopic, sent: u64) -> bool {
        let ends =
            |(at, evidence): &(u64, Evidence)| *at > sent && matches!(evidence, Evidence::Topic(of) if of == topic);
        self.linked > sent || self.evidence.iter().any(ends)
    }

    /// Proofs whose time has passed do not come back with the next one.
    fn lapse(&mut self, name: &Name, now_ms: u64) {
        let is_past = self.is_past_ttl(name, now_ms);
        let is_of_it = |ack: &&mut Ack| {
            ack.name.place == name.place && ack.name.producer == name.producer && ack.source != Source::Known
        };
        self.acks.iter_mut().filter(|_| is_past).filter(is_of_it).for_each(|ack| ack.lapsed = true);
    }

    fn is_past_ttl(&self, name: &Name, now_ms: u64) -> bool {
        let forms = self.forms(&name.place.0);
        let is_of_it = |ack: &&Ack| {
            forms.contains(&ack.name.place.0) && ack.name.place.1 == name.place.1 && ack.name.producer == name.producer
        };
        let newest =
            self.acks.iter().filter(|ack| ack.source != Source::Known).filter(is_of_it).map(|ack| ack.at_ms).max();
        newest.is_none_or(|newest| now_ms - newest >= PROOF_TTL_MS)
    }

    fn has_ended(&self, ack: &Ack) -> bool {
        self.evidence.iter().any(|(at, evidence)| {
            // What a producer's own story ends is what is known of it by then, and not what is on its way.
            let is_of_producer = matches!(evidence, Evidence::Epoch { .. } | Evidence::Entry { .. });
            let before = if is_of_producer { ack.said } else { ack.sent };
            // What stands in the log stands there, whatever its producer has come to.
            *at > before && evidence.ends(ack) && (ack.source == Source::Answer || !is_of_producer)
        })
    }

    /// Whether the batch is proven to be at this offset. `now_ms`: the answer is made now, and not only sent.
    pub fn proves(&self, name: &Name, offset: i64, now_ms: Option<u64>) -> bool {
        self.forms(&name.place.0).into_iter().any(|topic| {
            let name = Name { place: (topic, name.place.1), ..name.clone() };
            let is_late = |ack: &Ack| match (ack.source, now_ms) {
                (_, None) => false,
                (Source::Known, Some(now_ms)) => now_ms - ack.at_ms >= PROOF_TTL_MS,
                (_, Some(now_ms)) => self.is_past_ttl(&name, now_ms),
            };
            let proves = |ack: &Ack| ack.is_of(&name) && ack.offset == offset && !ack.lapsed && !self.has_ended(ack);
            self.acks.iter().any(|ack| proves(ack) && !is_late(ack))
        })
    }

    /// Whether the batch is proven to be anywhere.
    pub fn proves_at_all(&self, name: &Name, now_ms: u64) -> bool {
        self.acks.iter().any(|ack| self.proves(name, ack.offset, Some(now_ms)))
    }

    /// Every way in which a topic was ever named.
    fn forms(&self, topic: &OwnedTopic) -> Vec<OwnedTopic> {
        let mut forms = vec![topic.clone()];
        for (name, id) in &self.links {
            match topic {
                OwnedTopic::Name(own) if **own == **name => forms.push(OwnedTopic::Id(*id)),
                OwnedTopic::Id(own) if own == id => forms.push(OwnedTopic::Name(name.as_slice().into())),
                OwnedTopic::Name(_) | OwnedTopic::Id(_) => {}
            }
        }
        forms
    }

    /// Metadata names a topic.
    pub fn link(&mut self, name: &[u8], id: TopicId) {
        if id == TopicId::ZERO || self.retired.contains(&id) {
            return;
        }
        self.linked = self.now();
        self.links.insert((name.to_vec(), id));
        if let Some(old) = self.id_of.insert(name.to_vec(), id).filter(|old| *old != id) {
            self.retired.insert(old);
            self.learn(Evidence::Topic(OwnedTopic::Id(old)));
            self.learn(Evidence::Topic(OwnedTopic::Name(name.into())));
        }
        // An id that moves to another name leaves the old one without.
        self.id_of.retain(|other, known| other == name || *known != id);
    }

    /// A topic was deleted.
    pub fn delete(&mut self, name: Option<&[u8]>, id: Option<TopicId>) {
        let id = id.filter(|id| *id != TopicId::ZERO);
        let name_of = |id| self.id_of.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone());
        let name = name.map(<[u8]>::to_vec).or_else(|| name_of(id?));
        let id = id.or_else(|| self.id_of.get(name.as_ref()?).copied());
        if let Some(id) = id {
            self.retired.insert(id);
            self.id_of.retain(|_, known| *known != id);
            self.learn(Evidence::Topic(OwnedTopic::Id(id)));
        }
        if let Some(name) = name {
            self.learn(Evidence::Topic(OwnedTopic::Name(name.into())));
        }
    }
}
