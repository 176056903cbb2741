#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| verge::fuzzing::netlify_toml(bytes));
