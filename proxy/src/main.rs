//! seqgate
fn main() {}
