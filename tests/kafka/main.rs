//! Real Apache Kafka and its real Java clients: what doubles without seqgate, and what does not with it.

mod chaos;
mod judging;
mod observe;
mod restart;
#[path = "../support/mod.rs"]
mod support;
