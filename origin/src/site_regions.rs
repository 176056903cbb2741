//! Region restrictions: the regions that serve a site's readers.

use std::collections::BTreeSet;

use verge_protocol::fleet::SiteState;
use verge_protocol::{Region, SiteName};

use crate::feed::Feed;
use crate::store::{Database, EdgeStates, StoreError};

/// Why a region restriction was refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegionError {
    /// No edge could serve the site's readers.
    #[error("no edge is in region `{region}`")]
    NoEdge { region: Region, known: BTreeSet<Region> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Restricts the readers of a site to edges in these regions; none: any edge. Each region must have an edge now. Edges that are moved
/// or removed later do not change the restriction.
pub(crate) async fn set(
    database: &Database,
    feed: &Feed,
    site: SiteName,
    regions: BTreeSet<Region>,
) -> Result<(), RegionError> {
    let database = database.clone();
    feed.write(async move {
        check(&regions, &database.edges().await?)?;
        let change = |state| Ok::<_, StoreError>(SiteState { regions: regions.clone(), ..state });
        if database.change_site_state(&site, change).await? {
            tracing::info!(%site, ?regions, "site regions set");
        }
        Ok(())
    })
    .await
}

fn check(regions: &BTreeSet<Region>, edges: &EdgeStates) -> Result<(), RegionError> {
    let known: BTreeSet<Region> = edges.values().flat_map(|edge| edge.regions.iter().cloned()).collect();
    match regions.difference(&known).next().cloned() {
        Some(region) => Err(RegionError::NoEdge { region, known }),
        None => Ok(()),
    }
}
