//! One file for each of the program's commands.

pub mod demo;
