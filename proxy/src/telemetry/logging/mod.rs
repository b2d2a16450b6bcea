//! The log: text or JSON on standard error, one line per event whatever clients send.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tracing::warn;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::queue::Queue;
use super::lanes::Counter;

/// Of the process, as the log is.
static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);
/// Where lines wait for their writer; without it whoever logs writes.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();
/// How long the process stays for lines that nobody reads.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Says what a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts the log; `verbosity` is how often `-v` was given. Without it `RUST_LOG` decides, and without that `default`.
pub fn start(format: LogFormat, verbosity: u8, default: tracing::Level) -> anyhow::Result<()> {
    let mut ignored = None;
    let filter = match verbosity {
        // Leaving out what is wrong in it would be told on standard error, by a panic if that cannot be written.
        0 => EnvFilter::builder().with_default_directive(default.into()).from_env().unwrap_or_else(|error| {
            ignored = Some(error);
            EnvFilter::new(default.as_str())
        }),
        1 => EnvFilter::new("info,seqgate=debug"),
        2 => EnvFilter::new("info,seqgate=trace"),
        _ => EnvFilter::new("trace"),
    };
    // No colours: a line holds no control character at all, so that none can come from outside.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(OneLine(out));
    // They are told on standard error, by a panic if that cannot be written.
    let log = log.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log does not start: {error}"))?;
    if let Some(error) = ignored {
        warn!(%error, "RUST_LOG is ignored");
    }
    Ok(())
}

/// Has a thread of its own write the log from here on, so that nobody who logs waits for whoever reads.
pub fn write_apart() -> anyhow::Result<Apart> {
    let queue = Arc::new(Queue::new(dropped()));
    let writer = Arc::clone(&queue);
    let run = move || writer.write_to(io::stderr(), tell_missing);
    thread::Builder::new().name("log".to_owned()).spawn(run).context("the log's thread does not start")?;
    QUEUE.get_or_init(|| queue);
    panic::set_hook(Box::new(tell_panic));
    Ok(Apart(()))
}

/// Stands for a log that is written apart; dropped, it waits until all lines are, if somebody reads them.
#[derive(Debug)]
#[must_use]
pub struct Apart(());

impl Drop for Apart {
    fn drop(&mut self) {
        flush();
    }
}

/// Writes `text` to standard error behind all lines of the log; without effect where nobody reads those.
pub fn say(text: &str) {
    if flush() {
        out().write_all(text.as_bytes()).ok();
        flush();
    }
}

/// Returns the count of lines that are not in the log: they could not be written, or nobody read.
pub fn dropped() -> Counter {
    DROPPED.clone()
}

fn flush() -> bool {
    QUEUE.get().is_none_or(|queue| queue.flush(FLUSH_PATIENCE))
}

fn out() -> Box<dyn Write> {
    match QUEUE.get() {
        Some(queue) => Box::new(&**queue),
        None => Box::new(io::stderr()),
    }
}

fn tell_missing(dropped: u64) {
    warn!(dropped, "lines of the log are missing: nobody read it, or it could not be written");
}

/// Tells of a panic as the standard library does, but never waits either.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let (thread, trace) = (thread::current(), Backtrace::capture());
    let mut text = format!("\nthread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("stack backtrace:\n{trace}"));
    }
    out().write_all(text.as_bytes()).ok();
}

/// Makes writers that escape what could pass for another line or for a terminal's command.
#[derive(Debug, Clone, Copy)]
struct OneLine<F>(F);

impl<'a, F: Fn() -> W, W: Write + 'a> MakeWriter<'a> for OneLine<F> {
    type Writer = Escaping<W>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping((self.0)())
    }
}

/// Escapes each event as it is written; the subscriber writes one event at a time. What cannot be written is dropped and
/// counted: the proxy goes on without a log.
#[derive(Debug)]
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if self.0.write_all(escape(&String::from_utf8_lossy(event)).as_bytes()).is_err() {
            DROPPED.inc();
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns `event` with every control and text-direction character but the last newline as `\uXXXX`, which JSON knows.
fn escape(event: &str) -> String {
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    let mut escaped = String::with_capacity(event.len());
    for character in line.chars() {
        if is_hostile(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped + end
}

fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str = "a\nINFO forged\r\u{1b}[31m\u{9b}1m\u{202e}z";

    fn captured(json: bool) -> String {
        let out = Captured::default();
        let to = out.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(OneLine(move || to.clone()));
        let emit = || tracing::info!(topic = HOSTILE, client = %HOSTILE, "message {HOSTILE}");
        if json {
            tracing::subscriber::with_default(log.json().finish(), emit);
        } else {
            tracing::subscriber::with_default(log.finish(), emit);
        }
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        for json in [false, true] {
            let text = captured(json);
            assert!(text.ends_with('\n') && text.contains("forged"), "{text:?}");
            assert!(!text.trim_end_matches('\n').chars().any(is_hostile), "{text:?}");
            assert_eq!(text.lines().count(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_json_event_still_parses_and_holds_what_was_sent() {
        let event: serde_json::Value = serde_json::from_str(&captured(true)).unwrap();
        assert_eq!(event["fields"]["topic"], HOSTILE);
    }
}
