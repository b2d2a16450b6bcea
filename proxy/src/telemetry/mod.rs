//! What the proxy tells about itself: metrics and log.

pub mod api;
pub mod families;
pub mod histogram;
pub mod labels;
pub mod limiter;
pub mod logging;
pub mod metrics;
