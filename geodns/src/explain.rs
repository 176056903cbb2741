//! `GET /explain`: which edges a client gets, and why, from the same functions that answer queries.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::watch;
use verge_protocol::NameServerName;
use verge_protocol::api::ErrorBody;
use verge_protocol::explanation::{
    self, AddressProbe, ExplainedName, Explanation, FamilyAnswer, LookupStep, ProbeResult, RankedEdge,
};

use crate::answer::{ChainStep, CnameChain, NodeData, ZoneAnswer};
use crate::dns::name::Name;
use crate::dns::record::RecordType;
use crate::fleet::{self, RegionSetId};
use crate::geo::{ClientLocation, Family, GeoVector, LocationSource, is_private};
use crate::health::{AddressHealth, HealthTable};
use crate::snapshot::Snapshot;

/// What explanations are made from.
#[derive(Clone)]
pub(crate) struct Explanations {
    pub(crate) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    pub(crate) name_server: NameServerName,
}

/// `?address=192.0.2.1&name=demo.example.com`
#[derive(Deserialize)]
struct Parameters {
    address: String,
    name: Option<String>,
}

type Rejection = (StatusCode, Json<ErrorBody>);

/// `GET /explain`
pub(crate) fn router(explanations: Explanations) -> Router {
    Router::new().route("/explain", get(explain)).with_state(explanations)
}

async fn explain(
    State(explanations): State<Explanations>,
    Query(Parameters { address, name }): Query<Parameters>,
) -> Result<Json<Explanation>, Rejection> {
    let address: IpAddr = address.parse().map_err(|_| reject(format!("invalid address `{address}`")))?;
    let name = name.as_deref().map(Name::parse).transpose().map_err(|error| reject(error.to_string()))?;
    Ok(Json(explanations.explain(address.to_canonical(), name.as_ref())))
}

fn reject(message: String) -> Rejection {
    let hint = Some("request /explain?address=192.0.2.1&name=demo.example.com".to_owned());
    (StatusCode::BAD_REQUEST, Json(ErrorBody { code: "invalid_query".to_owned(), message, hint }))
}

impl Explanations {
    fn explain(&self, address: IpAddr, name: Option<&Name>) -> Explanation {
        let snapshot = self.snapshots.load();
        let location = snapshot.locator.locate(address);
        let (lookup, regions) = name.map(|name| lookup(&snapshot, name)).unzip();
        let regions = regions.flatten().unwrap_or(RegionSetId::UNRESTRICTED);
        let [a, aaaa] = Family::BOTH.map(|family| self.family(&snapshot, regions, family, &location));
        Explanation {
            name_server: self.name_server.clone(),
            address,
            client: client(&snapshot, address, &location),
            name: name.zip(lookup).map(|(name, lookup)| ExplainedName { name: name.to_string(), lookup }),
            isolated: self.health.borrow().isolated,
            a,
            aaaa,
        }
    }

    fn family(&self, snapshot: &Snapshot, regions: RegionSetId, family: Family, from: &ClientLocation) -> FamilyAnswer {
        let health = self.health.borrow();
        let ranking = snapshot.fleet.rank(regions, family, from);
        let edges = ranking.into_iter().map(|ranked| edge(&health, family, ranked)).collect();
        FamilyAnswer { ttl: snapshot.fleet.choose(regions, family, from).ttl(), edges }
    }
}

fn client(snapshot: &Snapshot, address: IpAddr, location: &ClientLocation) -> explanation::ClientLocation {
    let source = match (location.source, snapshot.locator.database()) {
        (LocationSource::Override, _) => explanation::LocationSource::Override,
        (LocationSource::Database, Some(database)) => {
            explanation::LocationSource::Database { database_type: database.about().database_type.clone() }
        }
        (LocationSource::Database | LocationSource::NotFound, _) => explanation::LocationSource::NotFound,
    };
    explanation::ClientLocation {
        source,
        location: location.point.map(GeoVector::location),
        network: location.network.to_string(),
        private: location.source != LocationSource::Override && is_private(address),
    }
}

/// Whether edges answer for a name, also by way of aliases.
pub(crate) fn is_answered_by_fleet(snapshot: &Snapshot, name: &Name) -> bool {
    lookup(snapshot, name).1.is_some()
}

/// The steps of the lookup of a name, and the region set of the site if edges answer for it.
fn lookup(snapshot: &Snapshot, name: &Name) -> (Vec<LookupStep>, Option<RegionSetId>) {
    let mut steps = Vec::new();
    // A lookup of addresses follows every alias and leads to the fleet.
    for ChainStep { found, .. } in CnameChain::new(snapshot, name.wire(), RecordType::A) {
        let Some((zone, answer)) = found else {
            steps.push(LookupStep::NotAuthoritative);
            return (steps, None);
        };
        let zone = zone.apex.to_string();
        let mut region_set = None;
        steps.push(match answer {
            ZoneAnswer::NxDomain if !snapshot.fleet_is_known => LookupStep::NotYetKnown { zone },
            ZoneAnswer::NxDomain => LookupStep::NoSuchName { zone },
            ZoneAnswer::Delegation { .. } => LookupStep::Delegated { zone },
            ZoneAnswer::Node { data: NodeData::Fleet(id, _), .. } => {
                region_set = Some(id);
                LookupStep::Fleet { zone, regions: snapshot.fleet.regions(id) }
            }
            ZoneAnswer::Node { data: NodeData::Cname(set), .. } => {
                steps.push(LookupStep::Alias { zone, target: Name::from_canonical(&set.data[0]).to_string() });
                continue;
            }
            ZoneAnswer::Node { node, .. } if node.sets.is_empty() => LookupStep::EmptyNonTerminal { zone },
            ZoneAnswer::Node { .. } => LookupStep::ZoneFileRecords { zone },
        });
        return (steps, region_set);
    }
    steps.push(LookupStep::TooManyAliases);
    (steps, None)
}

fn edge(health: &HealthTable, family: Family, ranked: fleet::RankedEdge) -> RankedEdge {
    let addresses =
        health.addresses().filter(|(edge, address, _)| **edge == ranked.edge && Family::of(*address) == family);
    RankedEdge {
        address: ranked.address,
        distance_km: ranked.distance_km.map(f64::round),
        eligibility: ranked.eligibility,
        probes: addresses.map(|(_, address, health)| probe(address, health)).collect(),
        edge: ranked.edge,
    }
}

fn probe(address: IpAddr, health: &AddressHealth) -> AddressProbe {
    let last = match (&health.failure, health.latency) {
        (Some(failure), _) => ProbeResult::Failed { failure: failure.clone() },
        (None, Some(latency)) => {
            ProbeResult::Succeeded { latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX) }
        }
        (None, None) => ProbeResult::NotProbed,
    };
    AddressProbe { address, up: health.condition.up, last }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support;

    #[test]
    fn missing_name_is_not_yet_known_until_the_fleet_is_known() {
        let name = Name::parse("nowhere.example.com").unwrap();
        let known = test_support::snapshot();
        let unknown = Snapshot { fleet_is_known: false, ..known.clone() };
        let zone = || "example.com.".to_owned();
        assert_eq!(lookup(&known, &name), (vec![LookupStep::NoSuchName { zone: zone() }], None));
        assert_eq!(lookup(&unknown, &name), (vec![LookupStep::NotYetKnown { zone: zone() }], None));
    }
}
