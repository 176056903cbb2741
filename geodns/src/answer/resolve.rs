//! Resolves a query against the zones and the fleet (RFC 1034 §4.3.2 and its successors).

use std::net::IpAddr;

use super::client::Client;
use super::cname_chain::{ChainStep, CnameChain, NodeData, ZoneAnswer};
use crate::dns::message::Rcode;
use crate::dns::name;
use crate::dns::query::Query;
use crate::dns::record::{RecordSet, RecordType};
use crate::dns::response::{Full, ResponseWriter, Section};
use crate::fleet::Selection;
use crate::snapshot::Snapshot;
use crate::zone::Zone;

/// The result of resolving a query, besides the records.
pub(super) struct Resolved<'a> {
    pub(super) rcode: Rcode,
    /// The index of the zone of QNAME.
    pub(super) zone: Option<usize>,
    /// The edges in the answer.
    pub(super) selection: Option<Selection>,
    /// For how many bits of the client subnet the answer is valid.
    pub(super) scope: u8,
    /// The wildcard or zone that stands for QNAME in rate limiting; `None`: QNAME itself.
    pub(super) rate_limit_key: Option<&'a [u8]>,
}

impl Resolved<'_> {
    pub(super) fn empty() -> Self {
        Self { rcode: Rcode::NOERROR, zone: None, selection: None, scope: 0, rate_limit_key: None }
    }
}

/// Writes the records that answer `query` into `response`.
///
/// 1. Other classes than IN, names outside the zones served here, and transfers get REFUSED, without a referral.
/// 2. At or below a zone cut: a referral, with the glue it needs (RFC 9471). The parent answers for DS (RFC 4035 §3.1.4.1).
/// 3. The name does not exist, nor any below it (RFC 8020): NXDOMAIN, with the SOA (RFC 2308 §3).
/// 4. CNAME: the record is added, and its target is looked up if it is in a zone served here.
/// 5. The records of the type; for ANY one record in place of all (RFC 8482).
/// 6. A or AAAA of a site's name: the addresses of the edges nearest to the client.
/// 7. No records of the type: NODATA, with the SOA (RFC 2308 §2.2).
pub(super) fn resolve<'n, 'v: 'n>(
    query: &'n Query<'_>,
    peer: IpAddr,
    snapshot: &'v Snapshot,
    response: &mut ResponseWriter<'_, 'n>,
    resolved: &mut Resolved<'v>,
) -> Result<(), Full> {
    let record_type = query.record_type;
    let refused = !query.is_internet() || record_type.is_meta() && record_type != RecordType::ANY;
    for (step, ChainStep { owner, found }) in CnameChain::new(snapshot, query.name, record_type).enumerate() {
        let Some((zone, answer)) = found.filter(|_| !refused) else {
            if step == 0 {
                resolved.rcode = Rcode::REFUSED;
                resolved.rate_limit_key = Some(b"");
            }
            return Ok(());
        };
        if step == 0 {
            resolved.zone = Some(zone.index);
        }
        let data = match answer {
            ZoneAnswer::Delegation { cut, servers } => {
                resolved.rate_limit_key.get_or_insert(cut);
                if step > 0 {
                    response.set_authoritative();
                }
                return add_referral(zone, cut, servers, response);
            }
            // Until the names of sites are known, this may be one. A negative answer would be cached for minutes.
            ref answer if !snapshot.fleet_is_known && may_be_a_site(answer, record_type) => {
                resolved.rcode = Rcode::SERVFAIL;
                resolved.rate_limit_key = Some(zone.apex.wire());
                return Ok(());
            }
            ZoneAnswer::NxDomain => {
                response.set_authoritative();
                resolved.rcode = Rcode::NXDOMAIN;
                resolved.rate_limit_key = Some(zone.apex.wire());
                return add_soa(zone, response);
            }
            ZoneAnswer::Node { data, wildcard, .. } => {
                if let (0, Some(wildcard)) = (step, wildcard) {
                    resolved.rate_limit_key = Some(wildcard);
                }
                data
            }
        };
        response.set_authoritative();
        match data {
            NodeData::Records(set) => return response.add_set(Section::Answer, owner, set),
            NodeData::Fleet(region_set, family) => {
                let client = Client::of(query.edns.as_ref(), peer, &snapshot.locator);
                let selection = snapshot.fleet.choose(region_set, family, &client.location);
                if selection.edges().is_empty() {
                    // Edges recover sooner than zones change.
                    return add_soa_with_ttl(zone, zone.negative_ttl.min(selection.ttl()), response);
                }
                response.add_addresses(owner, selection.ttl(), selection.edges().iter().map(|edge| edge.address))?;
                resolved.scope = client.scope();
                resolved.selection = Some(selection);
                return Ok(());
            }
            NodeData::Cname(set) => response.add_cname(owner, set.ttl, &set.data[0])?,
            NodeData::NoData => return add_soa(zone, response),
        }
    }
    // A loop of aliases, or a chain that is too long: the response has its records.
    Ok(())
}

/// Whether the name could be that of a site: the zone file has neither it nor its addresses, or only a wildcard.
fn may_be_a_site(answer: &ZoneAnswer<'_>, record_type: RecordType) -> bool {
    match answer {
        ZoneAnswer::Delegation { .. } => false,
        ZoneAnswer::NxDomain => true,
        ZoneAnswer::Node { data: NodeData::NoData, .. } => {
            matches!(record_type, RecordType::A | RecordType::AAAA | RecordType::ANY)
        }
        ZoneAnswer::Node { wildcard, .. } => wildcard.is_some(),
    }
}

/// Adds the SOA record of a negative answer, whose TTL is how long the answer may be cached (RFC 2308 §5).
fn add_soa<'n, 'v: 'n>(zone: &'v Zone, response: &mut ResponseWriter<'_, 'n>) -> Result<(), Full> {
    add_soa_with_ttl(zone, zone.negative_ttl, response)
}

fn add_soa_with_ttl<'n, 'v: 'n>(zone: &'v Zone, ttl: u32, response: &mut ResponseWriter<'_, 'n>) -> Result<(), Full> {
    response.add_set_with_ttl(Section::Authority, zone.apex.wire(), &zone.soa, ttl)
}

/// Adds a referral: the name servers of a delegation, and the addresses of those whose names are in the zone.
fn add_referral<'n, 'v: 'n>(
    zone: &'v Zone,
    cut: &'v [u8],
    servers: &'v RecordSet,
    response: &mut ResponseWriter<'_, 'n>,
) -> Result<(), Full> {
    response.add_set(Section::Authority, cut, servers)?;
    for server in &servers.data {
        let Some(node) = zone.node(server).filter(|_| !server.is_empty()) else { continue };
        for record_type in [RecordType::A, RecordType::AAAA] {
            let Some(set) = node.set(record_type) else { continue };
            let added = response.add_set(Section::Additional, server, set);
            // Servers below the cut cannot be reached without their glue; the addresses of others can be looked up.
            if name::ancestors(server).any(|above| above == cut) {
                added?;
            }
        }
    }
    Ok(())
}
