//! What the two pumps of a connection share.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seqgate_protocol::sequencing::{BrokerGeneration, ConnectionId};
use seqgate_protocol::session::{LookUp, Mixed, Mode, Pending, Policy, Present};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::bell::Bell;
use super::cluster::Cluster;
use super::report::Reporter;
use super::seat::{Seat, TooOften};
use super::shared::Place;
use super::{Connection, Totals};
use crate::config;
use crate::net::socket::{self, Handle};
use crate::runtime::{ConnectionRecord, Listener, Runtime};
use crate::telemetry::labels::{Direction, Outcome};

/// Time beyond a request's own timeout that its answer may take to arrive once nobody waits for it.
const ORPHAN_MARGIN: Duration = Duration::from_secs(5);
/// However long a client says that brokers may take.
const ORPHAN_MAX: Duration = Duration::from_secs(300);

/// How long a client may leave an answer untaken: longer than a broker keeps an idle connection
/// (`connections.max.idle.ms`).
const UNTAKEN_MAX: Duration = Duration::from_secs(900);

/// What the downlink wants to be looked up in the log.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) look_ups: Vec<LookUp>,
    /// It is of no use after that.
    pub(super) deadline: Instant,
    pub(super) back: oneshot::Sender<Vec<LookUp>>,
}

/// What is not shared of a connection's sockets.
#[derive(Debug)]
pub(super) struct Sides {
    /// For the uplink to read.
    pub(super) from_client: OwnedReadHalf,
    /// For the downlink to read.
    pub(super) from_broker: OwnedReadHalf,
    /// For the uplink to write to.
    pub(super) broker: Handle,
}

/// One connection, seen from both pumps.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) runtime: Arc<Runtime>,
    pub(super) listener: Arc<Listener>,
    pub(super) record: Arc<ConnectionRecord>,
    pub(super) place: Arc<Place>,
    seat: Mutex<Seat>,
    /// Produce requests at the broker.
    unsettled: AtomicUsize,
    /// The longest that one of them lets the broker take, in milliseconds.
    timeout_ms_max: AtomicU32,
    settled: Notify,
    /// Bytes that requests keep until their answers have gone.
    pub(super) kept: AtomicUsize,
    /// The client's side, until it is reset. A pump holds another handle for as long as it uses it.
    client: Mutex<Option<Arc<Handle>>>,
    /// The client is not written to any more.
    client_gone: AtomicBool,
    why_gone: OnceLock<(Outcome, &'static str)>,
    gone: Notify,
    /// An answer that the uplink waits for has come.
    answered: Bell,
    /// What the downlink wants to be looked up; only the uplink can send.
    wish: Mutex<Option<Wish>>,
    has_wish: AtomicBool,
    wished: Bell,
    /// Whether the uplink sends requests still.
    sends: AtomicBool,
    /// A request of our own is at the broker.
    own: AtomicBool,
    own_correlation_id: AtomicI32,
    to_broker: AtomicU64,
    to_client: AtomicU64,
    requests: AtomicU64,
    responses: AtomicU64,
}

impl Link {
    pub(super) fn new(connection: Connection, runtime: Arc<Runtime>) -> (Self, Sides) {
        let (from_client, client) = socket::split(connection.client);
        let (from_broker, broker) = socket::split(connection.upstream);
        let place = runtime.shared.place(&connection.listener);
        let id = ConnectionId(runtime.shared.next_connection());
        let link = Self {
            listener: connection.listener,
            record: connection.record,
            seat: Mutex::new(Seat::new(id, Arc::clone(&place.home))),
            place,
            unsettled: AtomicUsize::new(0),
            timeout_ms_max: AtomicU32::new(0),
            settled: Notify::new(),
            kept: AtomicUsize::new(0),
            client: Mutex::new(Some(Arc::new(client))),
            client_gone: AtomicBool::new(false),
            why_gone: OnceLock::new(),
            gone: Notify::new(),
            answered: Bell::default(),
            wish: Mutex::new(None),
            has_wish: AtomicBool::new(false),
            wished: Bell::default(),
            sends: AtomicBool::new(true),
            own: AtomicBool::new(false),
            own_correlation_id: AtomicI32::new(i32::MIN),
            to_broker: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            responses: AtomicU64::new(0),
            runtime,
        };
        (link, Sides { from_client, from_broker, broker })
    }

