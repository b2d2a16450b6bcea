//! Arguments, configuration and what they end in.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::{Proxy, accept, broker, field, output, seqgate};

/// Runs the binary and returns its status and what it said on standard error.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let output = output(args);
    assert!(output.stdout.is_empty(), "{args:?} printed {:?}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn one_line_per_listener_says_where_it_listens() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--mode", "observe"]);
    let expected = format!("listening listener=default address={} upstream={upstream} mode=observe", proxy.address);
    assert_eq!(proxy.line, expected);
    assert_ne!(proxy.address.port(), 0);
}

#[test]
fn a_file_names_several_listeners() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seqgate.toml");
    let listener = "listen = \"127.0.0.1:0\"\nupstream = \"127.0.0.1:9\"\n";
    let text = format!("[[listener]]\nname = \"a\"\n{listener}[[listener]]\nname = \"b\"\n{listener}");
    std::fs::write(&file, text).unwrap();
    let mut proxy = Proxy::spawn(seqgate().args(["run", "-c"]).arg(&file).env("SEQGATE_MODE", "observe"));
    // Nobody listens there; of one broker it is told once.
    proxy.will_warn(&["broker unreachable: clients will be reset"]);
    assert_eq!((field(&proxy.line, "listener"), field(&proxy.line, "mode")), ("a", "observe"));
    proxy.signal(rustix::process::Signal::TERM);
    let (status, rest) = proxy.wait();
    assert_eq!((status.code(), rest.len()), (Some(0), 1));
    assert_eq!(field(&rest[0], "listener"), "b");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_would_be_right() {
    let with_token = ["run", "--listen", "127.0.0.1:0", "--upstream", "a:1", "--admin-token-file", "token"];
    let cases: [(&[&str], &str); 9] = [
        (&with_token, "error: --admin-token-file needs --admin ADDR"),
        (&[], "Usage: seqgate"),
        (&["run"], "error: no listener: give --listen ADDR and --upstream ADDR, or -c FILE"),
        (&["run", "--listen", "127.0.0.1:0"], "error: --listen needs --upstream ADDR"),
        (&["run", "--listen", "9092", "--upstream", "a:1"], "is not HOST:PORT"),
        (&["run", "--listen", "127.0.0.1:99999", "--upstream", "a:1"], "the port is above 65535"),
        (&["run", "--faults", "file"], "unexpected argument '--faults'"),
        (
            &["run", "--listen", "a:1", "--upstream", "a:1", "--mode", "enforce"],
            "enforce\" needs authoritative = true under",
        ),
        (&["run", "-c", "/does/not/exist"], "error: /does/not/exist: cannot be read: No such file"),
    ];
    for (args, expected) in cases {
        let (status, said) = refused(args);
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (variable, expected) in
        [("SEQGATE_LISTEN", "\"foo\" is not HOST:PORT"), ("SEQGATE_VERBOSE", "invalid value 'foo' for '--verbose...'")]
    {
        let output = seqgate().args(["run", "--upstream", "a:1"]).env(variable, "foo").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.ends_with(&format!("environment: {variable}\n")), "{said}");
    }
    let (_, said) = refused(&["run", "--upstream", "a:1", "--listen", "foo"]);
    assert!(said.contains("--listen") && !said.contains("environment"), "{said}");
}

#[test]
fn a_proxy_that_would_feed_itself_does_not_start() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, upstream) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "localhost")] {
        for command in ["run", "check"] {
            let (listen, upstream) = (format!("{host}:{free}"), format!("{upstream}:{free}"));
            let (status, said) = refused(&[command, "--listen", &listen, "--upstream", &upstream]);
            let expected = format!(
                "error: listener default: upstream {upstream} is an address that this proxy listens on; name the broker\n"
            );
            assert_eq!((status, said), (Some(2), expected), "{command} {listen}");
        }
    }
}

