//! The CAA records (RFC 8659) of names that are answered from the fleet.

use std::collections::BTreeSet;

use crate::dns::record::{RecordSet, RecordType};

/// The TTL of the records, in seconds: another authority may be configured at any time.
const TTL: u32 = 300;

/// One record for each issuer, which may issue wildcards too.
pub(crate) fn records(issuers: &BTreeSet<String>) -> RecordSet {
    const FLAGS_AND_TAG: &[u8] = b"\x00\x05issue";
    let data = issuers.iter().map(|issuer| [FLAGS_AND_TAG, issuer.as_bytes()].concat().into_boxed_slice());
    RecordSet { record_type: RecordType::CAA, ttl: TTL, data: data.collect() }
}
