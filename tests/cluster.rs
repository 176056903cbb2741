//! Tests of whole clusters: the guarantees of `docs/CONSISTENCY.md` and, for readers behind third-party resolvers, of `docs/DNS.md`.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports an error")]

mod cluster {
    mod canaries;
    mod certificate_year;
    mod certificates;
    mod erasures;
    mod explanations;
    mod file_formats;
    mod https_records;
    mod outages;
    mod previews;
    mod purges;
    mod pushes;
    mod releases;
    #[cfg(target_os = "linux")]
    mod resolvers;
    mod restores;
    mod rules;
    mod verification;
}
