//! The operator's zone files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use verge_daemon::Tasks;
use verge_protocol::DomainName;

use super::file_watch::{FileStamps, POLL_INTERVAL};
use crate::dns::name::Name;
use crate::zone::{ZoneError, ZoneFile, read_file};

/// A zone to answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneConfig {
    /// Its apex.
    pub name: DomainName,
    /// A zone file (RFC 1035 §5) with the operator's own records: SOA, NS, and any others.
    pub file: PathBuf,
    /// Whether sites answer at `<site>.<name>`.
    pub sites: bool,
}

/// The zones, each as last loaded successfully.
pub(crate) struct ZoneSource {
    zones: Vec<Watched>,
    current: watch::Sender<Vec<Arc<ZoneFile>>>,
    failures: Counter,
}

struct Watched {
    config: ZoneConfig,
    stamps: FileStamps,
}

/// Invalid zone files, each with all its errors.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub(crate) struct ZonesError(Vec<ZoneError>);

impl ZoneSource {
    /// Loads all zones. Blocks. Fails if any is invalid.
    pub(crate) fn open(configs: &[ZoneConfig], failures: Counter) -> Result<Self, ZonesError> {
        let (mut zones, mut loaded, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for config in configs {
            let (stamps, zone) = load(config);
            zones.push(Watched { config: config.clone(), stamps });
            match zone {
                Ok(zone) => loaded.push(zone),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(Self { zones, current: watch::Sender::new(loaded), failures })
        } else {
            Err(ZonesError(errors))
        }
    }

    /// The current zones, in the order of the configuration.
    pub(crate) fn zones(&self) -> watch::Receiver<Vec<Arc<ZoneFile>>> {
        self.current.subscribe()
    }

    /// Reloads zones when their files change, until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        let watch = async move {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let poll = tokio::task::spawn_blocking(move || {
                    self.reload_changed();
                    self
                });
                match poll.await {
                    Ok(source) => self = source,
                    Err(error) => {
                        return tracing::error!(%error, "reloading zones crashed: they are no longer reloaded");
                    }
                }
            }
        };
        drop(tasks.spawn("zone files", tasks.draining().clone().run_until_cancelled_owned(watch)));
    }

    fn reload_changed(&mut self) {
        for (index, watched) in self.zones.iter_mut().enumerate() {
            if !watched.stamps.have_changed() {
                continue;
            }
            let zone;
            (watched.stamps, zone) = load(&watched.config);
            match zone {
                Ok(zone) => {
                    tracing::info!(zone = %watched.config.name, "reloaded the zone");
                    self.current.send_modify(|zones| zones[index] = zone);
                }
                Err(error) => {
                    self.failures.inc();
                    tracing::error!(zone = %watched.config.name, %error, "failed to reload the zone: the previous version stays in use");
                }
            }
        }
    }
}

/// Loads a zone, with the stamps of all its files taken before. These include files that could not be read: they may be fixed.
fn load(config: &ZoneConfig) -> (FileStamps, Result<Arc<ZoneFile>, ZoneError>) {
    let mut stamps = FileStamps::default();
    let zone = ZoneFile::parse(&config.file, &Name::from(&config.name), |path: &Path| {
        stamps.add([path]);
        read_file(path)
    });
    for warning in zone.iter().flat_map(|zone| &zone.warnings) {
        tracing::warn!(zone = %config.name, hint = warning.hint, "{warning}");
    }
    (stamps, zone.map(Arc::new))
}
