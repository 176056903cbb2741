//! Fetching blobs and storing each as it arrives.

use std::io;

use tokio::sync::watch;
use verge_protocol::Digest;
use verge_protocol::pack::Frame;

use super::bandwidth_limit::BandwidthLimit;
use super::wanted::Wanted;
use crate::store::{BlockingStore, Object, Put, Store};
use crate::upstream::{Upstream, UpstreamError};

/// Fetches and stores blobs.
#[derive(Clone)]
pub(super) struct BatchFetcher {
    pub(super) upstream: Upstream,
    pub(super) store: Store,
    /// Notified after each blob that is stored.
    pub(super) progress: watch::Sender<()>,
    pub(super) bandwidth: Option<BandwidthLimit>,
}

/// Why a batch was given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("failed to write {size} bytes to disk")]
    Disk { size: u64, source: io::Error },
    #[error("a blob that was planned no longer fits on disk")]
    NoRoom,
}

impl BatchFetcher {
    /// Fetches the manifests that could not be written when they arrived: without them an edge could not restart.
    pub(super) async fn fetch_missing_manifests(&self, wanted: &Wanted) -> Result<(), BatchError> {
        for id in wanted.manifests() {
            if !self.store.contains(Object::Manifest(id)) {
                let (bytes, _) = self.upstream.manifest(id).await?;
                // `Put::NoRoom`: no longer pinned, so no longer needed.
                let _ = self.write(bytes.len(), move |store| store.put_manifest(id, &bytes)).await?;
                self.progress.send_replace(());
            }
        }
        Ok(())
    }

    /// Fetches one batch and stores each blob as it arrives. Returns the blobs that the origin does not have.
    pub(super) async fn fetch(&self, batch: &[Digest]) -> Result<Vec<Digest>, BatchError> {
        let mut pack = self.upstream.pack(batch).await?;
        let mut absent = Vec::new();
        while let Some(frame) = pack.next().await? {
            match frame {
                Frame::Blob(blob) => {
                    let size = blob.bytes().len();
                    match self.write(size, move |store| store.put_prefetched_blob(&blob)).await? {
                        // `Put::Erased`: no longer needed.
                        Put::Stored | Put::Erased => {}
                        Put::NoRoom => return Err(BatchError::NoRoom),
                    }
                    self.progress.send_replace(());
                    if let Some(bandwidth) = &self.bandwidth {
                        bandwidth.pass(size as u64).await;
                    }
                }
                Frame::Missing(digest) => {
                    tracing::error!(%digest, "the origin does not have a blob that a release references");
                    absent.push(digest);
                }
            }
        }
        Ok(absent)
    }

    async fn write<F>(&self, size: usize, put: F) -> Result<Put, BatchError>
    where
        F: FnOnce(&BlockingStore) -> io::Result<Put> + Send + 'static,
    {
        let result = self.store.run_blocking(put).await;
        let result = result.unwrap_or_else(|| Err(io::Error::other("the disk task was aborted")));
        result.map_err(|source| BatchError::Disk { size: size as u64, source })
    }
}