#[test]
fn an_address_that_is_wanted_twice_is_a_wrong_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seqgate.toml");
    let file = file.to_str().unwrap();
    let listener =
        |name, listen| format!("[[listener]]\nname = \"{name}\"\nlisten = \"{listen}\"\nupstream = \"a:1\"\n");
    let (one, other) = (listener("one", "0.0.0.0:19092"), listener("other", "127.0.0.1:19092"));
    for (text, line, told) in [
        (one.clone() + &other, 7, "listener[1].listen: found 127.0.0.1:19092 for listener other, where"),
        (
            format!("[admin]\nlisten = \"127.0.0.1:19092\"\n{one}"),
            2,
            "admin.listen: found 127.0.0.1:19092 for the admin port, where",
        ),
    ] {
        std::fs::write(file, text).unwrap();
        for command in ["run", "check"] {
            let (status, said) = refused(&[command, "-c", file]);
            let taken = "listener one takes 0.0.0.0:19092; expected an address or a port of its own";
            assert_eq!((status, said), (Some(2), format!("error: {file}:{line}: {told} {taken}\n")), "{command}");
        }
    }
    let admin = ["run", "--listen", "127.0.0.1:19092", "--upstream", "a:1", "--admin", "127.0.0.1:19092"];
    let (status, said) = refused(&admin);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.starts_with("error: --admin: found 127.0.0.1:19092 for the admin port, where listener default"),
        "{said}"
    );
}

#[test]
fn a_token_file_is_named_with_its_key() {
    let args = ["run", "--listen", "127.0.0.1:0", "--upstream", "a:1", "--admin", "127.0.0.1:0", "--admin-token-file"];
    let (status, said) = refused(&[&args[..], &["/does/not/exist"]].concat());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.starts_with("error: admin.token_file: /does/not/exist: No such file"), "{said}");
}

#[test]
fn a_wrong_file_is_told_once_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seqgate.toml");
    std::fs::write(&file, "[sequencing]\nwindow = 4\n[[listener]]\nlisten = \"a:0\"\nupstream = \"a:1\"\n").unwrap();
    let file = file.to_str().unwrap();
    let (status, said) = refused(&["run", "-c", file]);
    assert_eq!(said, format!("error: {file}:2: sequencing.window: found 4, expected 5 to 1024\n"));
    assert_eq!(status, Some(2));
}

#[test]
fn an_address_in_use_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (status, said) = refused(&["run", "--listen", &listen, "--upstream", "127.0.0.1:9"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&format!("error: listener \"default\" cannot listen on {listen}: Address already in use")));
}

