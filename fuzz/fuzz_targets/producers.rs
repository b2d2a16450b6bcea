#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| seqgate_fuzz::targets::producers(data));
