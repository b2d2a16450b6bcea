//! The ranges that numbers of the file must be in.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::error::{ConfigError, Source};
use super::typed::{TypedLimits, TypedSequencing};
use super::units::{TypedDuration, TypedSize};
use super::{Limits, Sequencing};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Judges numbers, and names the file in what it finds.
#[derive(Debug, Clone, Copy)]
struct Judge<'a>(Source<'a>);

impl Limits {
    pub(super) fn judge(typed: &TypedLimits, source: Source<'_>) -> Result<Self, ConfigError> {
        let (judge, default) = (Judge(source), Self::default());
        // A frame's length is a signed number of four bytes.
        let bytes = KIB..=i32::MAX as u64;
        let frame_bytes_max =
            judge.size("limits.frame_bytes_max", &typed.frame_bytes_max, default.frame_bytes_max, bytes.clone())?;
        let limits = Self {
            connections_max: judge.count(
                "limits.connections_max",
                &typed.connections_max,
                default.connections_max,
                1..=1_000_000,
            )?,
            frame_bytes_max,
            hold_bytes_max: judge.size(
                "limits.hold_bytes_max",
                &typed.hold_bytes_max,
                default.hold_bytes_max.min(frame_bytes_max),
                bytes,
            )?,
            memory_max: judge.size("limits.memory_max", &typed.memory_max, default.memory_max, 16 * MIB..=1 << 50)?,
            in_flight_max: judge.count(
                "limits.in_flight_max",
                &typed.in_flight_max,
                default.in_flight_max,
                1..=10_000,
            )?,
            pipes_max: judge.count("limits.pipes_max", &typed.pipes_max, default.pipes_max, 0..=10_000)?,
            drain: judge.duration("limits.drain", &typed.drain, default.drain, [0, 3_600_000])?,
            dial_timeout: judge.duration(
                "limits.dial_timeout",
                &typed.dial_timeout,
                default.dial_timeout,
                [10, 300_000],
            )?,
        };
        limits.judge_together(typed, source)?;
        Ok(limits)
    }

    fn judge_together(&self, typed: &TypedLimits, source: Source<'_>) -> Result<(), ConfigError> {
        let span = |typed: &Option<Spanned<TypedSize>>| typed.as_ref().map_or(0..0, Spanned::span);
        if self.hold_bytes_max > self.frame_bytes_max {
            let [found, limit] = [self.hold_bytes_max, self.frame_bytes_max].map(|bytes| TypedSize(bytes as u64));
            let typed = if typed.hold_bytes_max.is_some() { &typed.hold_bytes_max } else { &typed.frame_bytes_max };
            let problem = format!("found {found}, expected at most limits.frame_bytes_max, which is {limit}");
            return Err(source.error("limits.hold_bytes_max", span(typed), problem));
        }
        if self.memory_max < self.hold_bytes_max {
            let [found, limit] = [self.memory_max, self.hold_bytes_max].map(|bytes| TypedSize(bytes as u64));
            let typed = if typed.memory_max.is_some() { &typed.memory_max } else { &typed.hold_bytes_max };
            let problem = format!("found {found}, expected at least limits.hold_bytes_max, which is {limit}");
            return Err(source.error("limits.memory_max", span(typed), problem));
        }
        Ok(())
    }
}

impl Sequencing {
    pub(super) fn judge(typed: &TypedSequencing, source: Source<'_>) -> Result<Self, ConfigError> {
        let (judge, default) = (Judge(source), Self::default());
        Ok(Self {
            proof_ttl: judge.duration(
                "sequencing.proof_ttl",
                &typed.proof_ttl,
                default.proof_ttl,
                [1_000, 86_400_000],
            )?,
            // Below five the broker itself would remember more.
            window: judge.count("sequencing.window", &typed.window, default.window, 5..=1_024)?,
            producers_max: judge.count(
                "sequencing.producers_max",
                &typed.producers_max,
                default.producers_max,
                1..=100_000_000,
            )?,
            authoritative: typed.authoritative.unwrap_or(default.authoritative),
            look_up: typed.look_up.unwrap_or(default.look_up),
            backend: typed.backend.unwrap_or(default.backend),
            producer_expiration: judge.duration(
                "sequencing.producer_expiration",
                &typed.producer_expiration,
                default.producer_expiration,
                [1_000, 365 * 86_400_000],
            )?,
        })
    }
}

impl Judge<'_> {
    fn count(
        self,
        key: &str,
        typed: &Option<Spanned<u64>>,
        default: usize,
        range: RangeInclusive<u64>,
    ) -> Result<usize, ConfigError> {
        let Some(typed) = typed else { return Ok(default) };
        self.within(key, typed, range).map(as_usize)
    }

    fn size(
        self,
        key: &str,
        typed: &Option<Spanned<TypedSize>>,
        default: usize,
        range: RangeInclusive<u64>,
    ) -> Result<usize, ConfigError> {
        let Some(typed) = typed else { return Ok(default) };
        let range = TypedSize(*range.start())..=TypedSize(*range.end());
        self.within(key, typed, range).map(|size| as_usize(size.0))
    }

    fn duration(
        self,
        key: &str,
        typed: &Option<Spanned<TypedDuration>>,
        default: Duration,
        range_ms: [u64; 2],
    ) -> Result<Duration, ConfigError> {
        let Some(typed) = typed else { return Ok(default) };
        let [start, end] = range_ms.map(|ms| TypedDuration(Duration::from_millis(ms)));
        self.within(key, typed, start..=end).map(|duration| duration.0)
    }

    fn within<T: PartialOrd + Copy + Display>(
        self,
        key: &str,
        typed: &Spanned<T>,
        range: RangeInclusive<T>,
    ) -> Result<T, ConfigError> {
        let found = *typed.get_ref();
        if range.contains(&found) {
            return Ok(found);
        }
        let problem = format!("found {found}, expected {} to {}", range.start(), range.end());
        Err(self.0.error(key, typed.span(), problem))
    }
}

fn as_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
