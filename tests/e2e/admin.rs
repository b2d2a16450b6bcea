//! The admin port over real HTTP.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::support::{PATIENCE, Proxy, accept, broker, connect, seqgate};

/// Sends one request as it stands and returns status, head and body.
pub(crate) fn http(admin: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = connect(admin);
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {admin}\r\n") };
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = http(admin, "GET", path, "", "");
    (status, body)
}

fn json(admin: SocketAddr, path: &str) -> Value {
    let (status, body) = get(admin, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn readiness_follows_the_broker() {
    let (_listener, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    assert_eq!(get(admin, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(get(admin, "/readyz"), (200, "ok\n".to_owned()));
    // Bound, so that nobody else can have the port, and not listening yet.
    let later = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    later.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let upstream = later.local_addr().unwrap().as_socket().unwrap();
    let mut proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    // Once, at the start, however often it is asked.
    proxy.will_warn(&["broker unreachable: clients will be reset"]);
    assert_eq!(get(proxy.admin(), "/readyz"), (503, format!("unreachable {upstream}\n")));
    later.listen(1).unwrap();
    // What was found is held to be true for a while.
    let deadline = Instant::now() + PATIENCE;
    while get(proxy.admin(), "/readyz").0 != 200 {
        assert!(Instant::now() < deadline, "never ready");
        std::thread::yield_now();
    }
    proxy.wait_for_log("broker reached again");
}

#[test]
fn status_and_connections_show_what_is_open() {
    let (broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    let client = proxy.connect();
    let _served = accept(&broker);
    let status = json(admin, "/api/v1/status");
    assert_eq!(status["mode"], "dedupe");
    assert_eq!(status["listeners"][0]["listener"], "default");
    assert_eq!(status["listeners"][0]["upstream"]["generation"], 0);
    let sequencing = &status["sequencing"];
    assert_eq!((&sequencing["look_up"], &sequencing["authoritative"]), (&true.into(), &false.into()));
    assert_eq!((&sequencing["backend"], &sequencing["producer_expiration"]), (&"kafka".into(), &"1d".into()));
    assert_eq!(sequencing["missing_to_enforce"], serde_json::json!(["authoritative = true"]));
    assert_eq!(status["limits"]["hold_bytes_max"], "2MiB");
    assert_eq!(status["totals"]["connections_open"], 1);
    let connections = json(admin, "/api/v1/connections");
    assert_eq!(connections[0]["client_addr"], client.local_addr().unwrap().to_string());
    assert_eq!(json(admin, "/api/v1/connections?limit=0"), Value::Array(Vec::new()));
    assert!(json(admin, "/api/v1/producers?topic=orders&partition=3&producer_id=7").is_array());
    for (path, status, expected) in [
        ("/api/v1/producers?partition=x", 400, "partition: found \"x\", expected a number from 0 to 2147483647"),
        ("/api/v1/producers?partitoin=1", 400, "unknown parameter \"partitoin\", expected topic, partition, "),
        ("/api/v1/connections?limit=-1", 400, "limit: found \"-1\", expected a number from 0 to "),
        ("/nowhere", 404, "no such path, expected one of /livez, /readyz, /metrics, /api/v1/status, "),
    ] {
        let (found, body) = get(admin, path);
        let error = serde_json::from_str::<Value>(&body).unwrap()["error"].as_str().unwrap().to_owned();
        assert!(found == status && error.starts_with(expected), "{path}: {found} {error}");
    }
}

#[test]
fn answers_end_with_a_line_feed() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    for path in ["livez", "readyz", "metrics", "api/v1/status", "api/v1/connections", "api/v1/producers", "api/v1/mode"]
    {
        let (_, body) = get(proxy.admin(), &format!("/{path}"));
        assert!(body.ends_with('\n') && !body.ends_with("\n\n"), "{path}: {body:?}");
    }
    let (status, head, body) = http(proxy.admin(), "PUT", "/api/v1/mode", JSON, "{\"mode\":\"observe\"}");
    assert_eq!((status, body.as_str()), (200, "{\"mode\":\"observe\"}\n"));
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
}

#[test]
fn a_proxy_that_starts_says_which_brokers_it_reaches_and_counts_no_connection() {
    let (_broker, upstream) = broker();
    // Bound, so that nobody else can have the port, and not listening.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let gone = silent.local_addr().unwrap().as_socket().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (file, journal) = (directory.path().join("seqgate.toml"), directory.path().join("seqgate.jsonl"));
    let listener = |upstream| format!("[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
    // Two of one broker are one look.
    let text = [listener(upstream), listener(gone), listener(gone), listener(upstream)].concat();
    std::fs::write(&file, text).unwrap();
    let run = ["run", "--admin", "127.0.0.1:0", "--journal", journal.to_str().unwrap(), "-c", file.to_str().unwrap()];
    let mut proxy = Proxy::spawn(seqgate().args(run));
    proxy.will_warn(&["broker unreachable: clients will be reset"]);
    proxy.wait_for_look(&gone.to_string());
    let status = json(proxy.admin(), "/api/v1/status");
    for (listener, reachable) in [true, false, false, true].into_iter().enumerate() {
        let upstream = &status["listeners"][listener]["upstream"];
        assert_eq!((&upstream["reachable"], &upstream["connections"]), (&reachable.into(), &0.into()), "{upstream}");
        assert_eq!(upstream["generation"], 0);
    }
    let (_, metrics) = get(proxy.admin(), "/metrics");
    for counted in ["seqgate_connections_closed_total{", "seqgate_upstream_errors_total{", "seqgate_connections_open "]
    {
        let mut samples = metrics.lines().filter(|line| line.starts_with(counted)).peekable();
        assert!(samples.peek().is_some() && samples.all(|line| line.ends_with(" 0")), "{counted} {metrics}");
    }
    proxy.signal(rustix::process::Signal::TERM);
    let (_, log) = (proxy.finish(), proxy.log());
    let reached: Vec<_> = log.iter().filter(|line| line.contains("broker reached")).collect();
    assert!(reached.len() == 1 && reached[0].contains(&upstream.to_string()), "{log:#?}");
    let journal = std::fs::read_to_string(journal).unwrap();
    assert!(journal.contains("\"event\":\"stop\"") && !journal.contains("\"event\":\"connection\""), "{journal}");
}

#[test]
fn the_mode_is_changed_by_put_alone() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    for (method, path) in [("GET", "/api/v1/mode"), ("POST", "/api/v1/status"), ("POST", "/livez")] {
        let (status, head, body) = http(admin, method, path, "", "");
        assert_eq!(status, 405, "{method} {path}");
        assert!(head.to_lowercase().contains("allow: ") && body.starts_with("{\"error\":"), "{head}\n{body}");
    }
    assert_eq!(http(admin, "POST", "/api/v1/mode", JSON, "{\"mode\":\"observe\"}").0, 405);
    for wrong in ["{\"mode\":\"enforce\"}", "{\"mode\":\"observe\",\"x\":1}", "{}", "", "[]"] {
        let (status, _, body) = http(admin, "PUT", "/api/v1/mode", JSON, wrong);
        assert!((400..500).contains(&status) && body.contains("error"), "{wrong}: {status} {body}");
        assert!(body.contains("authoritative") || body.contains("expected {\\\"mode\\\": \\\"observe\\\"}"), "{body}");
    }
    let (status, _, body) = http(admin, "PUT", "/api/v1/mode", JSON, "{\"mode\":\"enforce\"}");
    assert!(status == 409 && body.contains("authoritative = true") && !body.contains("look_up"), "{status} {body}");
    assert_eq!(json(admin, "/api/v1/status")["mode"], "dedupe");
    assert_eq!(http(admin, "PUT", "/api/v1/mode", JSON, "{\"mode\":\"observe\"}").0, 200);
    assert_eq!(json(admin, "/api/v1/status")["mode"], "observe");
    let large = format!("{{\"mode\":\"{}\"}}", "x".repeat(20_000));
    assert_eq!(http(admin, "PUT", "/api/v1/mode", JSON, &large).0, 413);
}

#[test]
fn other_sites_are_refused() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    for path in ["/livez", "/readyz", "/metrics", "/api/v1/status", "/nowhere"] {
        assert_eq!(http(admin, "GET", path, "Origin: http://evil.example\r\n", "").0, 403, "{path}");
        assert_eq!(http(admin, "GET", path, "Origin: null\r\n", "").0, 403, "{path}");
    }
    let own = format!("Origin: http://{admin}\r\n");
    assert_eq!(http(admin, "GET", "/api/v1/status", &own, "").0, 200);
    // A name that was made to lead here: the page and its requests agree on it, and must not be believed.
    let rebound = "Host: evil.example\r\nOrigin: http://evil.example\r\n";
    assert_eq!(http(admin, "GET", "/api/v1/status", rebound, "").0, 403);
    assert_eq!(http(admin, "GET", "/api/v1/status", "Host: evil.example\r\n", "").0, 403);
    assert_eq!(http(admin, "GET", "/livez", "Host: pod.example\r\n", "").0, 200);
}

#[test]
fn the_token_opens_all_but_health_and_metrics() {
    let (_broker, upstream) = broker();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let listen = ["run", "--listen", "127.0.0.1:0", "--upstream", &upstream.to_string(), "--admin", "0.0.0.0:0"];
    let proxy = Proxy::spawn(seqgate().args(listen).arg("--admin-token-file").arg(&file));
    let admin = SocketAddr::new("127.0.0.1".parse().unwrap(), proxy.admin().port());
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(admin, path).0, 200, "{path}");
    }
    for path in ["/api/v1/status", "/api/v1/connections", "/api/v1/producers", "/api/v1/mode", "/", "/nowhere"] {
        assert_eq!(get(admin, path).0, 401, "{path}");
        assert_eq!(http(admin, "GET", path, "Authorization: Bearer secreT\r\n", "").0, 401, "{path}");
    }
    assert_eq!(http(admin, "PUT", "/api/v1/mode", JSON, "{\"mode\":\"observe\"}").0, 401);
    let refusal = |headers| http(admin, "GET", "/api/v1/status", headers, "").2;
    assert!(refusal("").contains("no token") && refusal("Authorization: Bearer x\r\n").contains("wrong token"));
    assert_eq!(http(admin, "GET", "/api/v1/status", "Authorization: Bearer secret\r\n", "").0, 200);
}

#[test]
fn other_sites_change_no_mode_with_or_without_the_token() {
    let (_broker, upstream) = broker();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "secret").unwrap();
    let token = ["--admin", "127.0.0.1:0", "--admin-token-file", file.to_str().unwrap()];
    let bearer = "Authorization: Bearer secret\r\n";
    for (args, credentials) in [(&token[..], &["", bearer][..]), (&token[..2], &[""])] {
        let proxy = Proxy::start(upstream, args);
        let put = |headers: &str, mode: &str| {
            let body = format!("{{\"mode\":\"{mode}\"}}");
            http(proxy.admin(), "PUT", "/api/v1/mode", &format!("{JSON}{headers}"), &body).0
        };
        for origin in ["http://evil.example", "null", "https://127.0.0.1"] {
            for credentials in credentials {
                assert_eq!(
                    put(&format!("Origin: {origin}\r\n{credentials}"), "observe"),
                    403,
                    "{origin} {credentials}"
                );
            }
        }
        let (status, _, body) = http(proxy.admin(), "GET", "/api/v1/status", bearer, "");
        assert_eq!((status, body.contains("\"mode\":\"dedupe\"")), (200, true), "{body}");
        // The same from here, or from a program, is done.
        let own = format!("Origin: http://{}\r\n{bearer}", proxy.admin());
        assert_eq!([put(&own, "observe"), put(bearer, "dedupe")], [200, 200]);
    }
}

#[test]
fn silent_callers_do_not_keep_others_out() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    let silent: Vec<_> = (0..80).map(|_| connect(admin)).collect();
    // Those above the limit are closed at once, the others when their head is late.
    for mut stream in silent {
        stream.read_to_end(&mut Vec::new()).ok();
    }
    assert_eq!(get(admin, "/livez").0, 200);
}
