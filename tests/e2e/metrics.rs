//! The metrics of the running binary against the list that dashboards rely on.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::http;
use crate::openmetrics::{self, Family};
use crate::support::{Proxy, broker};

/// Family, kind, labels; one per line. Some wait for a later step.
const FAMILIES: &str = include_str!("metrics.txt");

#[test]
fn the_families_and_their_labels_are_those_on_the_list() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let (status, head, text) = http(proxy.admin(), "GET", "/metrics", "", "");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    let families = openmetrics::read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let mut found: Vec<String> = families.iter().map(|(name, family)| row(name, family)).collect();
    found.sort();
    let listed: Vec<_> = FAMILIES.lines().filter(|line| !line.contains(": waits for a later step")).collect();
    assert_eq!(found, listed);
}

fn row(name: &str, family: &Family) -> String {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in family.samples.iter().flat_map(|sample| &sample.labels).filter(|(label, _)| *label != "le") {
        labels.entry(label).or_default().insert(value);
    }
    let labels = labels.into_iter().map(|(label, values)| match label {
        "version" | "revision" => format!(" {label}"),
        _ => format!(" {label}={}", values.into_iter().collect::<Vec<_>>().join("|")),
    });
    format!("{name} {}{}", family.kind.as_deref().unwrap_or_default(), labels.collect::<String>())
}
