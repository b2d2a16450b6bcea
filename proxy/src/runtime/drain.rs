//! How connections learn that the proxy is about to stop.

use tokio::sync::watch;

/// How far the proxy is on its way to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    /// It is not.
    Running,
    /// Connections end when they owe nothing any more.
    Draining,
    /// Connections end whatever they owe.
    Expired,
}

/// Starts the drain and ends it; dropped without either, no connection is told.
#[derive(Debug)]
pub struct Drain(watch::Sender<Phase>);

impl Drain {
    /// Returns a drain that has not started.
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// Tells every signal that draining has started.
    pub fn start(&self) {
        self.advance(Phase::Draining);
    }

    /// Tells every signal that its deadline has passed.
    ///
    /// One clock for all: whoever calls this knows how many connections were left when it passed.
    pub fn expire(&self) {
        self.advance(Phase::Expired);
    }

    /// Returns a signal for one listener or connection.
    pub fn signal(&self) -> DrainSignal {
        DrainSignal(self.0.subscribe())
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let on = *phase < to;
            if on {
                *phase = to;
            }
            on
        });
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells one task that draining has started, and when it must be done.
#[derive(Debug, Clone)]
pub struct DrainSignal(watch::Receiver<Phase>);

impl DrainSignal {
    /// Waits for the drain to start; for ever when it never does.
    ///
    /// Cancel safe, and returns at once when the drain has started before.
    pub async fn started(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits for the deadline of the drain to pass; cancel safe.
    pub async fn expired(&self) {
        self.reached(Phase::Expired).await;
    }

    /// Returns whether draining has started.
    pub fn has_started(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    async fn reached(&self, wanted: Phase) {
        let mut watch = self.0.clone();
        if watch.wait_for(|phase| *phase >= wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
