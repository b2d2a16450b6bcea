//! The thread that writes: a file may block for as long as it likes, and nobody else waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

use super::entry::Entry;
use super::line;
use super::sink::Sink;
use super::{Message, Shared};
use crate::telemetry::limiter::Limiter;

/// Lines of a block at most.
const BLOCK_LINES_MAX: u64 = 1_024;
/// How long a line may wait for the end of its block.
const BLOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Writes events until the proxy stops.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    queue: Receiver<Message>,
    shared: Arc<Shared>,
    /// `None` while the file cannot be opened again.
    sink: Option<Sink>,
    /// The next block says first who writes.
    starts: bool,
    block: Block,
    warnings: Limiter,
}

/// Lines that wait for their chain.
#[derive(Debug, Default)]
struct Block {
    text: String,
    lines: u64,
    events: u64,
    /// What its own `dropped` lines tell.
    dropped: u64,
    since: Option<Instant>,
}

/// What the writer does next.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation per event")]
enum Next {
    Write(Entry),
    CloseBlock,
    Stop,
}

impl Writer {
    pub(super) fn new(path: PathBuf, sink: Sink, queue: Receiver<Message>, shared: Arc<Shared>) -> Self {
        let (block, warnings) = (Block::default(), Limiter::rare());
        Self { path, queue, shared, sink: Some(sink), starts: true, block, warnings }
    }

    /// Writes until it is told to stop, or nobody is left to tell anything.
    pub(super) fn run(mut self) {
        self.close_block();
        loop {
            match self.next() {
                Next::Write(entry) => {
                    self.block.push(|text| line::event(text, &entry));
                    self.block.events += 1;
                    if self.block.is_due() {
                        self.close_block();
                    }
                }
                Next::CloseBlock => self.close_block(),
                Next::Stop => break,
            }
        }
        self.tell_dropped();
        self.block.push(|text| line::stop(text, SystemTime::now()));
        self.close_block();
        if let Some(Err(error)) = self.sink.as_ref().map(Sink::sync) {
            warn!(file = %self.path.display(), %error, "the journal may not have reached the disk");
        }
    }

    fn next(&self) -> Next {
        loop {
            let message = if self.shared.stopping.load(Ordering::SeqCst) {
                self.queue.try_recv().map_err(|error| match error {
                    TryRecvError::Empty | TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                self.queue.recv_timeout(self.block.time_left())
            };
            match message {
                Ok(Message::Event(entry)) => return Next::Write(entry),
                Ok(Message::Wake) => {}
                Err(RecvTimeoutError::Timeout) => return Next::CloseBlock,
                Err(RecvTimeoutError::Disconnected) => return Next::Stop,
            }
        }
    }

    fn tell_dropped(&mut self) {
        let dropped = self.shared.missing.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.block.push(|text| line::dropped(text, SystemTime::now(), dropped));
            self.block.dropped += dropped;
        }
    }

    /// Writes the block and its chain line. What cannot be written is counted as dropped: the proxy goes on.
    fn close_block(&mut self) {
        self.tell_dropped();
        self.block.since = None;
        if self.block.lines == 0 && !self.starts {
            return;
        }
        let block = std::mem::take(&mut self.block);
        if let Err(error) = self.write(&block) {
            self.shared.missing.fetch_add(block.events + block.dropped, Ordering::Relaxed);
            self.shared.dropped.inc_by(block.events);
            if let Some(suppressed) = self.warnings.admit(Instant::now()) {
                let file = self.path.display();
                warn!(%file, %error, events = block.events, suppressed, "the journal cannot be written: events are dropped");
            }
        }
    }

    fn write(&mut self, block: &Block) -> std::io::Result<()> {
        self.sink.take_if(|sink| sink.is_moved(&self.path) && tell_moved(&self.path, sink, &self.warnings));
        let sink = match &mut self.sink {
            Some(sink) => sink,
            None => {
                self.starts = true;
                self.sink.insert(Sink::open(&self.path)?)
            }
        };
        let mut text = String::with_capacity(block.text.len() + 512);
        if self.starts {
            line::start(&mut text, SystemTime::now());
        }
        text.push_str(&block.text);
        let mut chain = sink.chain.clone();
        chain.take_in(text.as_bytes());
        let chain = chain.close(&mut text, SystemTime::now(), block.lines + u64::from(self.starts));
        if sink.line_open {
            text.insert(0, '\n');
        }
        sink.append(text.as_bytes(), chain)?;
        self.starts = false;
        Ok(())
    }
}

/// Returns true: the journal goes on in a new file.
fn tell_moved(path: &Path, sink: &Sink, warnings: &Limiter) -> bool {
    let file = path.display();
    if !sink.is_removed() {
        info!(%file, "the journal was moved or cut: a new one begins");
    } else if let Some(suppressed) = warnings.admit(Instant::now()) {
        warn!(%file, suppressed, "the journal was removed: a new one begins");
    }
    true
}

impl Block {
    fn push(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.lines += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_due(&self) -> bool {
        self.lines >= BLOCK_LINES_MAX || self.time_left().is_zero()
    }

    fn time_left(&self) -> Duration {
        BLOCK_PATIENCE.saturating_sub(self.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }
}
