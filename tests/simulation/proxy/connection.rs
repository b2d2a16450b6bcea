//! One connection: what is on its way in each direction, and what the proxy owes its client.

use std::collections::VecDeque;

use seqgate_protocol::session::{Local, Pending, Session};

use super::back::Back;
use super::look::{Looks, Own};
use super::witness::Asked;
use crate::cluster::Waiting;
use crate::memory::Handle;
use crate::wire::{Request, TopicKey};

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Produce(i16),
    Metadata,
    InitProducerId,
    /// A request of the proxy's own, or an answer to one of which nothing is to be learnt.
    Own,
    /// What stands in a log, where it ends, and which topic it is of.
    Log,
    End,
    Topic,
    /// Which producers a broker knows.
    Producers,
}

/// A frame on its way.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) api: Api,
    pub(crate) correlation_id: i32,
    /// Its length included; only produce requests have any.
    pub(crate) bytes: Vec<u8>,
    /// Nothing comes back.
    pub(crate) silent: bool,
}

/// The answer that is due.
#[derive(Debug)]
pub(crate) enum Slot {
    /// The broker's, to what it was sent of a produce request.
    Settle(Box<Settle>),
    /// One made here, to these.
    Local(Box<Local>, Vec<Asked>),
    /// The broker's, to anything else.
    Pass(Api),
    /// The broker's, to a request of our own.
    Own(Box<Own>),
}

/// A produce request at the broker.
#[derive(Debug)]
pub(crate) struct Settle {
    /// Absent where there is no proxy.
    pub(crate) pending: Option<Pending>,
    pub(crate) correlation_id: i32,
    pub(crate) version: i16,
    /// Which of the proxy's ledgers it was noted in.
    pub(crate) ledger: usize,
    /// What the client asked for, and which of its entries the broker was sent.
    pub(crate) asked: Vec<Asked>,
    pub(crate) sent: Vec<usize>,
    pub(crate) request: Request,
    /// Whether the log may be looked into for a 45.
    pub(crate) asks: bool,
}

impl Settle {
    /// Whether nothing was left out of the request.
    pub(crate) fn is_whole(&self) -> bool {
        self.sent.len() == self.asked.len()
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: usize,
    /// How often everything had been lost before its client's process began, which may be another one by now.
    pub(crate) born_in: u32,
    pub(crate) broker: usize,
    pub(crate) proxy: usize,
    pub(crate) session: Option<Session<Handle>>,
    /// Which of its proxy's ledgers it goes by.
    pub(crate) ledger: usize,
    pub(crate) from_client: VecDeque<Frame>,
    /// The first frame from the client was told to wait.
    pub(crate) held: bool,
    /// How often it was.
    pub(crate) waits: u32,
    /// Since when, or for what a log says.
    pub(crate) waits_since_ms: Option<u64>,
    /// What of it waits for the first batch of its producer.
    pub(crate) waits_for_firsts: Vec<(TopicKey, i32)>,
    pub(crate) slots: VecDeque<Slot>,
    pub(crate) to_broker: VecDeque<Frame>,
    pub(crate) waiting: Option<(i16, Waiting)>,
    /// The broker takes nothing from it for a while.
    pub(crate) hangs: bool,
    pub(crate) from_broker: VecDeque<Frame>,
    pub(crate) to_client: VecDeque<Frame>,
    /// What the client waits for, in its order.
    pub(crate) awaited: VecDeque<(i32, Option<Request>)>,
    /// The client reads and writes.
    pub(crate) client_here: bool,
    /// The proxy reads and writes to the broker.
    pub(crate) broker_here: bool,
    /// It was told its cluster's id; until then it goes where the others of its proxy go (T15).
    pub(crate) is_told: bool,
    /// The proxy takes nothing from the client any more, which gets what it is owed.
    pub(crate) is_drained: bool,
    /// A batch was refused on it.
    pub(crate) disturbed: bool,
    pub(crate) looks: Looks,
    pub(crate) back: Back,
}

impl Connection {
    pub(crate) fn new(ends: (usize, usize, usize), session: Option<(Session<Handle>, usize)>) -> Self {
        let (client, proxy, broker) = ends;
        let ledger = session.as_ref().map_or(0, |(_, ledger)| *ledger);
        let session = session.map(|(session, _)| session);
        Self {
            client,
            born_in: 0,
            broker,
            proxy,
            session,
            ledger,
            from_client: VecDeque::new(),
            held: false,
            waits: 0,
            waits_since_ms: None,
            waits_for_firsts: Vec::new(),
            slots: VecDeque::new(),
            to_broker: VecDeque::new(),
            waiting: None,
            hangs: false,
            from_broker: VecDeque::new(),
            to_client: VecDeque::new(),
            awaited: VecDeque::new(),
            client_here: true,
            broker_here: true,
            is_told: false,
            is_drained: false,
            disturbed: false,
            looks: Looks::default(),
            back: Back::default(),
        }
    }

    /// The version and the request that this correlation id stands for, among what the client waits for.
    pub(crate) fn awaits(&self, correlation_id: i32) -> Option<Request> {
        let is_it = |(id, _): &&(i32, Option<Request>)| *id == correlation_id;
        self.awaited.iter().find(is_it).and_then(|(_, request)| request.clone())
    }

    /// Whether requests go up to the broker still.
    pub(crate) fn sends(&self) -> bool {
        self.broker_here && !self.is_drained && (self.client_here || !self.from_client.is_empty())
    }

    /// Whether the proxy has something to take to the broker.
    pub(crate) fn has_to_send(&self) -> bool {
        let has_any = !self.from_client.is_empty() || self.looks.wish.is_some();
        self.broker_here && !self.is_drained && !self.looks_now() && has_any
    }

    /// Whether the uplink looks into a log.
    pub(crate) const fn looks_now(&self) -> bool {
        self.looks.looking.is_some()
    }

    /// Whether nothing is on its way to the client any more.
    pub(crate) fn has_told_all(&self) -> bool {
        self.slots.is_empty() && self.back.is_empty() && self.to_client.is_empty()
    }

    /// Whether the client may have left the proxy with something to find out.
    pub(crate) fn is_owed(&self) -> bool {
        self.back.is_owed() || self.slots.iter().any(|slot| matches!(slot, Slot::Settle(_)))
    }

    /// Nothing will ever happen on it.
    pub(crate) fn is_over(&self) -> bool {
        let is_left = !self.client_here && !self.broker_here && self.slots.is_empty();
        is_left && self.to_broker.is_empty() && self.waiting.is_none()
    }
}
