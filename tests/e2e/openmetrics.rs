//! Reads metrics as OpenMetrics 1.0 text, and refuses what that format does not allow.

use std::collections::BTreeMap;

/// Families of metrics, in the order of the text.
pub(crate) type Families = Vec<(String, Family)>;

/// One metric, with all of its series.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: Option<String>,
    help: Option<String>,
    unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// One line of a family.
#[derive(Debug)]
pub(crate) struct Sample {
    name: String,
    pub(crate) labels: BTreeMap<String, String>,
    value: f64,
}

/// Reads a whole exposition.
pub(crate) fn read(text: &str) -> Result<Families, String> {
    let lines = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut families = Families::new();
    for line in lines.split_inclusive('\n') {
        let line = line.strip_suffix('\n').ok_or_else(|| format!("no line feed behind {line:?}"))?;
        take(line, &mut families).map_err(|why| format!("{why}: {line:?}"))?;
    }
    families.iter().try_for_each(|(name, family)| family.check(name).map_err(|why| format!("{why}: {name}")))?;
    Ok(families)
}

fn take(line: &str, families: &mut Families) -> Result<(), &'static str> {
    if let Some(described) = line.strip_prefix("# ") {
        return describe(described, families);
    }
    let sample = Sample::read(line)?;
    let (name, family) = families.last_mut().ok_or("a sample without a family")?;
    if !family.suffixes()?.iter().any(|suffix| sample.name.strip_suffix(suffix) == Some(name)) {
        return Err("a sample of no family, or of another one");
    }
    if family.samples.iter().any(|other| (&other.name, &other.labels) == (&sample.name, &sample.labels)) {
        return Err("a series twice");
    }
    family.samples.push(sample);
    Ok(())
}

fn describe(text: &str, families: &mut Families) -> Result<(), &'static str> {
    let (keyword, rest) = text.split_once(' ').ok_or("a comment")?;
    let (name, text) = rest.split_once(' ').ok_or("a description of nothing")?;
    if families.last().is_none_or(|(last, _)| last != name) {
        if !is_name(name) || families.iter().any(|(earlier, _)| earlier == name) {
            return Err("no name, or a family in two places");
        }
        families.push((name.to_owned(), Family::default()));
    }
    let (_, family) = families.last_mut().expect("it was pushed");
    let described = match keyword {
        "HELP" => &mut family.help,
        "TYPE" => &mut family.kind,
        "UNIT" => &mut family.unit,
        _ => return Err("a comment"),
    };
    let is_first = described.replace(text.to_owned()).is_none() && family.samples.is_empty();
    is_first.then_some(()).ok_or("a description twice, or behind a sample")
}

impl Family {
    fn suffixes(&self) -> Result<&'static [&'static str], &'static str> {
        match self.kind.as_deref() {
            Some("counter") => Ok(&["_total"]),
            Some("gauge") => Ok(&[""]),
            Some("info") => Ok(&["_info"]),
            Some("histogram") => Ok(&["_bucket", "_count", "_sum"]),
            _ => Err("no type, or one that is not used here"),
        }
    }

    fn check(&self, name: &str) -> Result<(), &'static str> {
        self.suffixes()?;
        if self.help.is_none() || self.samples.is_empty() {
            return Err("no help, or no sample");
        }
        if self.unit.as_ref().is_some_and(|unit| !name.ends_with(&format!("_{unit}"))) {
            return Err("a unit that is not in the name");
        }
        let mut values = self.samples.iter().map(|sample| sample.value);
        let holds = match self.kind.as_deref() {
            Some("counter") => values.all(|value| value.is_finite() && value >= 0.0),
            Some("info") => values.all(|value| value == 1.0),
            Some("histogram") => return self.check_buckets(),
            _ => values.all(f64::is_finite),
        };
        holds.then_some(()).ok_or("a value that its type does not allow")
    }

    /// The histograms here have no label but the bound of a bucket.
    fn check_buckets(&self) -> Result<(), &'static str> {
        let named = |suffix: &'static str| self.samples.iter().filter(move |sample| sample.name.ends_with(suffix));
        let bound = |sample: &Sample| sample.labels.get("le").and_then(|le| le.parse::<f64>().ok());
        let buckets: Option<Vec<(f64, f64)>> =
            named("_bucket").map(|sample| bound(sample).map(|le| (le, sample.value))).collect();
        let buckets = buckets.ok_or("a bucket without a bound")?;
        if !buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1) {
            return Err("buckets out of order, or not cumulative");
        }
        let (count, sum) = (named("_count").next().ok_or("no count")?, named("_sum").next().ok_or("no sum")?);
        let last = buckets.last().is_some_and(|last| *last == (f64::INFINITY, count.value));
        (last && sum.value >= 0.0).then_some(()).ok_or("a last bucket that does not hold all")
    }
}

