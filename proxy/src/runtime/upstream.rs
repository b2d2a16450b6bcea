//! One broker: how often it was lost, and whether it answers.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use tokio::net::TcpStream;
use tracing::{info, warn};

use crate::config::HostPort;
use crate::net::dial::dial;
use crate::telemetry::limiter::Limiter;

/// Pause after the first failed dial; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause between dials.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Holds what is known of one broker.
#[derive(Debug)]
pub struct Upstream {
    /// Its address as configured.
    pub address: HostPort,
    /// Keeps warnings about this broker rare.
    pub warnings: Limiter,
    generation: AtomicU32,
    open: AtomicUsize,
    answered: AtomicBool,
    health: Mutex<Health>,
    probing: tokio::sync::Mutex<()>,
}

/// Says how the last dials went.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Whether the last dial succeeded; nothing before the first.
    pub reachable: Option<bool>,
    /// Why the last dial failed, if it did.
    pub error: Option<String>,
    judged: Option<Instant>,
    failures: u32,
    retry_at: Option<Instant>,
}

impl Upstream {
    /// How long whoever only wants to know waits for the broker.
    pub const PROBE_PATIENCE: Duration = Duration::from_secs(2);

    /// Knows nothing of the broker yet.
    pub fn new(address: HostPort) -> Self {
        Self {
            address,
            warnings: Limiter::rare(),
            generation: AtomicU32::new(0),
            open: AtomicUsize::new(0),
            answered: AtomicBool::new(false),
            health: Mutex::default(),
            probing: tokio::sync::Mutex::new(()),
        }
    }

    /// Connects to the broker, unless it was found unreachable a moment ago.
    pub async fn dial(&self, patience: Duration) -> io::Result<TcpStream> {
        let started = Instant::now();
        if let Some(refusal) = self.with(|health| health.refusal(started)) {
            return Err(refusal);
        }
        let dialled = dial(&self.address, patience).await;
        self.settle(&dialled, started, rand::rng().random_range(0.5..1.0));
        dialled
    }

    /// Says whether the broker can be reached, from a dial that is at most `age` old.
    pub async fn probe(&self, age: Duration, patience: Duration) -> bool {
        // One probe at a time: those who wait take the answer of the one before.
        let _turn = self.probing.lock().await;
        match self.with(|health| health.fresh(age)) {
            Some(known) => known,
            None => self.find_out(patience, 1.0).await,
        }
    }

    /// Finds out whether the broker can be reached, unless a dial has shown it before.
    ///
    /// One that fails asks for no pause: the first client's dial is its own.
    pub async fn look(&self, patience: Duration) {
        let _turn = self.probing.lock().await;
        if self.with(|health| health.reachable).is_none() {
            self.find_out(patience, 0.0).await;
        }
    }

    /// Dials and hangs up; warns where the broker is not there any more.
    async fn find_out(&self, patience: Duration, jitter: f64) -> bool {
        let started = Instant::now();
        let dialled = dial(&self.address, patience).await;
        let before = self.settle(&dialled, started, jitter);
        if let (Err(error), None | Some(true)) = (&dialled, before) {
            warn!(upstream = %self.address, %error, "broker unreachable: clients will be reset");
        }
        dialled.is_ok()
    }

    /// Counts a connection to the broker until the lease is dropped.
    pub fn lease(self: &Arc<Self>) -> UpstreamLease {
        self.open.fetch_add(1, Ordering::SeqCst);
        UpstreamLease(Arc::clone(self))
    }

