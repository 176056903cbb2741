//! DNS as it goes over the wire. hickory's types stay in here.

pub(crate) mod limit;
pub(crate) mod name;
pub(crate) mod query;
pub(crate) mod rcode;
pub(crate) mod rdata;
pub(crate) mod record;
pub(crate) mod reply;
pub(crate) mod tcp;
pub(crate) mod transport;
pub(crate) mod udp;