impl Sample {
    fn read(line: &str) -> Result<Self, &'static str> {
        let (name, rest) = line.split_at(line.find(['{', ' ']).ok_or("no value")?);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(labels) => read_labels(labels)?,
            None => (BTreeMap::new(), rest),
        };
        let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok()).ok_or("no value")?;
        is_name(name).then(|| Self { name: name.to_owned(), labels, value }).ok_or("no name")
    }
}

/// The labels up to their closing brace, and what is behind it.
fn read_labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("no label")?;
        let (value, behind) = read_quoted(value)?;
        if !is_name(name) || labels.insert(name.to_owned(), value).is_some() {
            return Err("no name of a label, or one twice");
        }
        match behind.split_at_checked(1) {
            Some((",", next)) => rest = next,
            Some(("}", behind)) => return Ok((labels, behind)),
            _ => return Err("labels without an end"),
        }
    }
}

/// A value up to its closing quote, and what is behind it.
fn read_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let (mut value, mut chars) = (String::new(), text.chars());
    while let Some(character) = chars.next() {
        match character {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(escaped @ ('"' | '\\')) => escaped,
                _ => return Err("an escape that there is not"),
            }),
            plain => value.push(plain),
        }
    }
    Err("a value without an end")
}

fn is_name(name: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[test]
fn what_is_not_open_metrics_is_refused() {
    const GOOD: &str = "# HELP a A.\n# TYPE a counter\na_total{x=\"1\",y=\"\\\"\\\\\\n}\"} 2\na_total{x=\"2\"} 0\n\
        # HELP b_seconds B.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 0.5\nb_seconds_count 3\n\
        b_seconds_bucket{le=\"0.1\"} 1\nb_seconds_bucket{le=\"+Inf\"} 3\n# HELP c C.\n# TYPE c info\nc_info{v=\"1\"} 1\n# EOF\n";
    let families = read(GOOD).unwrap();
    assert_eq!(families.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b_seconds", "c"]);
    assert_eq!(families[0].1.samples[0].labels["y"], "\"\\\n}");
    for (part, spoilt) in [
        ("# EOF\n", "# EOF"),
        ("# EOF\n", "# EOF\n\n"),
        ("# EOF\n", "# EOF\n# EOF\n"),
        ("# HELP a A.\n", ""),
        ("# HELP a A.\n", "# HELP a A.\n# HELP a A.\n"),
        ("# TYPE a counter\n", ""),
        ("# TYPE a counter\n", "# TYPE a counter\n# TYPE a counter\n"),
        ("# TYPE a counter\n", "# A comment.\n"),
        ("counter", "gauge"),
        ("a_total{x=\"2\"}", "a{x=\"2\"}"),
        ("a_total{x=\"2\"}", "a_total{y=\"\\\"\\\\\\n}\",x=\"1\"}"),
        ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} -1"),
        ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} many"),
        ("a_total{x=\"2\"} 0", "a_total{x=\"2\",x=\"3\"} 0"),
        ("a_total{x=\"2\"} 0", "a_total{x=\"2\\q\"} 0"),
        ("a_total{x=\"2\"} 0", "a_total{x=\"2} 0"),
        ("a_total{x=\"2\"} 0", "a_total{2x=\"2\"} 0"),
        ("c_info{v=\"1\"} 1\n", "c_info{v=\"1\"} 1\na_total{x=\"3\"} 0\n"),
        ("c_info{v=\"1\"} 1\n", "c_info{v=\"1\"} 1\n# HELP a A.\n"),
        ("c_info{v=\"1\"} 1\n", "c_info{v=\"1\"} 2\n"),
        ("# UNIT b_seconds seconds", "# UNIT b_seconds bytes"),
        ("b_seconds_count 3", "b_seconds_count 4"),
        ("{le=\"0.1\"} 1", "{le=\"0.1\"} 4"),
        ("{le=\"+Inf\"}", "{le=\"0.05\"}"),
        ("b_seconds_bucket{le=\"+Inf\"} 3\n", ""),
        ("b_seconds_sum 0.5\n", ""),
    ] {
        assert!(GOOD.contains(part), "{part:?}");
        assert!(read(&GOOD.replacen(part, spoilt, 1)).is_err(), "{part:?} became {spoilt:?}");
    }
}
