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
    let needed = needed();
    let said = check("ulimit -n 1000");
    let warning = format!("  WARN   9000 connections need {needed} descriptors, 1000 are allowed\n");
    assert!(said.contains(&warning), "{said}");
    let possible = (1000 - (needed - 18_000)) / 2;
    let way_out = format!("         enough for {possible}: raise the limit (ulimit -n, LimitNOFILE=)");
    assert!(said.contains(&way_out), "{said}");
    let said = check("true");
    assert!(said.contains(&format!(" 9000 connections need {needed} descriptors")), "{said}");
}

#[test]
fn run_warns_when_it_may_not_have_what_connections_max_needs() {
    let (_broker, upstream) = broker();
    let arguments = format!("run --listen 127.0.0.1:0 --upstream {upstream}");
    let mut proxy = Proxy::spawn(&mut seqgate_under("ulimit -n 1000", &arguments));
    proxy.will_warn(&["too few descriptors"]);
    let line = proxy.wait_for_log("too few descriptors");
    for part in ["WARN", &format!("needed={}", needed()), "limit=1000"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// Two for each connection and for each of 64 pipes, and one for the listener; beside them 128, or more where there are
/// many threads.
fn needed() -> usize {
    let threads = std::thread::available_parallelism().unwrap().get();
    18_000 + 2 * 64 + 1 + 128.max(64 + 4 * threads)
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
