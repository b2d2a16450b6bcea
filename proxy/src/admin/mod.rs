//! The admin port: health, metrics and state over HTTP.

mod guard;
mod port;
mod routes;
mod status;
mod token;

pub use port::{Port, bind};
