//! Lines on their way to whoever reads the log: one who does not read lets the thread that writes wait, and nobody else.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::telemetry::lanes::Counter;

/// What lines that wait may take, however long each is: some thousands of the usual length.
const BYTES_MAX: usize = 1024 * 1024;
/// What a line takes beside its text: its place, up to two of them while places are made, and the allocator's own.
const LINE_BYTES: usize = 64;

/// Takes lines and never waits: those that find no room are counted, and told of once there is.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the writer.
    filled: Condvar,
    /// Wakes whoever waits for the writer.
    written: Condvar,
    /// Lines that are missing, for want of room or because they could not be written.
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// The writer sleeps: what it has taken out is written.
    is_idle: bool,
}

impl Queue {
    /// Counts in `dropped` what has to be left out.
    pub(super) fn new(dropped: Counter) -> Self {
        Self { waiting: Mutex::default(), filled: Condvar::new(), written: Condvar::new(), dropped }
    }

    /// Takes a line, if there is room for it.
    fn push(&self, line: &[u8]) {
        let line = Box::from(line);
        let mut waiting = self.lock();
        let bytes = waiting.bytes + bytes_of(&line);
        if bytes > BYTES_MAX {
            self.dropped.inc();
            return;
        }
        waiting.bytes = bytes;
        waiting.lines.push_back(line);
        if waiting.is_idle {
            self.filled.notify_one();
        }
    }

    /// Waits until all is written, but no longer than `patience`; says whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let is_open = |waiting: &mut Waiting| !waiting.is_idle || !waiting.lines.is_empty();
        let waited = self.written.wait_timeout_while(self.lock(), patience, is_open);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Writes lines for ever, each in one go: others may write there, too. When it has caught up, and `out` works, `tell`
    /// is given the number of lines that are missing since it was last called.
    pub(super) fn write_to(&self, mut out: impl Write, tell: impl Fn(u64)) {
        let (mut works, mut told) = (false, 0);
        loop {
            if let Some(line) = self.pop() {
                works = out.write_all(&line).is_ok();
                if !works {
                    self.dropped.inc();
                }
                continue;
            }
            let missing = self.dropped.get() - told;
            if works && missing > 0 {
                told += missing;
                tell(missing);
            }
            self.sleep();
        }
    }

    fn pop(&self) -> Option<Box<[u8]>> {
        let mut waiting = self.lock();
        let line = waiting.lines.pop_front()?;
        waiting.bytes -= bytes_of(&line);
        Some(line)
    }

    /// Returns as soon as there is a line.
    fn sleep(&self) {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() {
            waiting.is_idle = true;
            self.written.notify_all();
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_idle = false;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Queue {
    /// Takes a line: what is written at once is one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const fn bytes_of(line: &[u8]) -> usize {
    line.len() + LINE_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Has room for no line: the writer waits until it is read, and fails once nobody will.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(line.to_vec()).map_err(io::Error::other)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started() -> (Arc<Queue>, Receiver<Vec<u8>>) {
        let queue = Arc::new(Queue::new(Counter::default()));
        let (sender, reader) = sync_channel(0);
        let writer = Arc::clone(&queue);
        thread::spawn(move || writer.write_to(Pipe(sender), |missing| writer.push(format!("{missing}").as_bytes())));
        (queue, reader)
    }

    fn read(reader: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(reader.recv_timeout(PATIENCE).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_before_a_flush_is_there_after_it() {
        let (queue, reader) = started();
        let flushed = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                (0..100).for_each(|number| queue.push(number.to_string().as_bytes()));
                queue.flush(PATIENCE)
            }
        });
        (0..100).for_each(|number| assert_eq!(read(&reader), number.to_string()));
        assert!(flushed.join().unwrap());
        assert!(queue.flush(PATIENCE), "there is nothing");
    }

    #[test]
    fn who_does_not_read_holds_nobody_up_and_is_told_once_what_is_missing() {
        let (queue, reader) = started();
        let line = [b'x'; 1024];
        let sent = 2 * BYTES_MAX / line.len();
        (0..sent).for_each(|_| queue.push(&line));
        assert!(!queue.flush(Duration::ZERO));
        let missing = queue.dropped.get();
        // The writer may have taken one out meanwhile.
        let room = BYTES_MAX / bytes_of(&line);
        let kept = sent - usize::try_from(missing).unwrap();
        assert!(kept == room || kept == room + 1, "{kept} of {room}");
        (0..kept).for_each(|_| assert_eq!(read(&reader).len(), line.len()));
        assert_eq!(read(&reader), missing.to_string());
        assert!(queue.flush(PATIENCE));
        assert_eq!((queue.lock().bytes, queue.dropped.get()), (0, missing));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (queue, reader) = started();
        drop(reader);
        queue.push(b"nobody reads");
        assert!(queue.flush(PATIENCE));
        assert_eq!(queue.dropped.get(), 1);
    }

    #[test]
    fn a_line_that_is_larger_than_all_room_is_missing() {
        let (queue, reader) = started();
        queue.push(&[b'x'; BYTES_MAX]);
        queue.push(b"next");
        assert_eq!((read(&reader), read(&reader)), ("next".into(), "1".into()));
    }
}
