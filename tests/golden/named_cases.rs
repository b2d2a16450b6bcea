//! Every named case of the contract has a scenario or a test, or says why it has none.

use std::fs;
use std::path::Path;

use crate::script::directory;

#[test]
fn every_named_case_is_shown_or_says_why_not() {
    let root = directory().join("../..");
    let mut sources = Vec::new();
    for part in ["protocol", "proxy", "tests"] {
        collect(&root.join(part), &mut sources);
    }
    let text = fs::read_to_string(root.join("tests/named_cases.txt")).expect("the list of names");
    let missing: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains(": is not wanted ("))
        .filter(|name| !directory().join(format!("{name}.txt")).is_file())
        .filter(|name| !sources.iter().any(|source| has_test(source, name)))
        .collect();
    assert!(missing.is_empty(), "nothing shows:\n{}", missing.join("\n"));
}

/// Whether a function of this name is there, with an attribute that makes it a test, and none that leaves it out.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let begins = |line: &str| {
        ["", "async "].iter().any(|prefix| line.trim().strip_prefix(prefix).is_some_and(|l| l.starts_with(&head)))
    };
    let lines: Vec<&str> = source.lines().collect();
    let above =
        |at: usize| lines[..at].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with(['#', '/']));
    let is_test = |line: &str| ["#[test]", "#[tokio::test"].iter().any(|attribute| line.starts_with(attribute));
    let at = lines.iter().position(|line| begins(line));
    at.is_some_and(|at| above(at).any(is_test) && !above(at).any(|line| line.starts_with("#[ignore")))
}

#[test]
fn only_a_test_that_runs_shows_a_case() {
    for (source, shows) in [
        ("#[test]\nfn case() {", true),
        ("    #[tokio::test(start_paused = true)]\n    #[allow(dead_code)]\n    async fn case() {", true),
        ("#[test]\n/// Why.\nfn case(seed in 0..9) {", true),
        ("fn case() {", false),
        ("#[test]\n#[ignore = \"slow\"]\nfn case() {", false),
        ("#[test]\nfn other() {}\n\nfn case() {", false),
        ("// #[test]\nfn case() {", false),
        ("#[test]\nfn case_of_another_name() {", false),
    ] {
        assert_eq!(has_test(source, "case"), shows, "{source}");
    }
}

/// The texts of all Rust files below `at`.
fn collect(at: &Path, sources: &mut Vec<String>) {
    let entries = fs::read_dir(at).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.extend(fs::read_to_string(&path));
        }
    }
}
