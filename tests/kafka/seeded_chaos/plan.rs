//! What goes wrong, drawn from a seed: the same with and without seqgate.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::support::chain::Death;
use crate::support::relay::{Ending, Point, Strike};
use crate::support::rig::Side;

/// As many as any client has in flight at a broker: a broker remembers them all while it is up.
pub(crate) const RECORDS_MAX: usize = 5;

/// Something that goes wrong, from a beginning to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One connection of each client to each broker is cut, or closed in one direction, at an exchange to come.
    Cut(Side, Strike),
    /// Answers stay away until clients give up on them and send again.
    Stall(Side),
    /// A broker is down, and then up again.
    Broker { link: usize, death: Death },
    /// Every broker is restarted, one after the other: none remembers more than the last batch of a producer.
    Rolling(Death),
    /// Other brokers lead, while all are up.
    Leaders,
    /// Seqgate is gone, and then back on the same ports, with an empty memory. Nothing where there is none.
    Proxy(Death),
}

/// How far exchanges have come when it begins to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Anywhere: each client has sent something of this round.
    Open,
    /// The brokers have appended, and the answers are held on this side.
    Held(Side),
}

/// Records, and what goes wrong with them. Between rounds, every record has met its fate and everything is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    /// How many records each client is given, besides those before anything goes wrong.
    pub(crate) records: usize,
    /// Where all go, or wherever the client's partitioner puts them.
    pub(crate) partition: Option<i32>,
    pub(crate) moment: Moment,
    /// They begin in this order and end in the reverse.
    pub(crate) faults: Vec<Fault>,
    /// How connections with held answers end; or these go on.
    pub(crate) lost: Option<Ending>,
    /// Whether a transaction around the records is committed or aborted.
    pub(crate) commits: bool,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Clients give up on an answer after a few seconds.
    pub(crate) impatient: bool,
    pub(crate) rounds: Vec<Round>,
}

/// The kinds of rounds; each plan has one of each that its clients and brokers allow.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Cuts,
    Stall,
    RestartSeen,
    RestartOpen,
    RestartUnseen,
    Moves,
    Rolling,
    ProxyRestart,
    BothRestart,
}

impl Plan {
    /// The plan of this seed for so many brokers, each topic having so many partitions.
    pub(crate) fn draw(seed: u64, links: usize, partitions: usize) -> Self {
        let mut draw = Draw { random: StdRng::seed_from_u64(seed), links, partitions };
        // Who gives up sends again by itself.
        let impatient = seed % 3 == 2;
        let mut kinds = match impatient {
            true => vec![Kind::Cuts, Kind::Stall, Kind::RestartOpen, Kind::ProxyRestart],
            false => vec![Kind::Cuts, Kind::RestartSeen, Kind::RestartUnseen, Kind::ProxyRestart, Kind::BothRestart],
        };
        if links > 1 {
            kinds.push(Kind::Moves);
        }
        if links > 1 && !impatient {
            kinds.push(Kind::Rolling);
        }
        kinds.shuffle(&mut draw.random);
        let rounds = kinds.into_iter().map(|kind| draw.round(kind, impatient)).collect();
        Self { seed, impatient, rounds }
    }
}

impl Round {
    /// Nothing goes wrong.
    pub(crate) fn calm() -> Self {
        Self { records: 0, partition: None, moment: Moment::Open, faults: Vec::new(), lost: None, commits: true }
    }

    /// The side on which answers are held.
    pub(crate) fn held(&self) -> Option<Side> {
        match self.moment {
            Moment::Held(side) => Some(side),
            Moment::Open => None,
        }
    }

    /// Whether any of its faults is one of these.
    pub(crate) fn has(&self, wanted: impl Fn(&Fault) -> bool) -> bool {
        self.faults.iter().any(wanted)
    }

    /// Whether an acknowledgement that seqgate has not seen may have met a broker that forgot: then nobody can know that
    /// a batch has come again, and a record may stand twice, as it may without seqgate.
    pub(crate) fn may_double(&self) -> bool {
        self.forgets() && !self.is_seen()
    }

    /// Whether seqgate goes down as well: without it, there is one place less where answers can be lost.
    pub(crate) fn ends_seqgate(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Proxy(_)))
    }

    /// Whether a broker goes down, and forgets.
    pub(crate) fn forgets(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Broker { .. } | Fault::Rolling(_)))
    }

    /// Whether seqgate sees every acknowledgement, and keeps what it has seen.
    fn is_seen(&self) -> bool {
        let blind = |fault: &Fault| matches!(fault, Fault::Cut(Side::Back, _) | Fault::Proxy(_));
        self.moment == Moment::Held(Side::Front) && !self.has(blind)
    }
}

struct Draw {
    random: StdRng,
    links: usize,
    partitions: usize,
}

