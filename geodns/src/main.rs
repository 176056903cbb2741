//! `verge-geodns`.

fn main() {}
