//! A proxy between a scripted client and a scripted broker, each byte of which a test decides.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::admin::http;
use crate::memory::{BESIDE, MIB};
use crate::openmetrics;
use crate::support::{PATIENCE, Proxy, REQUEST, RESPONSE, accept, broker, seqgate};
use crate::wire::{batch, produce_one, produced_one};

/// The lines of a configuration in which the broker is asked for nothing but what the client asks for.
pub(crate) const ASKS_NOTHING: &str = "sequencing.look_up = false";

/// One end of a connection.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads as many bytes as `bytes` has, which must be the same.
    pub(crate) fn expect(&mut self, bytes: &[u8]) {
        let mut found = vec![0; bytes.len()];
        self.0.read_exact(&mut found).unwrap();
        assert!(found == bytes, "expected {} found {}", bytes.escape_ascii(), found.escape_ascii());
    }

    /// Reads a whole frame.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        let mut frame = vec![0; 4];
        self.0.read_exact(&mut frame).unwrap();
        frame.resize(4 + u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, 0);
        self.0.read_exact(&mut frame[4..]).unwrap();
        frame
    }

    /// Waits for the end of the connection, before which nothing may come.
    pub(crate) fn end(&mut self) -> Result<(), ErrorKind> {
        let rest = self.rest()?;
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
        Ok(())
    }

    /// Reads all that comes until the end.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, ErrorKind> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).map_err(|error| error.kind())?;
        Ok(rest)
    }

    /// Nothing has come so far.
    pub(crate) fn silent(&self) {
        self.0.set_nonblocking(true).unwrap();
        assert_eq!(self.0.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).unwrap();
    }

    pub(crate) fn half_close(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A proxy with a scripted broker. Beside whatever a test does, one connection stays that nothing may harm.
pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    pub(crate) broker: TcpListener,
    beside: (Peer, Peer),
    admin: SocketAddr,
    /// Memory that was in use when it began.
    before: usize,
}

impl Scene {
    /// Starts with the smallest memory that there may be.
    pub(crate) fn new() -> Self {
        Self::with("[limits]\nmemory_max = \"16MiB\"")
    }

    /// Starts with these lines in the configuration.
    pub(crate) fn with(toml: &str) -> Self {
        Self::with_more(toml, "")
    }

    /// As [`Self::with`], and with further listeners.
    pub(crate) fn with_more(toml: &str, listeners: &str) -> Self {
        let (broker, upstream) = broker();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("seqgate.toml");
        let fixed = "[admin]\nlisten = \"127.0.0.1:0\"\n[[listener]]\nname = \"test\"\nlisten = \"127.0.0.1:0\"";
        std::fs::write(&file, format!("{toml}\n{fixed}\nupstream = \"{upstream}\"\n{listeners}\n")).unwrap();
        let proxy = Proxy::spawn(seqgate().args(["run", "-v", "-c"]).arg(&file));
        Self::around(proxy, broker)
    }

    pub(crate) fn around(proxy: Proxy, broker: TcpListener) -> Self {
        let beside = (Peer(proxy.connect()), Peer(accept(&broker)));
        let admin = proxy.admin();
        let mut scene = Self { proxy, broker, beside, admin, before: 0 };
        scene.use_the_one_beside();
        scene.before = scene.resident_bytes();
        scene
    }

    /// A client, and the proxy's connection for it as the broker has it.
    pub(crate) fn pair(&self) -> (Peer, Peer) {
        let client = Peer(self.proxy.connect());
        (client, Peer(accept(&self.broker)))
    }

    /// Sends something over the connection that nothing may harm.
    pub(crate) fn use_the_one_beside(&mut self) {
        let (client, served) = &mut self.beside;
        exchange(client, served, &REQUEST, &RESPONSE);
    }

    /// Has the broker serve somebody without SASL, on the connection that nothing may harm.
    pub(crate) fn serve_without_sasl(&mut self) {
        let (client, served) = &mut self.beside;
        acknowledge(client, served, 99, 0, 1);
    }

