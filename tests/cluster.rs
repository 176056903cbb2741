//! Whole clusters: what is promised in `docs/CONSISTENCY.md`.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod cluster {
    mod outages;
    mod pushes;
    mod releases;
    mod verification;
}