    /// Notes that a connection ended in a way the proxy did not cause; returns the new generation.
    pub fn lost(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// Returns how often the broker was lost: raised by [`Self::lost`] and when its last connection closes.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Returns the connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Notes that the broker answers requests.
    pub fn note_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Says whether the broker has ever answered a request.
    pub fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Returns how the last dials went.
    pub fn health(&self) -> Health {
        self.with(|health| health.clone())
    }

    /// Takes in how a dial went, and returns what was thought before.
    fn settle(&self, dialled: &io::Result<TcpStream>, started: Instant, jitter: f64) -> Option<bool> {
        let before = self.with(|health| {
            let before = health.reachable;
            health.settle(dialled, started, Instant::now(), jitter);
            before
        });
        match before {
            None if dialled.is_ok() => info!(upstream = %self.address, "broker reached"),
            Some(false) if dialled.is_ok() => info!(upstream = %self.address, "broker reached again"),
            None | Some(_) => {}
        }
        before
    }

    fn with<T>(&self, f: impl FnOnce(&mut Health) -> T) -> T {
        f(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Health {
    /// Returns an error while the pause after a failure lasts.
    fn refusal(&self, now: Instant) -> Option<io::Error> {
        let waiting = self.retry_at.is_some_and(|retry_at| now < retry_at);
        let error = self.error.as_deref().unwrap_or("unreachable");
        waiting.then(|| io::Error::new(io::ErrorKind::WouldBlock, format!("dialled a moment ago: {error}")))
    }

    fn fresh(&self, age: Duration) -> Option<bool> {
        self.judged.filter(|judged| judged.elapsed() < age).and(self.reachable)
    }

    fn settle(&mut self, dialled: &io::Result<TcpStream>, started: Instant, now: Instant, jitter: f64) {
        let Err(error) = dialled else {
            *self = Self { reachable: Some(true), judged: Some(now), ..Self::default() };
            return;
        };
        // Dials that fail side by side are one failure, not a reason for a longer pause each.
        let another = self.judged.is_none_or(|judged| started >= judged);
        self.failures = self.failures.saturating_add(u32::from(another));
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
        self.retry_at = Some(now + pause.mul_f64(jitter));
        (self.reachable, self.judged, self.error) = (Some(false), Some(now), Some(error.to_string()));
    }
}

/// Stands for one open connection to a broker.
#[derive(Debug)]
pub struct UpstreamLease(Arc<Upstream>);

impl Drop for UpstreamLease {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Result<TcpStream> {
        Err(io::Error::other("refused"))
    }

    #[test]
    fn the_pause_doubles_up_to_a_second() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        let pauses = [(); 7].map(|()| {
            health.settle(&refused(), now, now, 1.0);
            let pause = health.retry_at.unwrap() - now;
            assert!(health.refusal(now).is_some());
            now += pause;
            assert!(health.refusal(now).is_none());
            pause.as_millis()
        });
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
    }

    #[tokio::test]
    async fn a_look_is_taken_once_and_asks_for_no_pause() {
        let broker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(HostPort::new("127.0.0.1", broker.local_addr().unwrap().port()));
        let patience = Duration::from_secs(60);
        upstream.look(patience).await;
        assert_eq!((upstream.health().reachable, upstream.open(), upstream.generation()), (Some(true), 0, 0));
        drop(broker);
        // What is known is not asked again.
        upstream.look(patience).await;
        assert_eq!(upstream.health().reachable, Some(true));
        let gone = Upstream::new(upstream.address.clone());
        gone.look(patience).await;
        let health = gone.health();
        assert_eq!(health.reachable, Some(false));
        assert!(health.refusal(Instant::now()).is_none());
    }

    #[test]
    fn dials_that_fail_together_count_once() {
        let (mut health, start) = (Health::default(), Instant::now());
        for ms in [1, 2, 3] {
            health.settle(&refused(), start, start + Duration::from_millis(ms), 1.0);
        }
        assert_eq!(health.failures, 1);
    }

    #[test]
    fn the_generation_goes_up_with_a_loss_and_with_the_last_connection() {
        let upstream = Arc::new(Upstream::new(HostPort::new("kafka", 9092)));
        let (one, two) = (upstream.lease(), upstream.lease());
        drop(one);
        assert_eq!((upstream.generation(), upstream.open()), (0, 1));
        drop(two);
        assert_eq!((upstream.generation(), upstream.open()), (1, 0));
        assert_eq!(upstream.lost(), 2);
    }
}
