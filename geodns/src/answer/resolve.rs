//! Looking a question up: RFC 1034 §4.3.2 and what came after it.

use std::net::IpAddr;

use super::chain::{At, Chain, Hop, Known};
use super::client::Client;
use crate::dns::name;
use crate::dns::query::Query;
use crate::dns::rcode::Rcode;
use crate::dns::record::{RecordSet, RecordType};
use crate::dns::reply::{Full, Reply, Section};
use crate::fleet::Selection;
use crate::snapshot::Snapshot;
use crate::zone::Zone;

/// What a look-up came to, besides the records.
pub(super) struct Resolved<'a> {
    pub(super) rcode: Rcode,
    /// The zone of the name that was asked for.
    pub(super) zone: Option<usize>,
    /// The edges that were named.
    pub(super) selection: Option<Selection>,
    /// For how many bits of the client subnet the answer holds.
    pub(super) scope: u8,
    /// The wildcard or zone that stands for the name; `None`: it stands for itself.
    pub(super) about: Option<&'a [u8]>,
}

impl Resolved<'_> {
    pub(super) fn nothing() -> Self {
        Self { rcode: Rcode::NOERROR, zone: None, selection: None, scope: 0, about: None }
    }
}

/// Writes the records that answer `query` into `reply`.
///
/// 1. Only class IN, only zones served here, no transfers: else REFUSED, without a word of who would know.
/// 2. Below a zone cut: a referral, with the glue it needs (RFC 9471). The parent answers for DS (RFC 4035 §3.1.4.1).
/// 3. No such name: NXDOMAIN, unless something is below it (RFC 8020), with the SOA (RFC 2308 §3).
/// 4. An alias is followed as long as it stays in zones served here.
/// 5. The records of the type; ANY gets one that says no (RFC 8482).
/// 6. Addresses of a site's name: the edges nearest to the client.
/// 7. Nothing of that type: no error, no records, and the SOA.
pub(super) fn resolve<'n, 'v: 'n>(
    query: &'n Query<'_>,
    peer: IpAddr,
    snapshot: &'v Snapshot,
    reply: &mut Reply<'_, 'n>,
    resolved: &mut Resolved<'v>,
) -> Result<(), Full> {
    let record_type = query.record_type;
    let refused = !query.is_internet() || record_type.is_meta() && record_type != RecordType::ANY;
    for (hop, Hop { owner, known }) in Chain::new(snapshot, query.name, record_type).enumerate() {
        let Some((zone, known)) = known.filter(|_| !refused) else {
            if hop == 0 {
                resolved.rcode = Rcode::REFUSED;
                resolved.about = Some(b"");
            }
            return Ok(());
        };
        if hop == 0 {
            resolved.zone = Some(zone.index);
        }
        let at = match known {
            Known::Delegated { cut, servers } => {
                resolved.about.get_or_insert(cut);
                if hop > 0 {
                    reply.set_authoritative();
                }
                return refer(zone, cut, servers, reply);
            }
            // It may be a site's name for all we know: what is said instead would be believed for minutes.
            ref known if !snapshot.fleet_is_known && is_doubtful(known, record_type) => {
                resolved.rcode = Rcode::SERVFAIL;
                resolved.about = Some(zone.apex.wire());
                return Ok(());
            }
            Known::Missing => {
                reply.set_authoritative();
                resolved.rcode = Rcode::NXDOMAIN;
                resolved.about = Some(zone.apex.wire());
                return deny(zone, reply);
            }
            Known::Node { at, wildcard, .. } => {
                if let (0, Some(wildcard)) = (hop, wildcard) {
                    resolved.about = Some(wildcard);
                }
                at
            }
        };
        reply.set_authoritative();
        match at {
            At::Records(set) => return reply.add_set(Section::Answer, owner, set),
            At::Fleet(region_set, family) => {
                let client = Client::of(query.edns.as_ref(), peer, &snapshot.locator);
                let selection = snapshot.fleet.choose(region_set, family, &client.location);
                if selection.edges().is_empty() {
                    // Edges come back sooner than zones change.
                    return deny_for(zone, zone.negative_ttl.min(selection.ttl()), reply);
                }
                reply.add_addresses(owner, selection.ttl(), selection.edges().iter().map(|named| named.address))?;
                resolved.scope = client.scope();
                resolved.selection = Some(selection);
                return Ok(());
            }
            At::Alias(set) => reply.add_alias(owner, set.ttl, &set.data[0])?,
            At::Nothing => return deny(zone, reply),
        }
    }
    // Aliases that come to no end: the resolver has been told what there is of them.
    Ok(())
}

/// Whether a site could be where a zone file has nothing of the kind, or a wildcard for all names.
fn is_doubtful(known: &Known<'_>, record_type: RecordType) -> bool {
    match known {
        Known::Delegated { .. } => false,
        Known::Missing => true,
        Known::Node { at: At::Nothing, .. } => {
            matches!(record_type, RecordType::A | RecordType::AAAA | RecordType::ANY)
        }
        Known::Node { wildcard, .. } => wildcard.is_some(),
    }
}

/// Nothing there: the SOA says for how long that may be believed.
fn deny<'n, 'v: 'n>(zone: &'v Zone, reply: &mut Reply<'_, 'n>) -> Result<(), Full> {
    deny_for(zone, zone.negative_ttl, reply)
}

fn deny_for<'n, 'v: 'n>(zone: &'v Zone, ttl: u32, reply: &mut Reply<'_, 'n>) -> Result<(), Full> {
    reply.add_set_for(Section::Authority, zone.apex.wire(), &zone.soa, ttl)
}

/// Somebody else knows: who, and where they are if their names are below the cut.
fn refer<'n, 'v: 'n>(
    zone: &'v Zone,
    cut: &'v [u8],
    servers: &'v RecordSet,
    reply: &mut Reply<'_, 'n>,
) -> Result<(), Full> {
    reply.add_set(Section::Authority, cut, servers)?;
    for server in &servers.data {
        let Some(node) = zone.node(server).filter(|_| !server.is_empty()) else { continue };
        for record_type in [RecordType::A, RecordType::AAAA] {
            let Some(set) = node.set(record_type) else { continue };
            let added = reply.add_set(Section::Additional, server, set);
            // Without the addresses of servers below the cut the referral leads nowhere; others can be looked up.
            if name::ancestors(server).any(|above| above == cut) {
                added?;
            }
        }
    }
    Ok(())
}