#[test]
fn check_ends_with_1_when_the_broker_is_down() {
    let (listener, upstream) = broker();
    drop(listener);
    let output = output(&["check", "--listen", "127.0.0.1:0", "--upstream", &upstream.to_string()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ERROR  the broker cannot be reached: "), "{said}");
}

#[test]
fn check_tells_what_is_asked_and_what_a_mode_needs() {
    let (_listener, upstream) = broker();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seqgate.toml");
    let to_enforce = "mode = \"enforce\"\nsequencing.authoritative = true";
    let cases: [(&str, &[&str]); 4] = [
        (
            "",
            &[
                "mode dedupe\n  mixed = \"strip\": dup",
                "  window = 32, proof_ttl = 5m: batches remembered",
                "look_up = true: what",
                "authoritative = false: others",
                "\"enforce\" would need authoritative = true\n",
            ],
        ),
        (
            "mixed = \"forward\"\nsequencing.look_up = false\nsequencing.backend = \"other\"",
            &[
                "mixed = \"forward\": requests",
                "look_up = false: what",
                "backend = \"other\"",
                "would need authoritative = true, look_up = true, backend = \"kafka\"\n",
            ],
        ),
        (
            "mode = \"observe\"",
            &["mode observe\n  window", "look_up = true: nothing", "forgets an idle producer after 1d", "would need"],
        ),
        (to_enforce, &["mode enforce\n", "authoritative = true: every producer", "backend = \"kafka\""]),
    ];
    for (toml, expected) in cases {
        let listener = format!(
            "[limits]\ndial_timeout = \"10ms\"\n[[listener]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n"
        );
        std::fs::write(&file, format!("{toml}\n{listener}")).unwrap();
        let said = String::from_utf8(output(&["check", "-c", file.to_str().unwrap()]).stdout).unwrap();
        assert!(expected.iter().all(|part| said.contains(part)), "{toml}: {said}");
    }
}

#[test]
fn check_ends_with_1_when_a_file_is_not_to_be_opened_and_makes_none() {
    let (_listener, upstream) = broker();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("token"), "secret\n").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    let upstream = upstream.to_string();
    for (token, journal, status, expected) in [
        ("token", "journal", 0, ["ok     its token can be read", "ok     it can be opened"]),
        ("token", "token", 1, ["ok     its token can be read", "ERROR  it is not a journal; name a new file"]),
        ("empty", "journal", 1, ["ERROR  admin.token_file: ", "ok     it can be opened"]),
        ("none", "journal", 1, ["No such file", "ok     it can be opened"]),
        ("token", "none/journal", 1, ["ok     its token", "(os error 2); make its folder first"]),
        ("token", "token/journal", 1, ["ok     its token", "(os error 20); make its folder first"]),
        ("token", "", 1, ["ok     its token", "(os error 21); name a file in it"]),
    ] {
        let (token, journal) = (path(token), path(journal));
        let output = output(
            &[
                &["check", "--listen", "127.0.0.1:0", "--upstream", &upstream][..],
                &["--admin", "127.0.0.1:0", "--admin-token-file", &token, "--journal", &journal],
            ]
            .concat(),
        );
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(expected.iter().all(|part| said.contains(part)), "{token} {journal}: {said}");
    }
    assert!(!directory.path().join("journal").exists());
}

#[test]
fn the_version_names_the_revision_of_the_sources() {
    // As the build was told, or by git, also in a worktree, whose .git is a file.
    let revision = option_env!("SEQGATE_REVISION");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let git = Command::new("git").arg("-C").arg(&root).args(["rev-parse", "HEAD"]).output();
    let is_known = root.join(".git").exists() && git.is_ok_and(|git| git.status.success());
    assert!(revision.is_some() || !is_known);
    let expected = format!("seqgate {} (revision {})\n", env!("CARGO_PKG_VERSION"), revision.unwrap_or("unknown"));
    for args in [&["--version"][..], &["run", "--version"]] {
        let said = String::from_utf8(output(args).stdout).unwrap();
        assert_eq!(said.replace("seqgate-run", "seqgate"), expected);
    }
}

#[test]
fn a_mode_is_completed_by_its_values() {
    for (shell, expected) in [
        ("bash", "compgen -W \"observe dedupe enforce\""),
        ("zsh", ":MODE:((observe\\:"),
        (
            "fish",
            "-l mode -d 'What to do with duplicates and gaps; dedupe if nothing else is said' -r -f -a \"observe\\t",
        ),
    ] {
        let script = String::from_utf8(output(&["completions", shell]).stdout).unwrap();
        assert!(script.contains(expected), "{script}");
    }
    let (status, said) = refused(&["run", "--listen", "a:1", "--upstream", "a:1", "--mode", "drop"]);
    assert!(status == Some(2) && said.contains("[possible values: observe, dedupe, enforce]"), "{said}");
}

/// Answers one Metadata request (version 4) with one broker that advertises `host` and `port`.
fn advertise(broker: TcpListener, host: &'static str, port: i32) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut served = accept(&broker);
        let mut request = [0; 32];
        served.read_exact(&mut request).unwrap();
        let mut answer = [[0; 4], [0, 0, 0, 1], [0; 4], [0, 0, 0, 1], [0, 0, 0, 9]].concat();
        answer.extend((host.len() as i16).to_be_bytes());
        answer.extend(host.as_bytes());
        answer.extend(port.to_be_bytes());
        // No rack, no cluster id, no controller, no topics.
        answer.extend([0xff; 8]);
        answer.extend([0; 4]);
        let length = answer.len() as u32 - 4;
        answer[..4].copy_from_slice(&length.to_be_bytes());
        served.write_all(&answer).unwrap();
    })
}