    /// Ends the proxy, which must have warned of nothing else than `warnings`, each of them once.
    ///
    /// Until then its metrics can be read, whatever it has gone through.
    pub(crate) fn end(mut self, warnings: &[&str]) {
        self.proxy.will_warn(warnings);
        self.end_in_order();
    }

    /// The same where what `warnings` tell of has happened again and again.
    pub(crate) fn end_after_many(mut self, warnings: &[&str]) {
        self.proxy.will_warn_again(warnings);
        self.end_in_order();
    }

    fn end_in_order(mut self) {
        self.use_the_one_beside();
        let (grown, allowed) = (self.grown_at_most(), self.memory_max() + BESIDE);
        assert!(grown <= allowed, "{grown} bytes where {allowed} are allowed");
        let metrics = self.metrics();
        openmetrics::read(&metrics).unwrap_or_else(|why| panic!("{why}\n{metrics}"));
        self.proxy.signal(Signal::TERM);
        self.beside.0.end().unwrap();
        drop(self.beside);
        let (status, _) = self.proxy.finish();
        assert_eq!(status.code(), Some(0), "{:#?}", self.proxy.log());
    }

    /// The status that the proxy ends with, which it was told to.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.proxy.finish().0.code()
    }

    pub(crate) fn metrics(&self) -> String {
        let (status, _, body) = http(self.admin, "GET", "/metrics", "", "");
        assert_eq!(status, 200);
        body
    }

    /// The value of one series, by its name and labels behind the prefix.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let text = self.metrics();
        let value =
            text.lines().find_map(|line| line.strip_prefix("seqgate_")?.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
    }

    /// Waits until a series has come to `value`.
    pub(crate) fn wait_for_metric(&self, series: &str, value: u64) {
        self.wait_for(&format!("{series} {value}"), || self.metric(series) == value);
    }

    pub(crate) fn wait_for(&self, what: &str, reached: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached() {
            assert!(Instant::now() < deadline, "never: {what}\n{}\n{:#?}", self.metrics(), self.proxy.log());
            std::thread::yield_now();
        }
    }

    /// Memory of the proxy that is in use, as the kernel counts it.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.bytes_of("VmRSS:")
    }

    /// The most by which memory in use has grown since the scene began: what was given back since counts as well.
    pub(crate) fn grown_at_most(&self) -> usize {
        self.bytes_of("VmHWM:").saturating_sub(self.before)
    }

    fn bytes_of(&self, row: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.proxy.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(row)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// `limits.memory_max`, as the proxy says it.
    fn memory_max(&self) -> usize {
        let status = self.json("/api/v1/status");
        let said = status["limits"]["memory_max"].as_str().unwrap();
        let (count, unit) = said.split_once(['M', 'G']).unwrap();
        assert_eq!(unit, "iB", "{said}");
        count.parse::<usize>().unwrap() * if said.contains('G') { 1024 * MIB } else { MIB }
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, _, body) = http(self.admin, "GET", path, "", "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) fn set_mode(&self, mode: &str) {
        let body = format!("{{\"mode\":\"{mode}\"}}");
        assert_eq!(http(self.admin, "PUT", "/api/v1/mode", "Content-Type: application/json\r\n", &body).0, 200);
    }

    /// Waits until the proxy knows so many proofs.
    pub(crate) fn wait_for_proofs(&self, count: u64) {
        let proofs = || {
            self.json("/api/v1/producers")
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["proofs"].as_u64().unwrap())
                .sum::<u64>()
        };
        self.wait_for(&format!("{count} proofs"), || proofs() == count);
    }
}

/// A request to the broker and its answer back, both untouched.
pub(crate) fn exchange(client: &mut Peer, served: &mut Peer, request: &[u8], answer: &[u8]) {
    client.send(request);
    served.expect(request);
    served.send(answer);
    client.expect(answer);
}

/// Has the broker acknowledge a batch of one record of producer `id` at `offset`.
pub(crate) fn acknowledge(client: &mut Peer, served: &mut Peer, id: i64, base: i32, offset: i64) {
    let correlation = 1_000 + base;
    exchange(client, served, &produce_one(correlation, batch(id, base, 1)), &produced_one(correlation, 0, offset));
}