    /// The session, at the cluster that the connection leads to now. Only the two pumps of the connection's one task
    /// come here: it is never contended.
    pub(super) fn session(&self) -> MutexGuard<'_, Seat> {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(TooOften) = seat.follow() {
            self.lose_cluster();
        }
        seat
    }

    /// The connection leads to more clusters than can be true.
    pub(super) fn lose_cluster(&self) {
        self.lose_client(Outcome::Protocol, "the broker changes its cluster id too often");
    }

    pub(super) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.session().ledger().0)
    }

    /// What is true now.
    pub(super) fn present(&self) -> Present {
        let config = &self.runtime.config;
        let mode = match self.runtime.mode.load() {
            config::Mode::Observe => Mode::Observe,
            config::Mode::Dedupe => Mode::Dedupe,
            config::Mode::Enforce => Mode::Enforce,
        };
        let mixed = match config.mixed {
            config::Mixed::Strip => Mixed::Strip,
            config::Mixed::Forward => Mixed::Forward,
        };
        Present {
            now: self.runtime.shared.now(),
            broker: BrokerGeneration { broker: self.place.broker, generation: self.listener.upstream.generation() },
            policy: Policy {
                mode,
                mixed,
                authoritative: config.sequencing.authoritative,
                look_up: config.sequencing.look_up,
                producer_expiration_ms: config.sequencing.producer_expiration_ms(),
            },
            serves_without_sasl: self.place.serves_without_sasl.load(Ordering::Relaxed),
            keep_bytes_max: self.keep_bytes_left(),
            may_look: false,
            guards: false,
            unix_ms: if mode == Mode::Enforce { unix_ms() } else { 0 },
        }
    }

    pub(super) fn reporter(&self) -> Reporter<'_> {
        Reporter::new(self)
    }

    /// A produce request goes to the broker.
    pub(super) fn note_unsettled(&self, pending: &Pending) {
        self.timeout_ms_max.fetch_max(pending.timeout_ms(), Ordering::Relaxed);
        self.unsettled.fetch_add(1, Ordering::SeqCst);
    }

    /// A produce request was settled, in whatever way.
    pub(super) fn note_settled(&self) {
        if self.unsettled.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.settled.notify_waiters();
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.load(Ordering::SeqCst) == 0
    }

    /// Waits until no produce request is at the broker; cancel safe.
    pub(super) async fn until_settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// How long answers that nobody waits for are read all the same: they are proofs, or tell that there is none.
    pub(super) fn orphan_patience(&self) -> Duration {
        let timeout = Duration::from_millis(self.timeout_ms_max.load(Ordering::Relaxed).into());
        (timeout + ORPHAN_MARGIN).min(ORPHAN_MAX)
    }

    /// Nothing is written to the client from now on, and it is reset as soon as no pump is at it; the first reason
    /// counts. The broker's side stays.
    pub(super) fn lose_client(&self, outcome: Outcome, why: &'static str) {
        self.why_gone.get_or_init(|| (outcome, why));
        if let Some(client) = self.take_client() {
            socket::reset_on_drop(&client);
        }
        self.client_gone.store(true, Ordering::SeqCst);
        self.gone.notify_waiters();
    }

    /// Why the client is not written to any more.
    pub(super) fn why_gone(&self) -> Option<(Outcome, &'static str)> {
        self.why_gone.get().copied()
    }

    /// The client's side, unless it is gone.
    pub(super) fn client(&self) -> Option<Arc<Handle>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hands the client's side out for good.
    pub(super) fn take_client(&self) -> Option<Arc<Handle>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for `write` to bring bytes to the client; one that does not take them is lost.
    pub(super) async fn deliver(&self, write: impl Future<Output = io::Result<()>>, bytes: usize) {
        let written = tokio::select! {
            biased;
            written = timeout(UNTAKEN_MAX, write) => written,
            () = self.client_gone() => return,
        };
        match written {
            Ok(Ok(())) => self.note_delivered(bytes),
            Ok(Err(_)) => self.lose_client(Outcome::Client, "the client closed before its answer"),
            Err(_) => self.lose_client(Outcome::Timeout, "the client does not take its answers"),
        }
    }

    pub(super) fn is_client_gone(&self) -> bool {
        self.client_gone.load(Ordering::SeqCst)
    }

    /// Waits until the client cannot be written to any more; cancel safe.
    pub(super) async fn client_gone(&self) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if self.is_client_gone() {
                return;
            }
            gone.await;
        }
    }

    /// An answer was taken in that the uplink may wait for.
    pub(super) fn note_answered(&self) {
        self.answered.ring();
    }

    /// Waits for the next answer that is noted; one that was noted before counts.
    pub(super) async fn answered(&self) {
        self.answered.heard().await;
    }

    /// A request of our own goes to the broker, or its answer has come.
    pub(super) fn note_own(&self, at_broker: bool) {
        self.own.store(at_broker, Ordering::SeqCst);
    }

    /// Whether a request of our own may go: there is one at a time.
    pub(super) fn may_send_own(&self) -> bool {
        self.runtime.config.sequencing.look_up && !self.own.load(Ordering::SeqCst)
    }

    /// Numbers our own requests from the lowest number up, where clients have none.
    pub(super) fn own_correlation_id(&self) -> i32 {
        self.own_correlation_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks the uplink to look something up. Nothing comes back, at once, from one that sends no more.
    pub(super) fn wish(&self, look_ups: Vec<LookUp>, deadline: Instant) -> oneshot::Receiver<Vec<LookUp>> {
        let (back, looked) = oneshot::channel();
        if self.sends.load(Ordering::SeqCst) {
            *self.lock_wish() = Some(Wish { look_ups, deadline, back });
            self.has_wish.store(true, Ordering::SeqCst);
            self.wished.ring();
        }
        looked
    }

    /// What the downlink wants to be looked up.
    pub(super) fn take_wish(&self) -> Option<Wish> {
        self.has_wish.store(false, Ordering::SeqCst);
        self.lock_wish().take()
    }

    /// Whether the downlink wants something to be looked up.
    pub(super) fn has_wish(&self) -> bool {
        self.has_wish.load(Ordering::SeqCst)
    }

    /// Waits for something to be looked up; cancel safe.
    pub(super) async fn wished(&self) {
        self.wished.heard().await;
    }

    /// The uplink sends no more requests.
    pub(super) fn note_sends_no_more(&self) {
        self.sends.store(false, Ordering::SeqCst);
        self.take_wish();
    }

    fn lock_wish(&self) -> MutexGuard<'_, Option<Wish>> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_sent(&self, bytes: usize) {
        self.to_broker.fetch_add(bytes as u64, Ordering::Relaxed);
        self.runtime.metrics.bytes.add(Direction::ToBroker, bytes as u64);
    }

    pub(super) fn note_delivered(&self, bytes: usize) {
        self.to_client.fetch_add(bytes as u64, Ordering::Relaxed);
        self.runtime.metrics.bytes.add(Direction::ToClient, bytes as u64);
    }

    /// So many bytes went by, within the kernel.
    pub(super) fn note_spliced(&self, direction: Direction, bytes: usize) {
        self.runtime.metrics.spliced_bytes.add(direction, bytes as u64);
    }

    pub(super) fn note_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_response(&self) {
        self.responses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            bytes_to_broker: self.to_broker.load(Ordering::Relaxed),
            bytes_to_client: self.to_client.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            responses: self.responses.load(Ordering::Relaxed),
        }
    }

    /// Counts the time since `since` as what the proxy added.
    pub(super) fn note_added(&self, since: std::time::Instant) {
        self.runtime.metrics.added_latency.observe(since.elapsed());
    }
}

/// Now, in milliseconds since 1970.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
