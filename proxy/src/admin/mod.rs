//! The admin port: health, metrics and state over HTTP.

mod guard;
mod port;
mod query;
mod routes;
mod status;
mod token;

use std::path::Path;

use crate::config::ConfigError;

pub use port::{Port, bind};

/// Says why the admin port's token could not be read.
pub fn probe_token(file: &Path) -> Result<(), ConfigError> {
    token::Token::read(file).map(drop)
}
