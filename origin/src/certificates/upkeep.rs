//! Follows what edges present: confirms certificates, and ends what nothing needs any more.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;
use verge_protocol::api::CertificateEdges;
use verge_protocol::{Digest, DomainName};

use super::inventory::{Inventory, Published};
use crate::feed::Feed;
use crate::store::StoreError;

/// Keeps the rows and keys of certificates as the reports of edges allow.
pub(crate) struct Upkeep {
    pub(super) inventory: Inventory,
    pub(super) feed: Feed,
    /// How long after the start of the origin all edges have reported.
    pub(super) settling: Duration,
    /// Whether certificates and keys are ended.
    pub(super) ends: bool,
}

impl Upkeep {
    /// Looks at the reports each `interval`, until `draining`.
    pub(crate) async fn run(self, interval: Duration, draining: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                if self.inventory.edge_reports.uptime() >= self.settling
                    && let Err(error) = self.round().await
                {
                    tracing::error!(error = error_chain(&error), "failed to follow the certificates on edges");
                }
            }
        };
        draining.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<(), StoreError> {
        let known = self.inventory.read().await?;
        for (domain, Published { state, edges, .. }) in &known.certificates {
            let confirmed = edges.are_all() || state.confirmed && edges.without_tls == 0;
            if confirmed != state.confirmed {
                self.set_confirmed(domain, state.key, confirmed).await?;
                let CertificateEdges { presenting, without_tls, .. } = *edges;
                if confirmed {
                    tracing::info!(
                        %domain,
                        edges = presenting,
                        "every edge presents the certificate: name servers publish that its names speak HTTPS"
                    );
                } else {
                    tracing::warn!(
                        %domain,
                        without_tls,
                        "edges have no TLS: name servers no longer publish that the names of the certificate speak HTTPS"
                    );
                }
            }
        }
        if !self.ends {
            return Ok(());
        }
        let forgotten = known.forgotten_failures();
        if !forgotten.is_empty() {
            self.inventory.database.delete_failed_names(&forgotten).await?;
        }
        for (domain, certificate) in known.unneeded() {
            self.end(domain, certificate.state.key, known.is_api(domain)).await?;
            tracing::info!(%domain, "certificate ended: nothing needs it any more");
        }
        // An edge that does not present a renewed certificate yet presents the one before it.
        if known.certificates.values().all(|certificate| certificate.edges.is_complete()) {
            let current: BTreeSet<Digest> =
                known.certificates.values().map(|certificate| certificate.state.key).collect();
            if !known.keys.is_subset(&current) {
                let keys = self.inventory.database.delete_unused_keys(&current).await?;
                tracing::info!(keys, "private keys of replaced certificates deleted");
            }
        }
        Ok(())
    }

    async fn set_confirmed(&self, domain: &DomainName, key: Digest, confirmed: bool) -> Result<(), StoreError> {
        let (database, domain) = (self.inventory.database.clone(), domain.clone());
        self.feed.write(async move { database.set_certificate_confirmed(&domain, key, confirmed).await }).await
    }

    async fn end(&self, domain: &DomainName, key: Digest, is_of_api: bool) -> Result<(), StoreError> {
        let (database, domain) = (self.inventory.database.clone(), domain.clone());
        self.feed.write(async move { database.end_certificate(&domain, key, is_of_api).await }).await
    }
}
