//! A child process that speaks in lines.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// A running program: its standard output as lines, its standard error in a file. Ends with its owner.
pub struct Process {
    name: String,
    child: Child,
    commands: Option<ChildStdin>,
    output: Arc<Output>,
    errors: PathBuf,
}

#[derive(Default)]
struct Output {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Process {
    /// Starts it; standard error is appended to `errors`.
    pub fn spawn(name: &str, mut command: Command, errors: &Path) -> Self {
        let file = File::options().create(true).append(true).open(errors).unwrap();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        let output = Arc::new(Output::default());
        let stdout = child.stdout.take().expect("standard output is piped");
        let reader = Arc::clone(&output);
        thread::spawn(move || reader.collect(BufReader::new(stdout)));
        Self { name: name.to_owned(), commands: child.stdin.take(), child, output, errors: errors.to_owned() }
    }

    /// Writes one line to its standard input.
    pub fn tell(&mut self, line: &str) {
        let commands = self.commands.as_mut().expect("standard input is piped");
        if let Err(error) = writeln!(commands, "{line}").and_then(|()| commands.flush()) {
            panic!("{} does not take {line:?}: {error}\n{}", self.name, self.tail());
        }
    }

    /// The first line at or after `from` that `wanted` accepts, and the index behind it; fails after the test's patience.
    pub fn wait_line(&self, from: usize, what: &str, wanted: impl Fn(&str) -> bool) -> (usize, String) {
        self.wait(what, |said| {
            let (index, line) = said.lines.iter().enumerate().skip(from).find(|(_, line)| wanted(line))?;
            Some((index + 1, line.clone()))
        })
    }

    /// Waits until as many lines as `count` are accepted.
    pub fn wait_count(&self, count: usize, what: &str, wanted: impl Fn(&str) -> bool) {
        self.wait(what, |said| (said.lines.iter().filter(|line| wanted(line)).count() >= count).then_some(()));
    }

    /// The same, but says `false` when it ends before.
    pub fn wait_count_or_end(&self, count: usize, what: &str, wanted: impl Fn(&str) -> bool) -> bool {
        let reached = |said: &Said| said.lines.iter().filter(|line| wanted(line)).count() >= count;
        let found = self.output.wait_until(PATIENCE, |said| (reached(said) || said.ended).then(|| reached(said)));
        found.unwrap_or_else(|| panic!("{}: no {what}\n{}", self.name, self.tail()))
    }

    /// Whether so many lines come before a moment.
    pub fn wait_count_until(&self, deadline: Instant, count: usize, wanted: impl Fn(&str) -> bool) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let reached = |said: &Said| said.lines.iter().filter(|line| wanted(line)).count() >= count;
        self.output.wait_until(left, |said| (reached(said) || said.ended).then(|| reached(said))).unwrap_or(false)
    }

    /// All lines until now.
    pub fn lines(&self) -> Vec<String> {
        self.output.said.lock().unwrap().lines.clone()
    }

    /// Asks it to end, as `kill` does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal; a process that has ended already is left alone.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits until it has ended.
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.wait_exit_within(PATIENCE).unwrap_or_else(|| panic!("{} does not end\n{}", self.name, self.tail()))
    }

    /// Waits until its output ends, which is when it ends.
    pub fn wait_exit_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let ended = self.output.wait_until(limit, |said| said.ended.then_some(()));
        ended.map(|()| self.child.wait().unwrap())
    }

    /// Whether its output has ended.
    pub fn has_ended(&self) -> bool {
        self.output.said.lock().unwrap().ended
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().unwrap()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written to standard error.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.errors).unwrap_or_default()).into_owned()
    }

    /// The end of what it has written, for a failure message.
    pub fn tail(&self) -> String {
        format!(
            "--- {} said:\n{}\n--- and in {}:\n{}",
            self.name,
            last(&self.lines().join("\n"), 20),
            self.errors.display(),
            last(&self.errors(), 40)
        )
    }

    fn wait<T>(&self, what: &str, probe: impl Fn(&Said) -> Option<T>) -> T {
        let found = self.output.wait_until(PATIENCE, |said| match probe(said) {
            Some(value) => Some(Some(value)),
            None => said.ended.then_some(None),
        });
        found.flatten().unwrap_or_else(|| panic!("{}: no {what}\n{}", self.name, self.tail()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn collect(&self, mut from: impl BufRead) {
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.said.lock().unwrap().lines.push(text);
            self.changed.notify_all();
            line.clear();
        }
        self.said.lock().unwrap().ended = true;
        self.changed.notify_all();
    }

    fn wait_until<T>(&self, limit: Duration, probe: impl Fn(&Said) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut said = self.said.lock().unwrap();
        loop {
            if let Some(value) = probe(&said) {
                return Some(value);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            said = self.changed.wait_timeout(said, left).unwrap().0;
        }
    }
}

fn last(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Runs a program to its end and returns what it printed; an error holds all that it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{:?}: {}\n{}", command.get_program(), output.status, String::from_utf8_lossy(&said)))
}