impl Draw {
    fn round(&mut self, kind: Kind, impatient: bool) -> Round {
        let (moment, faults) = match kind {
            Kind::Cuts => {
                let cuts = self.random.random_range(1..=2);
                (self.moment(), (0..cuts).map(|_| self.cut()).collect())
            }
            Kind::Stall => {
                let side = self.side();
                (Moment::Held(side), vec![Fault::Stall(side)])
            }
            Kind::RestartSeen => (Moment::Held(Side::Front), vec![self.broker()]),
            Kind::RestartOpen => {
                let broker = self.broker();
                (Moment::Open, self.perhaps_cut(broker))
            }
            Kind::RestartUnseen => (Moment::Held(Side::Back), vec![self.broker()]),
            Kind::Rolling => (Moment::Held(Side::Front), vec![Fault::Rolling(self.death())]),
            Kind::Moves => (self.moment(), self.perhaps_cut(Fault::Leaders)),
            Kind::ProxyRestart => (self.moment(), vec![Fault::Proxy(self.death())]),
            Kind::BothRestart => {
                let mut both = vec![Fault::Proxy(self.death()), self.broker()];
                both.shuffle(&mut self.random);
                (self.moment(), both)
            }
        };
        // Answers cannot be held for long from clients that give up: only to be stalled, and then one of each.
        let stalls = matches!(kind, Kind::Stall);
        // Several batches of one partition wait for answers that are lost: more than the broker will remember.
        let forgets = matches!(kind, Kind::RestartSeen | Kind::RestartUnseen | Kind::Rolling);
        Round {
            records: if stalls { 1 } else { self.random.random_range(2..=RECORDS_MAX) },
            partition: (forgets || self.random.random()).then(|| self.partition()),
            moment: if impatient && !stalls { Moment::Open } else { moment },
            faults,
            lost: (forgets || self.random.random()).then(|| self.ending()),
            commits: self.random.random_ratio(2, 3),
        }
    }

    fn perhaps_cut(&mut self, fault: Fault) -> Vec<Fault> {
        let cut = self.random.random::<bool>().then(|| self.cut());
        cut.into_iter().chain([fault]).collect()
    }

    fn cut(&mut self) -> Fault {
        const POINTS: [Point; 5] =
            [Point::InRequest, Point::AfterRequest, Point::BeforeAnswer, Point::InAnswer, Point::AfterAnswer];
        let point = POINTS[self.random.random_range(0..POINTS.len())];
        Fault::Cut(self.side(), Strike { nth: self.random.random_range(1..=3), point, ending: self.ending() })
    }

    fn broker(&mut self) -> Fault {
        Fault::Broker { link: self.random.random_range(0..self.links), death: self.death() }
    }

    fn moment(&mut self) -> Moment {
        match self.random.random_range(0..3) {
            0 => Moment::Open,
            1 => Moment::Held(Side::Front),
            _ => Moment::Held(Side::Back),
        }
    }

    fn side(&mut self) -> Side {
        if self.random.random() { Side::Front } else { Side::Back }
    }

    fn ending(&mut self) -> Ending {
        if self.random.random() { Ending::Reset } else { Ending::Close }
    }

    fn death(&mut self) -> Death {
        if self.random.random() { Death::Orderly } else { Death::Sudden }
    }

    fn partition(&mut self) -> i32 {
        self.random.random_range(0..self.partitions).try_into().unwrap()
    }
}

#[test]
fn a_restart_explains_doubling_unless_every_acknowledgement_is_seen() {
    let round = |moment, faults: &[Fault]| Round { moment, faults: faults.to_vec(), ..Round::calm() };
    let down = Fault::Broker { link: 0, death: Death::Orderly };
    let cut = Fault::Cut(Side::Back, Strike { nth: 1, point: Point::BeforeAnswer, ending: Ending::Reset });
    let proxy = Fault::Proxy(Death::Sudden);
    for faults in [&[down][..], &[Fault::Rolling(Death::Sudden)]] {
        assert!(!round(Moment::Held(Side::Front), faults).may_double());
        assert!(round(Moment::Held(Side::Back), faults).may_double());
        assert!(round(Moment::Open, faults).may_double());
    }
    assert!(round(Moment::Held(Side::Front), &[down, cut]).may_double());
    assert!(round(Moment::Held(Side::Front), &[proxy, down]).may_double());
    assert!(
        !round(Moment::Open, &[cut, proxy, Fault::Leaders]).may_double(),
        "brokers remember as long as they are up"
    );
}

#[test]
fn the_same_seed_is_the_same_plan() {
    assert_eq!(Plan::draw(7, 3, 3), Plan::draw(7, 3, 3));
    assert_ne!(Plan::draw(7, 3, 3), Plan::draw(8, 3, 3));
}
