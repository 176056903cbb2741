//! The commands as they are typed, against an origin that speaks the contract and misbehaves on demand.

#[cfg(test)]
mod explain;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod network;
#[cfg(test)]
#[cfg(all(unix, feature = "up"))]
mod operating;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod process;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod push;
#[cfg(test)]
mod rollback;
#[cfg(test)]
#[cfg(all(unix, feature = "up"))]
mod up;
#[cfg(test)]
mod world;
