#![allow(dead_code, reason = "being built")]
//! Verge's name server: authoritative for the operator's zones, in which the names of sites lead each reader to the nearest edge
//! that is healthy and up to date.

mod dns;
