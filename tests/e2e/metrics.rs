//! The metrics of the running binary against the list that dashboards rely on.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::http;
use crate::support::{Proxy, broker};

/// Family, kind, labels; one per line.
const FAMILIES: &str = include_str!("metrics.txt");

#[test]
fn the_families_and_their_labels_are_those_on_the_list() {
    let (_broker, upstream) = broker();
    let proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let (status, head, text) = http(proxy.admin(), "GET", "/metrics", "", "");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(text.ends_with("# EOF\n"));
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            found.insert(name.to_owned(), (kind.to_owned(), BTreeMap::<String, BTreeSet<String>>::new()));
        } else if !line.starts_with('#') {
            sample(line, &mut found);
        }
    }
    let found: Vec<String> = found.into_iter().map(|(name, (kind, labels))| row(&name, &kind, &labels)).collect();
    assert_eq!(found.join("\n"), FAMILIES.trim_end());
}

type Found = BTreeMap<String, (String, BTreeMap<String, BTreeSet<String>>)>;

/// Adds the labels of one sample to its family.
fn sample(line: &str, found: &mut Found) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    value.parse::<f64>().unwrap();
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
    let suffixes = ["", "_total", "_info", "_count", "_sum", "_bucket"];
    let family =
        suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix)).find(|family| found.contains_key(*family));
    let family = found.get_mut(family.unwrap_or_else(|| panic!("no family for {line}"))).unwrap();
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (key, value) = label.split_once('=').unwrap();
        if key != "le" {
            family.1.entry(key.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
}

fn row(name: &str, kind: &str, labels: &BTreeMap<String, BTreeSet<String>>) -> String {
    let labels = labels.iter().map(|(key, values)| match key.as_str() {
        "version" | "revision" => format!(" {key}"),
        _ => format!(" {key}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join("|")),
    });
    format!("{name} {kind}{}", labels.collect::<String>())
}
