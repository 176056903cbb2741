//! The edge over HTTP, between a small real origin and readers.

#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod it {
    mod cold;
    mod domains;
    mod following;
    mod heads;
    mod listeners;
    mod offline;
    mod origin;
    mod rules;
    mod site;
    mod world;
}
