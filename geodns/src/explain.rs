//! Why a client is led where it is: the same functions as on the way of a question, told in words.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::watch;
use verge_protocol::NodeName;
use verge_protocol::api::ErrorBody;
use verge_protocol::explanation::{ExplainedName, Explanation, FamilyAnswer, Located, RankedEdge};

use crate::dns::name::Name;
use crate::dns::record::RecordType;
use crate::fleet::{Family, FenceId, Ranked};
use crate::follow::Told;
use crate::health::{AddressHealth, HealthTable};
use crate::place::{Locality, Point, Source, is_private};
use crate::view::View;
use crate::zone::Found;

/// What explanations are made of.
#[derive(Clone)]
pub(crate) struct Explanations {
    pub(crate) views: Arc<ArcSwap<View>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    pub(crate) told: watch::Receiver<Arc<Told>>,
    pub(crate) node: NodeName,
}

/// `?address=192.0.2.1&name=demo.example.com`
#[derive(Deserialize)]
struct Question {
    address: String,
    name: Option<String>,
}

type Refusal = (StatusCode, Json<ErrorBody>);

/// `GET /explain`
pub(crate) fn router(explanations: Explanations) -> Router {
    Router::new().route("/explain", get(explain)).with_state(explanations)
}

async fn explain(
    State(explanations): State<Explanations>,
    Query(question): Query<Question>,
) -> Result<Json<Explanation>, Refusal> {
    let address: IpAddr =
        question.address.parse().map_err(|_| refuse(format!("`{}` is not an address", question.address)))?;
    let name = question.name.as_deref().map(Name::parse).transpose().map_err(|error| refuse(error.to_string()))?;
    Ok(Json(explanations.explain(address.to_canonical(), name.as_ref())))
}

fn refuse(message: String) -> Refusal {
    let hint = Some("ask for /explain?address=192.0.2.1&name=demo.example.com".to_owned());
    (StatusCode::BAD_REQUEST, Json(ErrorBody { code: "bad_question".to_owned(), message, hint }))
}

impl Explanations {
    fn explain(&self, address: IpAddr, name: Option<&Name>) -> Explanation {
        let view = self.views.load();
        let locality = view.atlas.locate(address);
        let (fence, name) = name.map_or((FenceId::NONE, None), |name| self.explain_name(&view, name));
        let [a, aaaa] = [Family::V4, Family::V6].map(|family| self.family(&view, fence, family, &locality));
        Explanation {
            node: self.node.clone(),
            address,
            located: locate(&view, address, &locality),
            name,
            isolated: self.health.borrow().isolated,
            a,
            aaaa,
        }
    }

    fn explain_name(&self, view: &View, name: &Name) -> (FenceId, Option<ExplainedName>) {
        let (found, fence) = found(view, name);
        let fences = self.told.borrow().fences();
        let regions = fence.and_then(|fence| fences.get(usize::from(fence.0)).cloned()).unwrap_or_default();
        let explained = ExplainedName { name: name.to_string(), found, fleet: fence.is_some(), fence: regions };
        (fence.unwrap_or(FenceId::NONE), Some(explained))
    }

    fn family(&self, view: &View, fence: FenceId, family: Family, from: &Locality) -> FamilyAnswer {
        let health = self.health.borrow();
        let ranked = view.fleet.explain(fence, family, from);
        let edges = ranked.into_iter().map(|ranked| rank(&health, family, ranked)).collect();
        FamilyAnswer { ttl: view.fleet.choose(fence, family, from).ttl(), edges }
    }
}

fn locate(view: &View, address: IpAddr, locality: &Locality) -> Located {
    let by = match locality.source {
        Source::Override => "override",
        Source::Database => "database",
        Source::Nowhere => "nowhere",
    };
    Located {
        by: by.to_owned(),
        place: locality.place.map(Point::place),
        network: locality.network.to_string(),
        database: view.atlas.database().map(|database| database.about().database_type.clone()),
        private: locality.source != Source::Override && is_private(address),
    }
}

/// What is at a name, in words, and the fence of its site if edges answer for it.
fn found(view: &View, name: &Name) -> (String, Option<FenceId>) {
    let Some(zone) = view.catalogue.zone(name.wire()) else {
        return ("in none of the zones served here: refused".to_owned(), None);
    };
    let zone_name = &zone.apex;
    match zone.find(name.wire()) {
        Found::Missing { .. } => (format!("no such name in {zone_name}"), None),
        Found::Delegated { .. } => (format!("delegated by {zone_name} to other name servers"), None),
        Found::Node { node, .. } if node.fleet.is_some() => (format!("a site's name in {zone_name}"), node.fleet),
        Found::Node { node, .. } if node.set(RecordType::CNAME).is_some() => (format!("an alias in {zone_name}"), None),
        Found::Node { node, .. } if node.sets.is_empty() => (format!("no records of its own in {zone_name}"), None),
        Found::Node { .. } => (format!("records that the zone file of {zone_name} has"), None),
    }
}

fn rank(health: &HealthTable, family: Family, ranked: Ranked) -> RankedEdge {
    let addresses =
        health.addresses().filter(|(edge, address, _)| **edge == ranked.edge && Family::of(*address) == family);
    RankedEdge {
        address: ranked.named,
        distance_km: ranked.distance_km.map(f64::round),
        verdict: ranked.verdict(),
        probes: addresses.map(|(_, address, health)| probed(address, health)).collect(),
        edge: ranked.edge,
    }
}

fn probed(address: IpAddr, health: &AddressHealth) -> String {
    let state = if health.condition.up { "up" } else { "down" };
    match (&health.failure, health.took) {
        (Some(failure), _) => format!("{address} {state}: the last probe failed: {failure}"),
        (None, Some(took)) => format!("{address} {state}: answered in {} ms", took.as_millis()),
        (None, None) if health.probed => format!("{address} {state}"),
        (None, None) => format!("{address} {state}: not probed yet"),
    }
}
