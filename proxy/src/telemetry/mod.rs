//! What the proxy tells about itself: metrics, log and journal.

pub mod api;
pub mod families;
pub mod histogram;
pub mod journal;
pub mod labels;
pub mod lanes;
pub mod limiter;
pub mod logging;
pub mod metrics;
