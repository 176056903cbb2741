//! The condition of an address, as health checks report it.

/// The condition of one address of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the four are independent")]
pub(crate) struct Condition {
    /// Its probes succeed.
    pub(crate) up: bool,
    /// It may change soon: answers with this address have [`Policy::suspect_ttl`](super::Policy::suspect_ttl).
    pub(crate) suspect: bool,
    /// It has been behind the other edges for too long.
    pub(crate) lagging: bool,
    /// The edge announced that it will stop.
    pub(crate) draining: bool,
}

impl Default for Condition {
    /// Up, with nothing known against it.
    fn default() -> Self {
        Self { up: true, suspect: false, lagging: false, draining: false }
    }
}
