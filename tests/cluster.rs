//! Whole clusters: what is promised in `docs/CONSISTENCY.md`, and, to readers behind resolvers of others, in `docs/DNS.md`.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod cluster {
    mod outages;
    mod pushes;
    mod releases;
    #[cfg(target_os = "linux")]
    mod resolvers;
    mod verification;
}
