//! Standard error and standard output that cannot be written: what is to be said there is lost, and nothing else.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::admin::http;
use crate::support::{PATIENCE, Proxy, REQUEST, RESPONSE, broker, connect, field, seqgate};

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

fn run(upstream: SocketAddr) -> Command {
    let mut command = seqgate();
    command.args(["run", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--upstream"]);
    command.arg(upstream.to_string());
    command
}

/// Listens as a broker that answers whoever asks, as long as the tests run: nobody reads when it has been looked at.
fn answering() -> SocketAddr {
    let (broker, upstream) = broker();
    std::thread::spawn(move || {
        for mut served in broker.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                while served.read_exact(&mut [0; REQUEST.len()]).is_ok() {
                    served.write_all(&RESPONSE).ok();
                }
            });
        }
    });
    upstream
}

fn serve(mut client: TcpStream) {
    client.write_all(&REQUEST).unwrap();
    let mut arrived = [0; RESPONSE.len()];
    client.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, RESPONSE);
}

/// A client that the proxy warns of.
fn offend(proxy: &Proxy) {
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    std::io::copy(&mut client, &mut std::io::sink()).unwrap();
}

fn stop(proxy: Proxy) {
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().0.code(), Some(0));
}

#[test]
fn a_proxy_whose_log_has_no_room_serves_and_ends_in_order() {
    let upstream = answering();
    let proxy = Proxy::spawn_with_log(run(upstream).env("RUST_LOG", "what=is=this"), full());
    offend(&proxy);
    serve(proxy.connect());
    stop(proxy);
}

#[test]
fn a_proxy_whose_log_nobody_reads_any_more_serves_counts_the_lines_and_ends_in_order() {
    let upstream = answering();
    let (reader, writer) = pipe().unwrap();
    let proxy = Proxy::spawn_with_log(&mut run(upstream), writer);
    let mut log = BufReader::new(reader).lines().map_while(Result::ok);
    let admin = field(&log.find(|line| line.contains("admin port up")).unwrap(), "address").parse().unwrap();
    drop(log);
    offend(&proxy);
    serve(proxy.connect());
    let deadline = Instant::now() + PATIENCE;
    while http(admin, "GET", "/metrics", "", "").2.contains("seqgate_log_dropped_total 0\n") {
        assert!(Instant::now() < deadline, "no line is counted");
        std::thread::yield_now();
    }
    stop(proxy);
}

#[test]
fn a_proxy_whose_output_cannot_be_written_says_so_in_the_log_and_serves() {
    let (reader, closed) = pipe().unwrap();
    drop(reader);
    for output in [Stdio::from(closed), full().into()] {
        let upstream = answering();
        let mut child = run(upstream).stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = log.by_ref().take_while(|line| !line.contains("standard output")).collect::<Vec<_>>();
        // The accept loop says that it is up when its turn comes, before or after.
        let is_up = |line: &&String| line.contains("listener up");
        let up = said.iter().find(is_up).cloned().or_else(|| log.find(|line| is_up(&line)));
        serve(connect(field(&up.unwrap(), "address").parse().unwrap()));
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
        said.extend(log);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said:#?}");
    }
}
