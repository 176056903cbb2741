//! Why a client is led where it is: the same functions as on the way of a question, told in words.

use std::fmt::Write as _;
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
use verge_protocol::explanation::{ExplainedName, Explanation, FamilyAnswer, Located, RankedEdge};

use crate::answer::{ChainStep, CnameChain, NodeData, ZoneAnswer};
use crate::dns::name::Name;
use crate::dns::record::RecordType;
use crate::fleet::{Family, FenceId, Ranked};
use crate::health::{AddressHealth, HealthTable};
use crate::place::{Locality, Point, Source, is_private};
use crate::view::View;

/// What explanations are made of.
#[derive(Clone)]
pub(crate) struct Explanations {
    pub(crate) views: Arc<ArcSwap<View>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    pub(crate) node: NameServerName,
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
        let (name, fence) = name.map(|name| explain_name(&view, name)).unzip();
        let fence = fence.flatten().unwrap_or(FenceId::NONE);
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

/// A name, and the fence of its site if edges answer for it.
fn explain_name(view: &View, name: &Name) -> (ExplainedName, Option<FenceId>) {
    let (found, fence) = found(view, name);
    let regions = fence.map(|fence| view.fleet.fence(fence)).unwrap_or_default();
    (ExplainedName { name: name.to_string(), found, fleet: fence.is_some(), fence: regions }, fence)
}

/// What is at a name and at those that it is an alias of, in words, and the fence of the site if edges answer in the end.
fn found(view: &View, name: &Name) -> (String, Option<FenceId>) {
    let mut text = String::new();
    // Of all types this follows every alias, and leads to the fleet.
    for (step, ChainStep { found, .. }) in CnameChain::new(view, name.wire(), RecordType::A).enumerate() {
        let Some((zone, known)) = found else {
            let then = if step == 0 { "refused" } else { "resolvers go on by themselves" };
            return (format!("{text}in none of the zones served here: {then}"), None);
        };
        let zone = plain(&zone.apex);
        let end = match known {
            ZoneAnswer::NxDomain if !view.told => format!("no name that is known in {zone} yet: no origin was heard"),
            ZoneAnswer::NxDomain => format!("no such name in {zone}"),
            ZoneAnswer::Delegation { .. } => format!("delegated by {zone} to other name servers"),
            ZoneAnswer::Node { data: NodeData::Fleet(fence, _), .. } => {
                return (format!("{text}a site's name in {zone}"), Some(fence));
            }
            ZoneAnswer::Node { data: NodeData::Cname(set), .. } => {
                let _ = write!(text, "an alias in {zone} of {}: ", plain(&Name::from_canonical(&set.data[0])));
                continue;
            }
            ZoneAnswer::Node { node, .. } if node.sets.is_empty() => format!("no records of its own in {zone}"),
            ZoneAnswer::Node { .. } => format!("records that the zone file of {zone} has"),
        };
        return (text + &end, None);
    }
    (text + "aliases that come to no end", None)
}

/// A name without the last dot, which reads like the end of a sentence.
fn plain(name: &Name) -> String {
    match name.to_string() {
        root if root == "." => root,
        mut name => {
            name.truncate(name.trim_end_matches('.').len());
            name
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn nothing_is_denied_before_an_origin_was_heard() {
        let name = Name::parse("nowhere.example.com").unwrap();
        let heard = testing::view();
        let unheard = View { told: false, ..heard.clone() };
        assert_eq!(found(&heard, &name), ("no such name in example.com".to_owned(), None));
        let unknown = "no name that is known in example.com yet: no origin was heard";
        assert_eq!(found(&unheard, &name), (unknown.to_owned(), None));
    }
}
