//! What several benches and the allocation test share; none of them uses all of it.
#![allow(dead_code, unreachable_pub)]

pub(crate) mod frames;
pub(crate) mod single;
pub(crate) mod track;
