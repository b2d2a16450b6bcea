//! What callers send, taken apart here, so that an error names the field and what it may be.

use std::str::FromStr;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::Value;

use crate::config::Mode;
use crate::runtime::ProducerQuery;

/// The body that changes the mode.
const MODE_BODY: &str = "{\"mode\": \"observe\"}, \"dedupe\" or \"enforce\"";

/// Names and values of a query, in their order.
pub(super) type Pairs = Vec<(String, String)>;

/// Says what is wrong with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WrongBody {
    /// It is not said to be JSON.
    Kind,
    /// It is not JSON.
    Text,
    /// It is JSON, but not what was to come.
    Content(String),
}

/// Takes the selection of producers from a query.
pub(super) fn producers(pairs: &Pairs) -> Result<ProducerQuery, String> {
    known(pairs, &["topic", "partition", "producer_id", "limit"])?;
    Ok(ProducerQuery {
        topic: value(pairs, "topic").map(str::to_owned),
        partition: number(pairs, "partition", i32::MAX)?,
        producer_id: number(pairs, "producer_id", i64::MAX)?,
        limit: rows(pairs)?,
    })
}

/// Takes how many connections to show from a query.
pub(super) fn connections(pairs: &Pairs) -> Result<usize, String> {
    known(pairs, &["limit"])?;
    rows(pairs)
}

/// Takes the mode from a body.
pub(super) fn mode(headers: &HeaderMap, body: &Bytes) -> Result<Mode, WrongBody> {
    // A page of another site cannot make a browser send this type without being asked first.
    if !is_json(headers) {
        return Err(WrongBody::Kind);
    }
    let wrong = |what: String| WrongBody::Content(format!("{what}; expected {MODE_BODY}"));
    let body: Value = serde_json::from_slice(body).map_err(|_| WrongBody::Text)?;
    let Value::Object(fields) = body else { return Err(wrong("the body is no JSON object".to_owned())) };
    if let Some(unknown) = fields.keys().find(|name| *name != "mode") {
        return Err(wrong(format!("unknown field {unknown:?}")));
    }
    match fields.get("mode") {
        None => Err(wrong("the field \"mode\" is missing".to_owned())),
        Some(Value::String(text)) => text.parse().map_err(|error| WrongBody::Content(format!("mode: {error}"))),
        Some(_) => Err(wrong("mode: found no text".to_owned())),
    }
}

impl std::fmt::Display for WrongBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind => write!(f, "expected the header \"Content-Type: application/json\" and the body {MODE_BODY}"),
            Self::Text => write!(f, "the body is not JSON; expected {MODE_BODY}"),
            Self::Content(what) => f.write_str(what),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn rows(pairs: &Pairs) -> Result<usize, String> {
    let limit = number(pairs, "limit", usize::MAX)?.unwrap_or(ProducerQuery::LIMIT_DEFAULT);
    Ok(limit.min(ProducerQuery::LIMIT_MAX))
}

/// Refuses what is not among `names`, or comes twice.
fn known(pairs: &Pairs, names: &[&str]) -> Result<(), String> {
    for (index, (name, _)) in pairs.iter().enumerate() {
        if !names.contains(&name.as_str()) {
            return Err(format!("unknown parameter {name:?}, expected {}", names.join(", ")));
        }
        if pairs[..index].iter().any(|(before, _)| before == name) {
            return Err(format!("{name} is given twice"));
        }
    }
    Ok(())
}

fn value<'a>(pairs: &'a Pairs, wanted: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

fn number<T: FromStr + Default + PartialOrd + std::fmt::Display>(
    pairs: &Pairs,
    name: &str,
    max: T,
) -> Result<Option<T>, String> {
    let Some(text) = value(pairs, name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| *number >= T::default());
    number.map(Some).ok_or_else(|| format!("{name}: found {text:?}, expected a number from 0 to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Pairs {
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_query_selects_what_it_names_and_all_else() {
        let all = producers(&pairs(&[])).unwrap();
        assert_eq!((all.topic, all.partition, all.producer_id, all.limit), (None, None, None, 1_000));
        let query = [("topic", "a b"), ("partition", "3"), ("producer_id", "9223372036854775807"), ("limit", "99999")];
        let some = producers(&pairs(&query)).unwrap();
        assert_eq!((some.topic.as_deref(), some.partition, some.producer_id), (Some("a b"), Some(3), Some(i64::MAX)));
        assert_eq!((some.limit, connections(&pairs(&[("limit", "0")]))), (10_000, Ok(0)));
    }

    #[test]
    fn a_wrong_query_is_told_by_its_parameter_and_what_that_may_be() {
        for (query, expected) in [
            (
                &[("partitoin", "1")][..],
                "unknown parameter \"partitoin\", expected topic, partition, producer_id, limit",
            ),
            (&[("partition", "x")], "partition: found \"x\", expected a number from 0 to 2147483647"),
            (&[("partition", "-1")], "partition: found \"-1\", expected a number from 0 to 2147483647"),
            (&[("producer_id", "")], "producer_id: found \"\", expected a number from 0 to 9223372036854775807"),
            (&[("topic", "a"), ("topic", "b")], "topic is given twice"),
        ] {
            assert_eq!(producers(&pairs(query)).unwrap_err(), expected);
        }
        let wrong = connections(&pairs(&[("topic", "a")])).unwrap_err();
        assert_eq!(wrong, "unknown parameter \"topic\", expected limit");
    }

    #[test]
    fn a_body_names_the_mode_and_nothing_else() {
        let of = |kind: &'static str, body: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, header::HeaderValue::from_static(kind))]);
            mode(&headers, &Bytes::from_static(body.as_bytes())).map_err(|wrong| wrong.to_string())
        };
        assert_eq!(of("application/json; charset=utf-8", " {\"mode\":\"observe\"}"), Ok(Mode::Observe));
        let right = "expected {\"mode\": \"observe\"}, \"dedupe\" or \"enforce\"";
        for (kind, body, expected) in [
            (
                "text/plain",
                "{\"mode\":\"observe\"}",
                "expected the header \"Content-Type: application/json\" and the body {\"mode\": \"observe\"}, \"dedupe\" or \"enforce\"".to_owned(),
            ),
            ("application/json", "", format!("the body is not JSON; {right}")),
            ("application/json", "[]", format!("the body is no JSON object; {right}")),
            ("application/json", "{}", format!("the field \"mode\" is missing; {right}")),
            ("application/json", "{\"mode\":1}", format!("mode: found no text; {right}")),
            ("application/json", "{\"mode\":\"observe\",\"x\":1}", format!("unknown field \"x\"; {right}")),
            (
                "application/json",
                "{\"mode\":\"drop\"}",
                "mode: found \"drop\", expected \"observe\", \"dedupe\" or \"enforce\"".to_owned(),
            ),
        ] {
            assert_eq!(of(kind, body), Err(expected), "{body}");
        }
    }
}
