//! Looking a question up: RFC 1034 §4.3.2 and what came after it.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::client::Client;
use crate::dns::name;
use crate::dns::query::Query;
use crate::dns::record::{RecordSet, RecordType};
use crate::dns::reply::{Full, Rcode, Reply, Section};
use crate::fleet::{Family, FenceId, Picked};
use crate::view::View;
use crate::zone::{Found, Node, Zone};

/// What a look-up came to, besides the records.
pub(super) struct Resolved<'a> {
    pub(super) rcode: Rcode,
    /// The zone of the name that was asked for.
    pub(super) zone: Option<usize>,
    /// The edges that were named.
    pub(super) picked: Option<Picked>,
    /// For how many bits of the client subnet the answer holds.
    pub(super) scope: u8,
    /// The wildcard or zone that stands for the name; `None`: it stands for itself.
    pub(super) about: Option<&'a [u8]>,
}

impl Resolved<'_> {
    pub(super) fn nothing() -> Self {
        Self { rcode: Rcode::NOERROR, zone: None, picked: None, scope: 0, about: None }
    }
}

/// The longest chain of aliases that is followed.
const ALIASES: usize = 8;

/// Stands for all there is at a name that somebody asks everything of (RFC 8482 §4.2).
static REFUSES_ANY: LazyLock<RecordSet> = LazyLock::new(|| RecordSet {
    record_type: RecordType::HINFO,
    ttl: 3600,
    data: vec![Box::from(&b"\x07RFC8482\0"[..])],
});

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
    view: &'v View,
    reply: &mut Reply<'_, 'n>,
    resolved: &mut Resolved<'v>,
) -> Result<(), Full> {
    let record_type = query.record_type;
    let refused = !query.is_internet() || record_type.is_meta() && record_type != RecordType::ANY;
    let mut owner: &'n [u8] = query.name;
    let mut passed = [&b""[..]; ALIASES + 1];
    for hop in 0..=ALIASES {
        if passed[..hop].contains(&owner) {
            // A loop: the resolver has been told all of it.
            return Ok(());
        }
        passed[hop] = owner;
        let zone = zone_of(view, owner, record_type).filter(|_| !refused);
        let Some(zone) = zone else {
            if hop == 0 {
                resolved.rcode = Rcode::REFUSED;
                resolved.about = Some(b"");
            }
            return Ok(());
        };
        if hop == 0 {
            resolved.zone = Some(zone.index);
        }
        let node = match zone.find(owner) {
            Found::Delegated { cut, node, .. } if record_type == RecordType::DS && cut == owner => node,
            Found::Delegated { cut, servers, .. } => {
                resolved.about.get_or_insert(cut);
                if hop > 0 {
                    reply.set_authoritative();
                }
                return refer(zone, cut, servers, reply);
            }
            // It may be a site's name for all we know: a denial would be believed for minutes.
            Found::Missing { .. } if !view.told => {
                resolved.rcode = Rcode::SERVFAIL;
                return Ok(());
            }
            Found::Missing { .. } => {
                reply.set_authoritative();
                resolved.rcode = Rcode::NXDOMAIN;
                resolved.about = Some(zone.apex.wire());
                return deny(zone, reply);
            }
            Found::Node { node, wildcard } => {
                if let (0, Some(wildcard)) = (hop, wildcard) {
                    resolved.about = Some(wildcard);
                }
                node
            }
        };
        reply.set_authoritative();
        match answer_at(node, record_type) {
            At::Records(set) => return reply.add_set(Section::Answer, owner, set),
            At::Fleet(fence, family) => {
                let client = Client::of(query.edns.as_ref(), peer, &view.atlas);
                let picked = view.fleet.choose(fence, family, &client.locality);
                if picked.named().is_empty() {
                    return deny(zone, reply);
                }
                reply.add_addresses(owner, picked.ttl(), picked.named().iter().map(|named| named.address))?;
                resolved.scope = client.scope();
                resolved.picked = Some(picked);
                return Ok(());
            }
            At::Alias(set) => {
                let target = &set.data[0];
                reply.add_alias(owner, set.ttl, target)?;
                if record_type == RecordType::ANY {
                    return Ok(());
                }
                owner = target;
            }
            At::Nothing => return deny(zone, reply),
        }
    }
    // A chain that long is as good as a loop: the resolver sees what there is of it.
    Ok(())
}

/// The zone that answers for a name.
fn zone_of<'v>(view: &'v View, owner: &[u8], record_type: RecordType) -> Option<&'v Zone> {
    let zone = view.catalogue.zone(owner)?;
    if record_type == RecordType::DS && zone.apex.wire() == owner {
        // What says that a zone is signed stands in the zone above it, if that is served here too.
        return Some(view.catalogue.zone_above(owner).unwrap_or(zone));
    }
    Some(zone)
}

/// What a node has for a question.
enum At<'a> {
    Records(&'a RecordSet),
    Alias(&'a RecordSet),
    Fleet(FenceId, Family),
    Nothing,
}

fn answer_at(node: Node<'_>, record_type: RecordType) -> At<'_> {
    if let Some(set) = node.set(record_type) {
        return At::Records(set);
    }
    if let Some(set) = node.set(RecordType::CNAME) {
        return At::Alias(set);
    }
    match (node.fleet, record_type) {
        (Some(fence), RecordType::A) => At::Fleet(fence, Family::V4),
        (Some(fence), RecordType::AAAA) => At::Fleet(fence, Family::V6),
        (fleet, RecordType::ANY) if fleet.is_some() || !node.sets.is_empty() => At::Records(&REFUSES_ANY),
        _ => At::Nothing,
    }
}

/// Nothing there: the SOA says for how long that may be believed.
fn deny<'n, 'v: 'n>(zone: &'v Zone, reply: &mut Reply<'_, 'n>) -> Result<(), Full> {
    reply.add_set_for(Section::Authority, zone.apex.wire(), &zone.soa, zone.negative_ttl)
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
