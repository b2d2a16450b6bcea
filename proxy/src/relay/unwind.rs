//! What is still to be done while a panic unwinds.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does what a guard must do when it is dropped. Where a connection's panic is what drops it, the state that it goes to
/// may be what broke: a second panic would end the process and all its connections, so that one is kept here.
pub(super) fn settle(act: impl FnOnce()) {
    if std::thread::panicking() {
        // It has been told already, by the hook that tells of every panic.
        catch_unwind(AssertUnwindSafe(act)).ok();
    } else {
        act();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Guard;

    impl Drop for Guard {
        fn drop(&mut self) {
            settle(|| panic!("a guard breaks"));
        }
    }

    #[test]
    fn a_guard_that_breaks_while_a_panic_unwinds_ends_nothing_else() {
        let broken = catch_unwind(|| {
            let _guard = Guard;
            panic!("a connection breaks");
        });
        assert_eq!(broken.unwrap_err().downcast_ref(), Some(&"a connection breaks"));
        assert!(catch_unwind(|| drop(Guard)).is_err(), "a guard that breaks by itself is told");
    }
}
