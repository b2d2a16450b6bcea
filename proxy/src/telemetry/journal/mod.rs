//! The journal: what was not ordinary, one JSON object per line, in a chain that shows whether one is missing.
//!
//! The relay notes events down in a bounded queue and never waits; a writer on a thread of its own turns them into
//! lines. What finds no room is counted, and told in the journal once there is.

mod chain;
mod entry;
mod line;
mod scribe;
mod sink;
mod verify;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use self::entry::Entry;
pub use self::scribe::Scribe;
use self::sink::{Sink, with_way_out};
pub use self::verify::{Verified, VerifyError, verify};
use self::writer::Writer;
use crate::config::JournalConfig;
use crate::relay::Totals;
use crate::runtime::ConnectionRecord;
use crate::telemetry::labels::Outcome;
use crate::telemetry::lanes::Counter;
use crate::telemetry::limiter::Limiter;

/// Events that wait for the writer; of half a kilobyte each.
const QUEUE_MAX: usize = 4_096;
/// How long the writer may take for its last lines.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Takes events, and never waits; without a file it takes none.
#[derive(Debug, Default)]
pub struct Journal(Option<Open>);

#[derive(Debug)]
struct Open {
    queue: SyncSender<Message>,
    every_batch: bool,
    shared: Arc<Shared>,
    warnings: Limiter,
    /// Ends when the writer has ended.
    written: Mutex<Option<oneshot::Receiver<()>>>,
}

/// What the queue's two ends share.
#[derive(Debug)]
struct Shared {
    /// Events that are missing and that no line tells of yet.
    missing: AtomicU64,
    /// All that were ever missing.
    dropped: Counter,
    stopping: AtomicBool,
}

#[expect(clippy::large_enum_variant, reason = "the queue is made once; a box would be made per event")]
#[derive(Debug)]
enum Message {
    Event(Entry),
    /// Look up: the proxy is stopping.
    Wake,
}

impl Journal {
    /// Opens the file, if there is to be one, and starts its writer; counts in `dropped` what it has to leave out.
    pub fn start(config: Option<&JournalConfig>, dropped: Counter) -> anyhow::Result<Self> {
        let Some(JournalConfig { file, every_batch }) = config else { return Ok(Self(None)) };
        let sink = Sink::open(file)
            .map_err(with_way_out)
            .with_context(|| format!("journal {} cannot be opened", file.display()))?;
        let (queue, events) = sync_channel(QUEUE_MAX);
        let shared = Arc::new(Shared { missing: AtomicU64::new(0), dropped, stopping: AtomicBool::new(false) });
        let writer = Writer::new(file.clone(), sink, events, Arc::clone(&shared));
        let (done, written) = oneshot::channel();
        let run = move || {
            let _done: oneshot::Sender<()> = done;
            writer.run();
        };
        thread::Builder::new().name("journal".to_owned()).spawn(run).context("the journal's thread does not start")?;
        let (warnings, written) = (Limiter::rare(), Mutex::new(Some(written)));
        Ok(Self(Some(Open { queue, every_batch: *every_batch, shared, warnings, written })))
    }

    /// Says why the journal could not be opened, as far as that can be told without making it.
    pub fn probe(file: &Path) -> std::io::Result<()> {
        Sink::probe(file).map_err(with_way_out)
    }

    /// Returns what takes down the events of one connection.
    pub const fn scribe<'a>(&'a self, client: &'a Arc<ConnectionRecord>) -> Scribe<'a> {
        Scribe::new(self, client)
    }

    /// Notes the end of a connection.
    pub fn note_end(&self, client: &Arc<ConnectionRecord>, outcome: Outcome, totals: Totals) {
        if self.0.is_some() {
            self.note(Entry::of_end(client, outcome, totals));
        }
    }

    fn note(&self, entry: Entry) {
        let Some(open) = &self.0 else { return };
        let (Err(TrySendError::Full(_)) | Err(TrySendError::Disconnected(_))) =
            open.queue.try_send(Message::Event(entry))
        else {
            return;
        };
        open.shared.missing.fetch_add(1, Ordering::Relaxed);
        open.shared.dropped.inc();
        if let Some(suppressed) = open.warnings.admit(Instant::now()) {
            warn!(suppressed, "the journal's file is too slow: events are dropped");
        }
    }

    /// Has everything written that was noted, and says that the journal ends here; waits, but not for ever.
    pub async fn stop(&self) {
        let Some(open) = &self.0 else { return };
        open.shared.stopping.store(true, Ordering::SeqCst);
        // A full queue needs no waking.
        open.queue.try_send(Message::Wake).ok();
        let written = open.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(written) = written
            && timeout(STOP_PATIENCE, written).await.is_err()
        {
            warn!("the journal's file is too slow: its last lines are lost");
        }
    }
}

#[cfg(test)]
mod tests;
