//! Every named case of the contract has a scenario or a test, or says what it waits for.

use std::fs;
use std::path::Path;

use crate::script::directory;

#[test]
fn every_named_case_is_shown_or_waits_for_a_later_step() {
    let root = directory().join("../..");
    let mut sources = Vec::new();
    for part in ["protocol", "proxy", "tests"] {
        collect(&root.join(part), &mut sources);
    }
    let text = fs::read_to_string(root.join("tests/named_cases.txt")).expect("the list of names");
    let missing: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains(": waits for a later step ("))
        .filter(|name| !directory().join(format!("{name}.txt")).is_file())
        .filter(|name| !sources.iter().any(|source| source.contains(&format!("fn {name}("))))
        .collect();
    assert!(missing.is_empty(), "nothing shows:\n{}", missing.join("\n"));
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
