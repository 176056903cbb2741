//! The operator's zones.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use verge_daemon::Tasks;

use super::LOOK;
use super::changed::Stamps;
use crate::config::ZoneConfig;
use crate::dns::name::Name;
use crate::zone::{ZoneError, ZoneFile, read_file};

/// Zones as their files say, each as it was when its file could last be read.
pub(crate) struct ZoneSource {
    zones: Vec<Watched>,
    read: watch::Sender<Vec<Arc<ZoneFile>>>,
    failures: Counter,
}

struct Watched {
    config: ZoneConfig,
    stamps: Stamps,
}

/// Zones that cannot be read: each with all its faults, and where they are.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub(crate) struct ZonesError(Vec<ZoneError>);

impl ZoneSource {
    /// Reads all zones. Blocks. At the start, a mistake is for the operator to see at once.
    pub(crate) fn open(configs: &[ZoneConfig], failures: Counter) -> Result<Self, ZonesError> {
        let (mut zones, mut read, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for config in configs {
            let (stamps, zone) = load(config);
            zones.push(Watched { config: config.clone(), stamps });
            match zone {
                Ok(zone) => read.push(zone),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(Self { zones, read: watch::Sender::new(read), failures })
        } else {
            Err(ZonesError(errors))
        }
    }

    /// The zones, in their order, as they go on.
    pub(crate) fn zones(&self) -> watch::Receiver<Vec<Arc<ZoneFile>>> {
        self.read.subscribe()
    }

    /// Reads again what changes, until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        let watch = async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let look = tokio::task::spawn_blocking(move || {
                    self.look();
                    self
                });
                match look.await {
                    Ok(source) => self = source,
                    Err(error) => return tracing::error!(%error, "reading zones crashed: they stay as they are"),
                }
            }
        };
        drop(tasks.spawn("zone files", tasks.draining().clone().run_until_cancelled_owned(watch)));
    }

    fn look(&mut self) {
        for (place, watched) in self.zones.iter_mut().enumerate() {
            if !watched.stamps.have_changed() {
                continue;
            }
            let zone;
            (watched.stamps, zone) = load(&watched.config);
            match zone {
                Ok(zone) => {
                    tracing::info!(zone = %watched.config.name, "the zone was read anew");
                    self.read.send_modify(|zones| zones[place] = zone);
                }
                Err(error) => {
                    self.failures.inc();
                    tracing::error!(zone = %watched.config.name, %error, "the zone stays as it was: its file is wrong");
                }
            }
        }
    }
}

/// Reads a zone, and notes how its files were before that. A file that could not be read is among them: it may be mended.
fn load(config: &ZoneConfig) -> (Stamps, Result<Arc<ZoneFile>, ZoneError>) {
    let mut stamps = Stamps::default();
    let zone = ZoneFile::parse(&config.file, &Name::from(&config.name), |path: &Path| {
        stamps.add([path]);
        read_file(path)
    });
    for warning in zone.iter().flat_map(|zone| &zone.warnings) {
        tracing::warn!(zone = %config.name, hint = warning.hint, "{warning}");
    }
    (stamps, zone.map(Arc::new))
}
