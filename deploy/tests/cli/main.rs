//! Tests of the commands, against a fake origin that can be made to misbehave, and against a real one.

#[cfg(test)]
mod check;
#[cfg(test)]
mod dir_problems;
#[cfg(test)]
#[cfg(all(unix, feature = "up"))]
mod domain_faults;
#[cfg(test)]
mod erasures;
#[cfg(test)]
mod exit_codes;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod linking;
#[cfg(test)]
mod listing;
#[cfg(test)]
#[cfg(all(unix, feature = "up"))]
mod login;
#[cfg(test)]
mod network;
#[cfg(test)]
#[cfg(all(unix, feature = "up"))]
mod operating;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod previews;
#[cfg(test)]
mod purges;
#[cfg(test)]
mod push;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod rollback;
#[cfg(test)]
mod rollouts;
#[cfg(test)]
mod unchanged;
#[cfg(test)]
#[cfg(all(unix, feature = "up"))]
mod up;
#[cfg(test)]
mod world;
