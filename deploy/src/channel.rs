//! The channel that a command updates: named by a flag, by `verge.toml`, or for a preview by the pull request or branch.

pub mod branch;
pub mod ci;
pub mod lifetime;
pub mod preview;

pub use self::branch::ChannelArg;
pub use self::ci::CiVariables;
pub use self::lifetime::Lifetime;
pub use self::preview::{Preview, PreviewError};
