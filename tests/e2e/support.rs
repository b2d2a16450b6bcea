//! Runs the binary, and plays the client and the broker.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest that anything here may take; nothing waits for it unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What any proxy may say on a machine that allows few open files.
const OF_THE_MACHINE: &str = "too few descriptors";

/// Looks of proxies at brokers of tests that no test has accepted yet, by the broker's address.
static LOOKS: Mutex<Option<HashMap<SocketAddr, usize>>> = Mutex::new(None);

/// A running proxy; killed when dropped. It may warn of nothing but what the test says that it will.
pub(crate) struct Proxy {
    child: Child,
    warnings: Vec<Warning>,
    lines: Receiver<String>,
    log: Arc<Log>,
    logger: Option<JoinHandle<()>>,
    pub(crate) line: String,
    pub(crate) address: SocketAddr,
}

/// Text in a warning or an error that the proxy is to log.
struct Warning {
    text: String,
    /// Because one thing happens that it tells of.
    once: bool,
}

/// What the proxy has logged so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// Returns the binary with an environment of its own.
pub(crate) fn seqgate() -> Command {
    apart(Command::new(env!("CARGO_BIN_EXE_seqgate")))
}

/// Returns the same for a shell that has set `limits` first.
pub(crate) fn seqgate_under(limits: &str, args: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec {} {args}", env!("CARGO_BIN_EXE_seqgate"))]);
    apart(command)
}

fn apart(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEQGATE_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    seqgate().args(args).stdin(Stdio::null()).output().unwrap()
}

impl Proxy {
    /// Starts `seqgate run` with one listener in front of `upstream`, and waits for its line.
    pub(crate) fn start(upstream: SocketAddr, args: &[&str]) -> Self {
        Self::spawn(seqgate().args(["run", "--listen", "127.0.0.1:0", "--upstream", &upstream.to_string()]).args(args))
    }

    /// Waits for the proxy's look at its first broker as well: a client's connection to the broker comes behind it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let proxy = Self::spawn_with_log(command, Stdio::piped());
        proxy.wait_for_look(field(&proxy.line, "upstream"));
        proxy
    }

    /// Waits until the proxy has looked at a broker, whose next [`accept`] leaves that connection out.
    pub(crate) fn wait_for_look(&self, upstream: &str) {
        let is_told = |line: &str| {
            let of_broker = line.contains(&format!("upstream={upstream}")) || line.contains(&format!("\"{upstream}\""));
            of_broker && (line.contains("broker reached") || line.contains("broker unreachable"))
        };
        let line = self.wait_for_line(&format!("whether {upstream} can be reached"), is_told);
        if let (true, Ok(address)) = (line.contains("broker reached"), upstream.parse()) {
            note_look(address);
        }
    }

    /// As [`Self::spawn`], with standard error going there; only what goes to a pipe made here is read.
    pub(crate) fn spawn_with_log(command: &mut Command, to: impl Into<Stdio>) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(to).spawn().unwrap();
        let lines = follow(child.stdout.take().unwrap());
        let (log, logger) = match child.stderr.take() {
            Some(from) => Log::follow(from),
            None => Log::follow(std::io::empty()),
        };
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line; log: {:#?}", log.lines.lock()));
        let address = field(&line, "address").parse().unwrap();
        Self { child, warnings: Vec::new(), lines, log, logger: Some(logger), line, address }
    }

    /// Has each of these texts come once in a warning.
    pub(crate) fn will_warn(&mut self, texts: &[&str]) {
        self.warnings.extend(texts.iter().map(|text| Warning { text: (*text).to_owned(), once: true }));
    }

    /// Has each of these texts come once or more: what they tell of happens many times.
    pub(crate) fn will_warn_again(&mut self, texts: &[&str]) {
        self.warnings.extend(texts.iter().map(|text| Warning { text: (*text).to_owned(), once: false }));
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Waits for a line of the log that holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_line(text, |line| line.contains(text))
    }

    fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let (deadline, mut lines) = (Instant::now() + PATIENCE, self.log.lines.lock().unwrap());
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the log never said {what:?}: {lines:#?}");
            lines = self.log.grown.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Returns the log so far; all of it once the proxy has ended and [`Self::wait`] has returned.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address of the admin port, which the log names.
    pub(crate) fn admin(&self) -> SocketAddr {
        field(&self.wait_for_log("admin port up"), "address").parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; returns the status and what was left on standard output.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        self.finish()
    }

    /// As [`Self::wait`], with the log still to be looked at.
    pub(crate) fn finish(&mut self) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        // Standard output closes with the process.
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(deadline - Instant::now()) {
            rest.push(line);
        }
        assert!(Instant::now() < deadline, "the proxy does not end");
        let status = self.child.wait().unwrap();
        self.judge_log();
        (status, rest)
    }

    /// Looks at the log of a proxy that has ended: at what is loud, and whether it was to be.
    fn judge_log(&mut self) {
        if let Some(logger) = self.logger.take() {
            logger.join().unwrap();
        }
        let log = self.log();
        let loud: Vec<_> = log.iter().filter(|line| is_loud(line)).collect();
        for line in &loud {
            let wanted = self.warnings.iter().any(|warning| line.contains(&warning.text));
            assert!(wanted || line.contains(OF_THE_MACHINE), "unexpected: {line}");
        }
        for Warning { text, once } in &self.warnings {
            let count = loud.iter().filter(|line| line.contains(text)).count();
            assert!(if *once { count == 1 } else { count > 0 }, "{count} of {text:?} in {loud:#?}");
        }
    }
}

