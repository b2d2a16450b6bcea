//! How many files the proxy may have open.

use crate::support::{Proxy, accept, broker, seqgate_under};

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may_go() {
    let (_broker, upstream) = broker();
    let arguments = format!("run --listen 127.0.0.1:0 --upstream {upstream}");
    let proxy = Proxy::spawn(&mut seqgate_under("ulimit -Sn 256", &arguments));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.process())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard, _unit] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_ne!(hard, "256", "there is no more to have on this machine");
    assert_eq!(soft, hard);
}

#[test]
fn check_says_how_many_descriptors_connections_max_needs() {
    // Two for each connection, one for the listener, and 128 to spare.
    let said = check("ulimit -n 1000");
    assert!(said.contains("  WARN   9000 connections need 18129 descriptors, 1000 are allowed\n"), "{said}");
    assert!(said.contains("         enough for 435: raise the limit (ulimit -n, LimitNOFILE=)"), "{said}");
    let said = check("true");
    assert!(said.contains(" 9000 connections need 18129 descriptors"), "{said}");
}

#[test]
fn run_warns_when_it_may_not_have_what_connections_max_needs() {
    let (_broker, upstream) = broker();
    let arguments = format!("run --listen 127.0.0.1:0 --upstream {upstream}");
    let mut proxy = Proxy::spawn(&mut seqgate_under("ulimit -n 1000", &arguments));
    proxy.will_warn(&["too few descriptors"]);
    let line = proxy.wait_for_log("too few descriptors");
    for part in ["WARN", "needed=18129", "limit=1000"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// What `check` prints, of a broker that hangs up.
fn check(limit: &str) -> String {
    let (listener, upstream) = broker();
    let broker = std::thread::spawn(move || drop(accept(&listener)));
    let arguments = format!("check --listen 127.0.0.1:0 --upstream {upstream}");
    let output = seqgate_under(limit, &arguments).output().unwrap();
    broker.join().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}
