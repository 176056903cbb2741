//! Fences: the regions that a site's readers are kept to.

use std::collections::BTreeSet;
use std::sync::Arc;

use verge_protocol::fleet::SiteState;
use verge_protocol::{Region, SiteName};

use crate::app::App;
use crate::store::{Edges, StoreError};

/// Why a site is not fenced as was asked. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegionError {
    /// A fence that nobody is in would leave readers nowhere.
    #[error("no edge is in region `{region}`")]
    NoEdge { region: Region, known: BTreeSet<Region> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the readers of a site to edges in these regions; none named: to any edge. Each must have an edge now. What becomes of the
/// edges later is the operator's affair.
pub(crate) async fn set(app: &Arc<App>, site: SiteName, fence: BTreeSet<Region>) -> Result<(), RegionError> {
    app.write(|app| async move {
        check(&fence, &app.database.edges().await?)?;
        if app.database.set_site_state(&site, &SiteState { regions: fence.clone() }).await? {
            tracing::info!(%site, ?fence, "a site was fenced");
        }
        Ok(())
    })
    .await
}

fn check(fence: &BTreeSet<Region>, edges: &Edges) -> Result<(), RegionError> {
    let known: BTreeSet<Region> = edges.values().flat_map(|edge| edge.regions.iter().cloned()).collect();
    match fence.difference(&known).next().cloned() {
        Some(region) => Err(RegionError::NoEdge { region, known }),
        None => Ok(()),
    }
}
