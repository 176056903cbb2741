//! DNS as it goes over the wire. hickory's types stay in here.

pub(crate) mod name;
pub(crate) mod record;
