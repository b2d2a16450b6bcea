//! Medians, and how sure one can be of them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Resamples behind each interval.
const RESAMPLES: usize = 2_000;

/// A median with the bounds of its 95 % confidence interval, by the bootstrap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut random = StdRng::seed_from_u64(0);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| median((0..values.len()).map(|_| values[random.random_range(0..values.len())]).collect()))
            .collect();
        medians.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share) as usize];
        Self { median: median(values.to_vec()), low: at(0.025), high: at(0.975) }
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} [{:.3}-{:.3}]", self.median, self.low, self.high)
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        some if some.len() % 2 == 1 => some[half],
        some => f64::midpoint(some[half - 1], some[half]),
    }
}
