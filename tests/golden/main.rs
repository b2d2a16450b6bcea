//! Scenarios of the decision table, driven through real sessions with frames of an independent encoder.
//!
//! `GOLDEN_REWRITE=1` writes what every command came to into the files; look at the difference before keeping it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![expect(clippy::cast_possible_truncation, reason = "numbers in tests are small")]

mod broker;
mod connection;
mod facts;
mod frames;
mod memory;
mod model;
mod named_cases;
mod script;
mod words;
mod world;

use script::Scenario;

#[test]
fn scenarios_come_to_what_is_written_below_them() {
    let problems: Vec<String> = script::files().iter().filter_map(|path| script::check(path).err()).collect();
    assert!(problems.is_empty(), "{} of the scenarios differ:\n\n{}\n", problems.len(), problems.join("\n\n"));
}

#[test]
fn every_expectation_is_checked() {
    for path in script::files() {
        let scenario = Scenario::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(!scenario.spoilt().is_empty(), "{} expects nothing", path.display());
        let found = scenario.run().unwrap();
        for spoilt in scenario.spoilt() {
            assert!(spoilt.compare(&found).is_err(), "{}: a wrong line passes", path.display());
        }
    }
}

#[test]
fn a_scenario_with_a_wrong_verdict_fails() {
    let text = "a> produce seq=0..4\n   t-0: in_order D5 forwarded\n   upstream: identical\n";
    let check = |text: &str| {
        let scenario = Scenario::parse(text).unwrap();
        scenario.compare(&scenario.run().unwrap())
    };
    assert_eq!(check(text), Ok(()));
    let problem = check(&text.replace("in_order D5", "duplicate D12")).unwrap_err();
    assert!(problem.contains("line 1") && problem.contains("duplicate D12") && problem.contains("in_order D5"));
    assert!(check("a> produce seq=0..4\n").is_err(), "nothing expected is not anything expected");
    assert!(Scenario::parse("a> produce seq=0..4 colour=red\n").unwrap().run().is_err());
    assert!(Scenario::parse("   t-0: in_order D5 forwarded\n").is_err());
}
