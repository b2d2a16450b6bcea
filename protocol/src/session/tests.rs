//! A session against whole frames.
