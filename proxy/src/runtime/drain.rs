//! How connections learn that the proxy is about to stop.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Starts the drain; dropped without it, no connection is told.
#[derive(Debug)]
pub struct Drain(watch::Sender<Option<Instant>>);

impl Drain {
    /// Returns a drain that has not started.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Tells every signal that draining has started and ends after `patience`; the first call counts.
    pub fn start(&self, patience: Duration) -> Instant {
        let deadline = Instant::now() + patience;
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(deadline);
            first
        });
        self.0.borrow().unwrap_or(deadline)
    }

    /// Returns a signal for one listener or connection.
    pub fn signal(&self) -> DrainSignal {
        DrainSignal(self.0.subscribe())
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells one task that draining has started, and when it must be done.
#[derive(Debug, Clone)]
pub struct DrainSignal(watch::Receiver<Option<Instant>>);

impl DrainSignal {
    /// Waits for the drain to start and returns its deadline; for ever when it never does.
    ///
    /// Cancel safe, and returns at once when the drain has started before.
    pub async fn started(&self) -> Instant {
        let mut watch = self.0.clone();
        let deadline = watch.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
        match deadline {
            Some(deadline) => deadline,
            None => std::future::pending().await,
        }
    }

    /// Waits for the deadline of the drain to pass; cancel safe.
    pub async fn expired(&self) {
        tokio::time::sleep_until(self.started().await).await;
    }

    /// Returns the deadline once draining has started.
    pub fn deadline(&self) -> Option<Instant> {
        *self.0.borrow()
    }
}