#[test]
fn check_tells_where_the_advertised_addresses_lead() {
    for (listen, host, port, expected) in [
        ("127.0.0.1:19092", "localhost", 19_092, "ok     advertised localhost:19092 leads to this proxy"),
        ("127.0.0.1:19092", "localhost", 19_093, "ERROR  advertised localhost:19093 leads around this proxy"),
        ("0.0.0.0:19092", "127.0.0.1", 19_092, "ok     advertised 127.0.0.1:19092 leads to this proxy"),
        (
            "0.0.0.0:19092",
            "192.0.2.7",
            19_092,
            "note   cannot tell whether 192.0.2.7:19092 leads here (another host, a load balancer, NAT?)",
        ),
    ] {
        let (listener, upstream) = broker();
        let broker = advertise(listener, host, port);
        // Not bound: check changes nothing.
        let output = output(&["check", "--listen", listen, "--upstream", &upstream.to_string()]);
        let said = String::from_utf8(output.stdout).unwrap();
        // Clients that go around are not served by this proxy, and of what cannot be told nothing is held against it.
        assert_eq!(output.status.code(), Some(i32::from(port == 19_093)), "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.contains("advertised.listeners"), port == 19_093, "{said}");
        broker.join().unwrap();
    }
}

/// What `check` says, and its status, in front of a broker that says `answer` to whatever it is asked, and closes.
fn checked(answer: &'static [u8]) -> (Option<i32>, String) {
    let (listener, upstream) = broker();
    let broker = std::thread::spawn(move || {
        let mut served = accept(&listener);
        // Closed with the request unread, its end would be a reset.
        served.read_exact(&mut [0; 32])?;
        served.write_all(answer)
    });
    let output = output(&["check", "--listen", "127.0.0.1:0", "--upstream", &upstream.to_string()]);
    broker.join().unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn check_cannot_ask_a_broker_that_wants_sasl_and_says_so() {
    for answer in [b"".as_slice(), b"\0", b"\0\0\0\x04\0\0\0\x01", b"\0\0\0\x0e\0\0\0\x01\0\0\0\0\x7f\xff\xff\xff\0\0"]
    {
        let (status, said) = checked(answer);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("note   the broker did not say what it advertises"), "{said}");
    }
}

#[test]
fn check_ends_with_1_where_the_broker_does_not_speak_kafka_in_the_plain() {
    let cases: [(&[u8], &str); 6] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ERROR  the broker sent an HTTP response where Kafka"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "ERROR  the broker sent an SSH banner where Kafka"),
        (b"\x15\x03\x03\0\x02\x02\x50", "PLAINTEXT or SASL_PLAINTEXT listener as upstream"),
        (b"\x16\x03\x03\0\x02\x02\x50", "ERROR  the broker sent a TLS handshake where Kafka"),
        (b"\0\0\0\x03\0\0\0", "ERROR  what came back is not Kafka's protocol (a length of 3): name a Kafka"),
        (b"-ERR unknown command\r\n", "ERROR  what came back is not Kafka's protocol (a length of 759517778)"),
    ];
    for (answer, expected) in cases {
        let (status, said) = checked(answer);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("ok     the broker can be reached\n") && said.contains(expected), "{said}");
    }
}

#[test]
fn help_and_completions_end_with_0() {
    for (args, expected) in [
        (["--help", "--version"].as_slice(), "Examples:"),
        (&["-V"], "seqgate 0."),
        (&["run", "--help"], "SEQGATE_UPSTREAM"),
        (&["completions", "bash"], "_seqgate"),
    ] {
        let output = output(args);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}
