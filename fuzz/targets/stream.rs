#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| msys_track::fuzzing::stream(data));
