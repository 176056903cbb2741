//! The DNS protocol: names, records, queries and responses in wire format, and their transports.

pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod query;
pub(crate) mod rate_limiter;
pub(crate) mod record;
pub(crate) mod response;
pub(crate) mod sockets;
pub(crate) mod tcp;
pub(crate) mod transport;
pub(crate) mod udp;
