//! Edges as the operator describes them: what may be said of one, and how it is told to those who follow.

use std::net::IpAddr;
use std::sync::Arc;

use verge_protocol::EdgeName;
use verge_protocol::api::EdgeSettings;
use verge_protocol::fleet::{EdgeState, Force};

use crate::app::App;
use crate::store::{Edges, StoreError};

/// The most addresses an edge may have, and the most regions it may be in.
const LIST_MAX: usize = 16;

const WEIGHT_MAX: u16 = 1000;

/// Why an edge is not described as was asked. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error("the weight {0} of an edge is not from 1 to {WEIGHT_MAX}")]
    Weight(u16),
    #[error("an edge's port cannot be 0")]
    Port,
    #[error("an edge with {count} {things}: the limit is {LIST_MAX}")]
    TooMany { count: usize, things: &'static str },
    #[error("the address {0} is named twice")]
    Twice(IpAddr),
    #[error("{0} is no address that readers could reach an edge at")]
    Unreachable(IpAddr),
    #[error("edge {other} has the address {address} already")]
    Taken { address: IpAddr, other: EdgeName },
    #[error("edge {0} was not described yet")]
    NotDescribed(EdgeName),
    #[error("there is no edge `{0}`")]
    Unknown(EdgeName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says how readers are sent to an edge, in place of what was said before; what was forced stays so.
pub(crate) async fn describe(app: &Arc<App>, name: EdgeName, settings: EdgeSettings) -> Result<EdgeState, EdgeError> {
    app.write(|app| async move {
        let (state, written) = app.database.set_edge(&name, |edges| described(&name, settings, edges)).await?;
        if written {
            tracing::info!(edge = %name, addresses = ?state.addresses, weight = state.weight, "an edge was described");
        }
        Ok(state)
    })
    .await
}

/// Decides about an edge whatever probes say, or leaves that to them again.
pub(crate) async fn force(app: &Arc<App>, name: EdgeName, force: Force) -> Result<EdgeState, EdgeError> {
    app.write(|app| async move {
        let forced = |edges: &Edges| {
            let state = edges.get(&name).ok_or_else(|| EdgeError::NotDescribed(name.clone()))?;
            Ok::<_, EdgeError>(EdgeState { force, ..state.clone() })
        };
        let (state, written) = app.database.set_edge(&name, forced).await?;
        if written {
            tracing::info!(edge = %name, ?force, "an edge was forced");
        }
        Ok(state)
    })
    .await
}

/// Takes an edge out of the fleet: no reader is sent to it any more, and its token stops working.
pub(crate) async fn remove(app: &Arc<App>, name: EdgeName) -> Result<(), EdgeError> {
    app.write(|app| async move {
        let (written, revoked) = app.database.remove_edge(&name).await?;
        app.edge_reports.forget(&name);
        if !written && !revoked {
            return Err(EdgeError::Unknown(name));
        }
        tracing::info!(edge = %name, revoked, "an edge was removed");
        Ok(())
    })
    .await
}

/// What an edge with these settings is, among the others.
fn described(name: &EdgeName, settings: EdgeSettings, edges: &Edges) -> Result<EdgeState, EdgeError> {
    let EdgeSettings { addresses, port, location, regions, weight } = settings;
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
    for (at, address) in addresses.iter().enumerate() {
        if !is_reachable(*address) {
            return Err(EdgeError::Unreachable(*address));
        }
        if addresses[..at].contains(address) {
            return Err(EdgeError::Twice(*address));
        }
        if let Some((other, _)) =
            edges.iter().find(|(other, state)| *other != name && state.addresses.contains(address))
        {
            return Err(EdgeError::Taken { address: *address, other: other.clone() });
        }
    }
    let force = edges.get(name).map_or(Force::Auto, |state| state.force);
    Ok(EdgeState { addresses, port, location, regions, weight, force })
}

/// Whether an A or AAAA record may hold it. One within another family has a second text, by which it would be another edge's too.
fn is_reachable(address: IpAddr) -> bool {
    let odd = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    !odd && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(addresses: &[&str]) -> EdgeSettings {
        EdgeSettings {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            port: 80,
            location: None,
            regions: ["eu".parse().unwrap()].into(),
            weight: 1,
        }
    }

    fn said(settings: EdgeSettings) -> Result<EdgeState, String> {
        let others = described(&"ams-1".parse().unwrap(), self::settings(&["192.0.2.9"]), &Edges::new()).unwrap();
        let others = [("ams-1".parse().unwrap(), others)].into();
        described(&"fra-1".parse().unwrap(), settings, &others).map_err(|error| error.to_string())
    }

    #[test]
    fn what_no_reader_could_use_is_refused() {
        for bad in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:192.0.2.1"] {
            assert_eq!(
                said(settings(&["192.0.2.1", bad])),
                Err(format!("{bad} is no address that readers could reach an edge at"))
            );
        }
        assert_eq!(said(settings(&["192.0.2.9"])), Err("edge ams-1 has the address 192.0.2.9 already".to_owned()));
        assert!(said(settings(&["192.0.2.1", "2001:db8::1", "127.0.0.1"])).is_ok());
        assert!(said(settings(&[])).is_ok(), "without an address it is not named");
    }

    #[test]
    fn numbers_have_limits() {
        let weighing = |weight| EdgeSettings { weight, ..settings(&[]) };
        assert!(said(weighing(0)).is_err() && said(weighing(1001)).is_err());
        assert_eq!(said(weighing(1000)).unwrap().weight, 1000);
        assert!(said(EdgeSettings { port: 0, ..settings(&[]) }).is_err());
        let many: Vec<String> = (1..=17).map(|number| format!("192.0.2.{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(said(settings(&many)), Err("an edge with 17 addresses: the limit is 16".to_owned()));
    }

    #[test]
    fn what_was_forced_stays_so() {
        let name: EdgeName = "fra-1".parse().unwrap();
        let mut edges = Edges::new();
        let state = described(&name, settings(&["192.0.2.1"]), &edges).unwrap();
        assert_eq!(state.force, Force::Auto);
        edges.insert(name.clone(), EdgeState { force: Force::Down, ..state });
        let again = described(&name, settings(&["192.0.2.1"]), &edges).unwrap();
        assert_eq!(again.force, Force::Down, "and its own address is not taken");
    }
}
