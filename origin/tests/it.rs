//! The origin over HTTP: what pushes and edges see.

#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod it {
    mod bad_input;
    mod dns;
    mod domains;
    mod edges;
    mod fleet;
    mod pushes;
    mod world;
}
