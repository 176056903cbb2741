//! Settings of edges: how readers are sent to each, as the operator configures it.

use std::net::IpAddr;

use verge_protocol::EdgeName;
use verge_protocol::api::EdgeSettings;
use verge_protocol::fleet::{EdgeState, Force};

use crate::edge_reports::EdgeReports;
use crate::feed::Feed;
use crate::store::{Database, EdgeStates, StoreError};

/// The most addresses, and the most regions, of an edge.
const LIST_MAX: usize = 16;

const WEIGHT_MAX: u16 = 1000;

/// Why the settings of an edge were not changed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error("invalid weight {0}: expected 1 to {WEIGHT_MAX}")]
    Weight(u16),
    #[error("invalid port 0: expected 1 to 65535")]
    Port,
    #[error("{count} {things}: an edge can have at most {LIST_MAX}")]
    TooMany { count: usize, things: &'static str },
    #[error("address {0} is given twice")]
    DuplicateAddress(IpAddr),
    #[error("readers cannot reach an edge at {0}")]
    UnreachableAddress(IpAddr),
    #[error("address {address} belongs to edge {other}")]
    AddressTaken { address: IpAddr, other: EdgeName },
    #[error("edge {0} is not configured")]
    NotConfigured(EdgeName),
    #[error("there is no edge `{0}`")]
    Unknown(EdgeName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Configures an edge, replacing its earlier settings except a forced state.
pub(crate) async fn configure(
    database: &Database,
    feed: &Feed,
    name: EdgeName,
    settings: EdgeSettings,
) -> Result<EdgeState, EdgeError> {
    let database = database.clone();
    feed.write(async move {
        let (state, written) = database.set_edge(&name, |edges| configured(&name, settings, edges)).await?;
        if written {
            tracing::info!(edge = %name, addresses = ?state.addresses, weight = state.weight, "edge configured");
        }
        Ok(state)
    })
    .await
}

/// Forces the state of a configured edge, whatever its probes report, or lets the probes decide again.
pub(crate) async fn force(
    database: &Database,
    feed: &Feed,
    name: EdgeName,
    force: Force,
) -> Result<EdgeState, EdgeError> {
    let database = database.clone();
    feed.write(async move {
        let forced = |edges: &EdgeStates| {
            let state = edges.get(&name).ok_or_else(|| EdgeError::NotConfigured(name.clone()))?;
            Ok::<_, EdgeError>(EdgeState { force, ..state.clone() })
        };
        let (state, written) = database.set_edge(&name, forced).await?;
        if written {
            tracing::info!(edge = %name, ?force, "edge state forced");
        }
        Ok(state)
    })
    .await
}

/// Removes an edge: readers are sent to it no longer, its token stops working, and its reports are forgotten.
pub(crate) async fn remove(
    database: &Database,
    feed: &Feed,
    reports: &EdgeReports,
    name: EdgeName,
) -> Result<(), EdgeError> {
    let (database, reports) = (database.clone(), reports.clone());
    feed.write(async move {
        let (configured, revoked) = database.remove_edge(&name).await?;
        reports.forget(&name).await;
        if !configured && !revoked {
            return Err(EdgeError::Unknown(name));
        }
        tracing::info!(edge = %name, revoked, "edge removed");
        Ok(())
    })
    .await
}

/// The state of an edge with these settings, given those of all edges.
fn configured(name: &EdgeName, settings: EdgeSettings, edges: &EdgeStates) -> Result<EdgeState, EdgeError> {
    let EdgeSettings { addresses, port, scheme, location, regions, weight } = settings;
    if !(1..=WEIGHT_MAX).contains(&weight) {
        return Err(EdgeError::Weight(weight));
    }
    if port == 0 {
        return Err(EdgeError::Port);
    }
    for (count, things) in [(addresses.len(), "addresses"), (regions.len(), "regions")] {
        if count > LIST_MAX {
            return Err(EdgeError::TooMany { count, things });
        }
    }
    for (index, address) in addresses.iter().enumerate() {
        if !is_reachable(*address) {
            return Err(EdgeError::UnreachableAddress(*address));
        }
        if addresses[..index].contains(address) {
            return Err(EdgeError::DuplicateAddress(*address));
        }
        let owner = edges.iter().find(|(other, state)| *other != name && state.addresses.contains(address));
        if let Some((other, _)) = owner {
            return Err(EdgeError::AddressTaken { address: *address, other: other.clone() });
        }
    }
    let force = edges.get(name).map_or(Force::Auto, |state| state.force);
    Ok(EdgeState { addresses, port, scheme, location, regions, weight, force })
}

/// Whether an A or AAAA record may hold the address. An IPv4-mapped IPv6 address may not: by its IPv4 form it could belong to another
/// edge too.
fn is_reachable(address: IpAddr) -> bool {
    let is_excluded = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    !is_excluded && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(addresses: &[&str]) -> EdgeSettings {
        EdgeSettings {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            port: 80,
            scheme: None,
            location: None,
            regions: ["eu".parse().unwrap()].into(),
            weight: 1,
        }
    }

    fn configured_beside_ams_1(settings: EdgeSettings) -> Result<EdgeState, String> {
        let others = configured(&"ams-1".parse().unwrap(), self::settings(&["192.0.2.9"]), &EdgeStates::new()).unwrap();
        let others = [("ams-1".parse().unwrap(), others)].into();
        configured(&"fra-1".parse().unwrap(), settings, &others).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_that_readers_cannot_reach_is_refused() {
        for bad in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:192.0.2.1"] {
            assert_eq!(
                configured_beside_ams_1(settings(&["192.0.2.1", bad])),
                Err(format!("readers cannot reach an edge at {bad}"))
            );
        }
        assert_eq!(
            configured_beside_ams_1(settings(&["192.0.2.9"])),
            Err("address 192.0.2.9 belongs to edge ams-1".to_owned())
        );
        assert!(configured_beside_ams_1(settings(&["192.0.2.1", "2001:db8::1", "127.0.0.1"])).is_ok());
        assert!(configured_beside_ams_1(settings(&[])).is_ok(), "an edge may have no address");
    }

    #[test]
    fn a_number_outside_its_limits_is_refused() {
        let weighted = |weight| EdgeSettings { weight, ..settings(&[]) };
        assert!(configured_beside_ams_1(weighted(0)).is_err() && configured_beside_ams_1(weighted(1001)).is_err());
        assert_eq!(configured_beside_ams_1(weighted(1000)).unwrap().weight, 1000);
        assert!(configured_beside_ams_1(EdgeSettings { port: 0, ..settings(&[]) }).is_err());
        let many: Vec<String> = (1..=17).map(|number| format!("192.0.2.{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            configured_beside_ams_1(settings(&many)),
            Err("17 addresses: an edge can have at most 16".to_owned())
        );
    }

    #[test]
    fn a_forced_state_survives_new_settings() {
        let name: EdgeName = "fra-1".parse().unwrap();
        let mut edges = EdgeStates::new();
        let state = configured(&name, settings(&["192.0.2.1"]), &edges).unwrap();
        assert_eq!(state.force, Force::Auto);
        edges.insert(name.clone(), EdgeState { force: Force::Down, ..state });
        let again = configured(&name, settings(&["192.0.2.1"]), &edges).unwrap();
        assert_eq!(again.force, Force::Down, "and its own address is not taken");
    }
}
