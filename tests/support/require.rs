//! Parts that a machine may lack: a test without them says so and is skipped, unless the whole set is required.

use std::env;
use std::io::{self, Write};

use super::family::Family;
use super::jvm::{self, Parts, Version};

/// Apache Kafka of this version with a JDK to run it; `None` when the test is to return.
pub fn kafka(version: Version) -> Option<&'static Parts> {
    present(jvm::parts(version))
}

/// Those of all families that this machine can run.
pub fn families() -> Vec<Family> {
    Family::ALL.into_iter().filter(|family| self::family(*family).is_some()).collect()
}

/// The family, when this machine can run it; `None` when the test is to do without.
pub fn family(family: Family) -> Option<Family> {
    let program = family.program().map_err(|reason| format!("{}: {reason}", family.name()));
    present(program).map(|_| family)
}

/// The part, or a visible line instead of it; fails under `SEQGATE_REQUIRE=all`.
pub fn present<T>(part: Result<T, String>) -> Option<T> {
    match part {
        Ok(part) => Some(part),
        Err(reason) if env::var_os("SEQGATE_REQUIRE").is_some_and(|value| value == "all") => {
            panic!("SEQGATE_REQUIRE=all, but {reason}")
        }
        Err(reason) => {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            // Not eprintln!, which is shown only for tests that fail.
            let _ = writeln!(io::stderr(), "SKIPPED: {test}: {reason}");
            None
        }
    }
}
