//! Durations and sizes as people write them: `"300s"`, `"2MiB"`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

/// Holds a duration read from configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TypedDuration(pub(super) Duration);

/// Holds a number of bytes read from configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TypedSize(pub(super) u64);

const MS: u64 = 1;
const SECOND: u64 = 1_000;
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", MS), ("s", SECOND), ("m", 60 * SECOND), ("h", 3_600 * SECOND), ("d", 86_400 * SECOND)];
const SIZE_UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads digits (`_` between them is allowed) and a unit; no unit, no answer.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'_').count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.checked_mul(*factor)
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = TypedDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"500ms\", \"300s\", \"5m\", \"24h\" or \"7d\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TypedDuration, E> {
        let ms = quantity(text, &DURATION_UNITS);
        ms.map(|ms| TypedDuration(Duration::from_millis(ms)))
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for TypedDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(DurationVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = TypedSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64KiB\", \"2MiB\" or \"1GiB\", or a number of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TypedSize, E> {
        quantity(text, &SIZE_UNITS).map(TypedSize).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<TypedSize, E> {
        let size = u64::try_from(bytes).ok().map(TypedSize);
        size.ok_or_else(|| E::invalid_value(Unexpected::Signed(bytes), &self))
    }
}

impl<'de> Deserialize<'de> for TypedSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SizeVisitor)
    }
}

impl fmt::Display for TypedDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        display(f, ms, &DURATION_UNITS)
    }
}

impl fmt::Display for TypedSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(f, self.0, &SIZE_UNITS)
    }
}

/// Writes `value` in the largest unit that divides it.
fn display(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fitting = units.iter().rev().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor));
    let (unit, factor) = fitting.unwrap_or(&units[0]);
    write!(f, "{}{unit}", value / factor)
}

/// Writes a duration as configuration takes it.
pub fn display_duration(duration: Duration) -> String {
    TypedDuration(duration).to_string()
}

/// Writes a number of bytes as configuration takes it.
pub fn display_size(bytes: usize) -> String {
    TypedSize(bytes as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_multiply_and_print_as_they_were() {
        for text in ["0ms", "1ms", "300s", "5m", "24h", "90s", "8d"] {
            let ms = quantity(text, &DURATION_UNITS).unwrap();
            let shown = TypedDuration(Duration::from_millis(ms)).to_string();
            assert_eq!(quantity(&shown, &DURATION_UNITS), Some(ms), "{text} shows as {shown}");
        }
        assert_eq!(quantity("1_024 KiB", &SIZE_UNITS), Some(1 << 20));
        assert_eq!(TypedSize(100 << 20).to_string(), "100MiB");
        assert_eq!(TypedSize(1_000).to_string(), "1000B");
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for text in ["", "s", "-1s", "1", "1 fortnight", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(quantity(text, &DURATION_UNITS), None, "{text:?}");
        }
    }
}
