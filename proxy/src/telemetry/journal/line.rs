//! What a line of the journal looks like.

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::entry::{End, Entry, Look};
use crate::runtime::ConnectionRecord;
use crate::telemetry::metrics::{REVISION, VERSION};

/// One line in the making; every value fits on it, whatever clients send.
struct Line<'a>(&'a mut String);

/// Appends the line of an event.
pub(super) fn event(out: &mut String, entry: &Entry) {
    let mut line = Line::begin(out, entry.time, entry.kind.name());
    line.text("verdict", entry.verdict.map(|verdict| verdict.name()));
    line.text("action", entry.action.map(|action| action.name()));
    line.client(&entry.client);
    let topic = entry.topic.as_bytes();
    line.text("topic", (!topic.is_empty()).then(|| topic.escape_ascii().to_string()).as_deref());
    line.text("topic_id", entry.topic_id.map(|id| id.to_string()).as_deref());
    line.number("partition", entry.partition);
    line.number("producer_id", entry.producer.map(|(id, _)| id.get()));
    line.number("producer_epoch", entry.producer.map(|(_, epoch)| epoch.get()));
    line.number("base_sequence", entry.range.map(|range| range.first.get()));
    line.number("last_sequence", entry.range.map(|range| range.last.get()));
    line.number("expected_sequence", entry.expected.map(|expected| expected.get()));
    line.number("records", entry.size.map(|size| size.records));
    line.number("bytes", entry.size.map(|size| size.bytes));
    line.number("crc", entry.crc);
    line.number("base_offset", entry.base_offset);
    line.number("error_code", entry.error_code);
    line.text("reason", entry.reason);
    line.text("evidence", entry.evidence);
    line.text("waits_for", entry.waits_for.map(|waits_for| waits_for.name()));
    if let Some(look) = &entry.look {
        line.look(look);
    }
    if let Some(end) = &entry.end {
        line.end_of_connection(end, &entry.client);
    }
    line.finish();
}

/// Appends the line that says who writes from here on.
pub(super) fn start(out: &mut String, time: SystemTime) {
    let mut line = Line::begin(out, time, "start");
    line.text("version", Some(VERSION));
    line.text("revision", Some(REVISION));
    line.finish();
}

/// Appends the line of an end in order.
pub(super) fn stop(out: &mut String, time: SystemTime) {
    Line::begin(out, time, "stop").finish();
}

/// Appends the line that says how many events are missing.
pub(super) fn dropped(out: &mut String, time: SystemTime, count: u64) {
    let mut line = Line::begin(out, time, "dropped");
    line.number("count", Some(count));
    line.finish();
}

/// Appends a line up to the value of the chain.
pub(super) fn chain(out: &mut String, time: SystemTime, lines: u64) {
    let mut line = Line::begin(out, time, "chain");
    line.number("lines", Some(lines));
    out.push_str(",\"chain\":\"");
}

impl<'a> Line<'a> {
    fn begin(out: &'a mut String, time: SystemTime, event: &str) -> Self {
        out.push_str("{\"time\":\"");
        timestamp(out, time);
        out.push('"');
        let mut line = Self(out);
        line.text("event", Some(event));
        line
    }

    fn client(&mut self, client: &ConnectionRecord) {
        self.number("connection", Some(client.id));
        self.text("client_addr", Some(&client.client_addr.to_string()));
        self.text("client_id", client.client_id());
    }

    fn look(&mut self, look: &Look) {
        self.text("kind", Some(look.kind.name()));
        self.text("outcome", Some(look.outcome.name()));
        self.text("given_up", look.given_up.map(|why| why.name()));
        let us = look.took.as_micros();
        self.number("took_ms", Some(format_args!("{}.{:03}", us / 1_000, us % 1_000)));
    }

    fn end_of_connection(&mut self, end: &End, client: &ConnectionRecord) {
        self.text("listener", Some(&client.listener.name));
        self.text("outcome", Some(end.outcome.as_str()));
        self.number("requests", Some(end.totals.requests));
        self.number("responses", Some(end.totals.responses));
        self.number("bytes_to_broker", Some(end.totals.bytes_to_broker));
        self.number("bytes_to_client", Some(end.totals.bytes_to_client));
        self.number("age_ms", Some(end.age.as_millis()));
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.name(name);
        self.0.push('"');
        escape(self.0, value);
        self.0.push('"');
    }

    fn number(&mut self, name: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        self.name(name);
        write!(self.0, "{value}").expect("a string takes every write");
    }

    fn name(&mut self, name: &str) {
        write!(self.0, ",\"{name}\":").expect("a string takes every write");
    }

    fn finish(self) {
        self.0.push_str("}\n");
    }
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // All of them lie below U+00A0.
            control if control.is_control() => {
                write!(out, "\\u{:04x}", u32::from(control)).expect("a string takes every write");
            }
            plain => out.push(plain),
        }
    }
}

/// Appends the time by RFC 3339: UTC, microseconds. What lies before 1970 shows as its start.
pub(super) fn timestamp(out: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Ends with the year 9999: four digits are all that the format has.
    let seconds = since.as_secs().min(253_402_300_799);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let micros = since.subsec_micros();
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
        .expect("a string takes every write");
}

/// The date that lies `days` after the first of January 1970, in the Gregorian calendar.
///
/// Years begin in March here, so that the leap day is the last of one (Hinnant, `civil_from_days`).
const fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let era = days / DAYS_OF_400_YEARS;
    let of_era = days % DAYS_OF_400_YEARS;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