/// Whether a line of the log is there for somebody to act on, be it text or JSON.
fn is_loud(line: &str) -> bool {
    let level = line.split_whitespace().nth(1).unwrap_or_default();
    let json = |level: &str| line.contains(&format!("\"level\":\"{level}\""));
    matches!(level, "WARN" | "ERROR") || json("WARN") || json("ERROR") || line.contains("panicked")
}

impl Log {
    fn follow(from: impl Read + Send + 'static) -> (Arc<Self>, JoinHandle<()>) {
        let log = Arc::new(Self::default());
        let to = Arc::clone(&log);
        let logger = std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                to.lines.lock().unwrap().push(line);
                to.grown.notify_all();
            }
        });
        (log, logger)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What it warns of it may do before it says so.
            self.warnings.iter().for_each(|warning| _ = self.wait_for_log(&warning.text));
        }
        self.child.kill().ok();
        self.child.wait().ok();
        if !std::thread::panicking() {
            self.judge_log();
        }
    }
}

fn follow(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// Returns the value after `name=` in a line of pairs.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let pair = line.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.unwrap_or_else(|| panic!("no {name} in {line:?}"))
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Listens as a broker would.
pub(crate) fn broker() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Whoever had the address before may have left some.
    LOOKS.lock().unwrap().get_or_insert_default().remove(&address);
    (listener, address)
}

/// The next [`accept`] at this broker leaves a connection out: a proxy has looked at it.
pub(crate) fn note_look(broker: SocketAddr) {
    *LOOKS.lock().unwrap().get_or_insert_default().entry(broker).or_default() += 1;
}

/// Accepts the proxy's connection to the broker for a client, which comes behind the looks of proxies that start.
pub(crate) fn accept(broker: &TcpListener) -> TcpStream {
    // Holds for accepting as well.
    socket2::SockRef::from(broker).set_read_timeout(Some(PATIENCE)).unwrap();
    let looks = LOOKS.lock().unwrap().get_or_insert_default().remove(&broker.local_addr().unwrap()).unwrap_or_default();
    (0..looks).for_each(|_| drop(broker.accept().unwrap()));
    let (stream, _) = broker.accept().unwrap_or_else(|error| panic!("the proxy does not dial: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A whole ApiVersions request, version 0, without a client id.
pub(crate) const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
/// An answer to it that lists no api.
pub(crate) const RESPONSE: [u8; 14] = [0, 0, 0, 10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0];

/// Sends a request through the proxy and has it arrive whole.
pub(crate) fn request(client: &mut TcpStream, upstream: &mut TcpStream) {
    client.write_all(&REQUEST).unwrap();
    let mut arrived = [0; REQUEST.len()];
    upstream.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, REQUEST);
}

/// Sends the answer through the proxy and has it arrive whole.
pub(crate) fn respond(upstream: &mut TcpStream, client: &mut TcpStream) {
    upstream.write_all(&RESPONSE).unwrap();
    let mut arrived = [0; RESPONSE.len()];
    client.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, RESPONSE);
}
