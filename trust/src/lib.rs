//! How clients of an origin verify it over TLS: by the name in its certificate, or by the pin of its key.
//!
//! By name is what TLS clients do without this crate. [`pinned`] has the settings of one that verifies by pin, and
//! [`TrustError`] tells why a connection failed, whichever it was.

mod error;
mod pinned;

pub use error::{PinMismatch, TrustError, causes};
pub use pinned::pinned;
