//! A relay between a client and its broker that knows frames: it loses acknowledgements or keeps them back.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::acceptor::{Acceptor, Stopping};
use super::frame;

/// The api key of Produce.
const PRODUCE: i16 = 0;

/// The most answers that one connection's requests may be waiting for.
const PENDING_MAX: usize = 1_024;

/// How a relay is set up.
#[derive(Clone, Copy, Debug)]
pub struct RelayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where everything goes.
    pub upstream: SocketAddr,
    /// What the choice of lost answers is made from.
    pub seed: u64,
    /// How many of a hundred answers to Produce get lost, below 100.
    pub lost_percent: u8,
}

#[derive(Debug)]
struct Shared {
    config: RelayConfig,
    /// Answers to Produce so far: the ordinal that decides which get lost.
    answers: AtomicU64,
    lost: AtomicU64,
    produce_requests: AtomicU64,
    control: watch::Sender<Control>,
    held: watch::Sender<usize>,
}

/// What connections are told to do; one value, so that a cut and a release cannot be seen one without the other.
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    hold: bool,
    cuts: u64,
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    acceptor: Acceptor,
}

impl Relay {
    /// Starts to relay.
    pub async fn start(config: RelayConfig) -> io::Result<Self> {
        assert!(config.lost_percent < 100, "some answers must arrive");
        let shared = Arc::new(Shared {
            config,
            answers: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            produce_requests: AtomicU64::new(0),
            control: watch::Sender::new(Control::default()),
            held: watch::Sender::new(0),
        });
        let for_connections = Arc::clone(&shared);
        let serve = move |client, stopping| serve(client, Arc::clone(&for_connections), stopping);
        let acceptor = Acceptor::bind(config.listen, serve).await?;
        Ok(Self { shared, acceptor })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// How many answers were lost by chance.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// How many Produce requests were passed on.
    #[must_use]
    pub fn produce_requests(&self) -> u64 {
        self.shared.produce_requests.load(Ordering::Relaxed)
    }

    /// Keeps answers to Produce back from now on, or lets go those that were.
    pub fn hold_answers(&self, hold: bool) {
        self.shared.control.send_modify(|control| control.hold = hold);
    }

    /// Waits until `count` answers are kept back.
    pub async fn held(&self, count: usize) {
        // The sender lives as long as `self`.
        let _ = self.shared.held.subscribe().wait_for(|held| *held >= count).await;
    }

    /// Resets every connection: answers that were kept back are lost, and later ones pass.
    pub fn cut(&self) {
        self.shared.control.send_modify(|control| *control = Control { hold: false, cuts: control.cuts + 1 });
    }

    /// Closes the listener and resets every connection.
    pub async fn stop(self) {
        self.acceptor.stop().await;
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>, mut stopping: Stopping) {
    let mut control = shared.control.subscribe();
    let cuts = control.borrow_and_update().cuts;
    let mut link = Link { client, shared, cuts, pending: VecDeque::new(), kept: Vec::new() };
    tokio::select! {
        () = stopping.wait() => {}
        // Here as well as inside, where a write to a client that does not read may wait.
        _ = control.wait_for(|control| control.cuts != cuts) => {}
        // However it ends, the client is to see a broken connection, never an orderly end.
        _ = link.run() => {}
    }
    let _ = link.client.set_zero_linger();
    let kept = link.kept.len();
    link.shared.held.send_modify(|held| *held -= kept);
}

/// One client's connection, and the broker's side of it while it runs.
struct Link {
    client: TcpStream,
    shared: Arc<Shared>,
    /// The cuts before this connection began.
    cuts: u64,
    /// Whether each request that will be answered is a Produce.
    pending: VecDeque<bool>,
    /// Answers kept back, with those behind them.
    kept: Vec<Bytes>,
}

impl Link {
    async fn run(&mut self) -> io::Result<()> {
        let mut broker = TcpStream::connect(self.shared.config.upstream).await?;
        broker.set_nodelay(true)?;
        let mut control = self.shared.control.subscribe();
        let (mut requests, mut answers) = (BytesMut::new(), BytesMut::new());
        loop {
            tokio::select! {
                read = self.client.read_buf(&mut requests) => {
                    ended(read?)?;
                    while let Some(request) = frame::split(&mut requests)? {
                        self.expect_answer(&request)?;
                        broker.write_all(&request).await?;
                    }
                }
                read = broker.read_buf(&mut answers) => {
                    ended(read?)?;
                    while let Some(answer) = frame::split(&mut answers)? {
                        self.pass(answer).await?;
                    }
                }
                Ok(()) = control.changed() => {
                    if !self.is_held()? {
                        self.let_go().await?;
                    }
                }
            }
        }
    }

    fn expect_answer(&mut self, request: &[u8]) -> io::Result<()> {
        let key = request.get(frame::PREFIX_LEN..frame::PREFIX_LEN + 2).ok_or(io::ErrorKind::InvalidData)?;
        if self.pending.len() == PENDING_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let is_produce = key == PRODUCE.to_be_bytes();
        self.pending.push_back(is_produce);
        self.shared.produce_requests.fetch_add(u64::from(is_produce), Ordering::Relaxed);
        Ok(())
    }

    /// Passes an answer on, keeps it back, or fails for one that gets lost.
    async fn pass(&mut self, answer: Bytes) -> io::Result<()> {
        let is_produce = self.pending.pop_front().ok_or(io::ErrorKind::InvalidData)?;
        if is_produce && self.is_lost() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let hold = self.is_held()?;
        if !self.kept.is_empty() || (is_produce && hold) {
            self.kept.push(answer);
            self.shared.held.send_modify(|held| *held += 1);
            return Ok(());
        }
        self.client.write_all(&answer).await
    }

    /// Whether answers to Produce are kept back; fails after a cut.
    fn is_held(&self) -> io::Result<bool> {
        let control = *self.shared.control.borrow();
        if control.cuts == self.cuts { Ok(control.hold) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    async fn let_go(&mut self) -> io::Result<()> {
        let kept = std::mem::take(&mut self.kept);
        self.shared.held.send_modify(|held| *held -= kept.len());
        for answer in kept {
            self.client.write_all(&answer).await?;
        }
        Ok(())
    }

    fn is_lost(&self) -> bool {
        let ordinal = self.shared.answers.fetch_add(1, Ordering::Relaxed);
        let lost = chance(self.shared.config.seed, ordinal) < u64::from(self.shared.config.lost_percent);
        self.shared.lost.fetch_add(u64::from(lost), Ordering::Relaxed);
        lost
    }
}

fn ended(read: usize) -> io::Result<()> {
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// A number below 100 that depends on nothing but its arguments (the finaliser of SplitMix64).
fn chance(seed: u64, ordinal: u64) -> u64 {
    let mut mixed = seed.wrapping_add(ordinal.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % 100
}
