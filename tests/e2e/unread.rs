//! A log that somebody could read and does not: nobody waits for it, and what is missing in it is told.

use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::admin::http;
use crate::scene::{Peer, exchange};
use crate::support::{Proxy, REQUEST, RESPONSE, accept, broker, note_look, seqgate, seqgate_under};
use crate::wire::{V, batch, produce, produced};

/// Batches of one request, with a line each.
const LINES: i32 = 1_000;
/// Requests that are enough for any bound that the log may have.
const REQUESTS_MAX: i32 = 64;

/// A proxy that logs every batch to a pipe.
struct Unread {
    proxy: Proxy,
    broker: TcpListener,
    admin: SocketAddr,
    log: BufReader<PipeReader>,
    /// What was read of it.
    lines: Vec<Value>,
}

impl Unread {
    /// Reads the log up to the lines that name the admin port and say that the broker is there, and no further.
    fn start() -> Self {
        let (broker, upstream) = broker();
        let (reader, writer) = pipe().unwrap();
        let mut command = seqgate();
        command.args(["run", "-vv", "--log-format", "json", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
        let proxy = Proxy::spawn_with_log(command.args(["--upstream", &upstream.to_string()]), writer);
        let (mut log, mut lines) = (BufReader::new(reader), Vec::new());
        let mut wanted = vec!["admin port up", "broker reached"];
        while !wanted.is_empty() {
            let line = next(&mut log).unwrap();
            wanted.retain(|message| line["message"] != *message);
            lines.push(line);
        }
        note_look(upstream);
        let up = lines.iter().find(|line| line["message"] == "admin port up").unwrap();
        let admin = up["address"].as_str().unwrap().parse().unwrap();
        Self { proxy, broker, admin, log, lines }
    }

    fn pair(&self) -> (Peer, Peer) {
        let client = Peer(self.proxy.connect());
        (client, Peer(accept(&self.broker)))
    }

    /// Relays batches until there was no room for a line, and then some more.
    fn fill(&self) {
        let (mut client, mut served) = self.pair();
        for base in 0..REQUESTS_MAX {
            let was_full = self.dropped() > 0;
            let parts: Vec<_> = (0..LINES).map(|partition| ("t", partition, Some(batch(7, base, 1)))).collect();
            let entries: Vec<_> = (0..LINES).map(|partition| ("t", partition, 0, base.into())).collect();
            exchange(&mut client, &mut served, &produce(V, base, -1, &parts), &produced(V, base, &entries));
            if was_full {
                return;
            }
        }
        panic!("there is room for {} lines", REQUESTS_MAX * LINES);
    }

    fn dropped(&self) -> u64 {
        let (_, _, metrics) = http(self.admin, "GET", "/metrics", "", "");
        let value = metrics.lines().find_map(|line| line.strip_prefix("seqgate_log_dropped_total "));
        value.unwrap().parse().unwrap()
    }

    /// Whichever threads there are, each has some of these connections.
    fn serve_others(&self) {
        let mut pairs: Vec<_> = (0..16).map(|_| self.pair()).collect();
        pairs.iter_mut().for_each(|(client, served)| exchange(client, served, &REQUEST, &RESPONSE));
    }
}

/// The next line of the log, which is a whole one.
fn next(log: &mut impl BufRead) -> Option<Value> {
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
}

fn is_of_missing(line: &Value) -> bool {
    line["message"].as_str().unwrap().starts_with("lines of the log are missing")
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_connections_nor_the_end() {
    let unread = Unread::start();
    unread.fill();
    unread.serve_others();
    unread.proxy.signal(Signal::TERM);
    let Unread { proxy, mut log, .. } = unread;
    assert_eq!(proxy.wait().0.code(), Some(0));
    // What the pipe could take is there, line by line.
    while let Some(line) = next(&mut log) {
        assert!(!is_of_missing(&line), "{line}");
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_a_second_signal() {
    let unread = Unread::start();
    unread.fill();
    let (mut client, mut served) = unread.pair();
    client.send(&REQUEST);
    served.expect(&REQUEST);
    // Whichever is seen first, the other one ends it.
    unread.proxy.signal(Signal::TERM);
    unread.proxy.signal(Signal::INT);
    let status = unread.proxy.wait().0.code();
    assert!(matches!(status, Some(130 | 143)), "{status:?}");
}

#[test]
fn who_reads_the_log_again_is_told_how_many_lines_are_missing() {
    let mut unread = Unread::start();
    unread.fill();
    let told = loop {
        let line = next(&mut unread.log).unwrap();
        let told = is_of_missing(&line).then(|| line["dropped"].as_u64());
        unread.lines.push(line);
        if let Some(told) = told {
            break told;
        }
    };
    assert_eq!(told, Some(unread.dropped()));
    unread.serve_others();
    unread.proxy.signal(Signal::TERM);
    let Unread { proxy, mut log, mut lines, .. } = unread;
    let rest = thread::spawn(move || std::iter::from_fn(|| next(&mut log)).collect::<Vec<_>>());
    assert_eq!(proxy.wait().0.code(), Some(0));
    lines.extend(rest.join().unwrap());
    assert_eq!(lines.iter().filter(|line| is_of_missing(line)).count(), 1);
    // All is written before the end.
    assert_eq!(lines.last().unwrap()["message"], "drained");
}

#[test]
fn an_error_comes_behind_the_lines_of_the_log() {
    let (_broker, upstream) = broker();
    let arguments = format!("run --listen {upstream} --upstream 127.0.0.1:1");
    let output = seqgate_under("ulimit -n 1000", &arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let [warning, error] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(warning.contains("too few descriptors") && error.starts_with("error: "), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}
