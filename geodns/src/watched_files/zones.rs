//! The operator's zone files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;
use verge_daemon::file_watch::{FileStamps, POLL_INTERVAL};
use verge_daemon::{Clock, DataDir, Tasks};
use verge_protocol::{DomainName, Timestamp};

use super::zone_copies::ZoneCopies;
use super::zone_copy::{SourceFiles, ZoneCopy};
use crate::dns::name::Name;
use crate::zone::{ZoneError, ZoneFile};

/// The time until a copy is written again that could not be written.
const COPY_RETRY: Duration = Duration::from_secs(10);

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

/// What is counted about zones. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct ZoneCounters {
    /// Failed loads of zone files. An earlier version is served.
    pub(crate) failures: Counter,
    /// Failed writes of copies.
    pub(crate) copy_failures: Counter,
}

/// How a zone is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZoneStatus {
    /// Its name.
    pub(crate) zone: DomainName,
    /// When the version that is served was first loaded.
    pub(crate) loaded: Timestamp,
    /// Whether that version was read from its copy, because its files could not be loaded at the start.
    pub(crate) from_copy: bool,
    /// The first error of the zone's files, if they cannot be loaded now.
    pub(crate) load_failure: Option<String>,
    /// Why there is no copy of the version that is served.
    pub(crate) copy_failure: Option<String>,
}

/// The zones, each as last loaded successfully, by this process or, with a copy of its files, by an earlier one.
pub(crate) struct ZoneSource {
    zones: Vec<WatchedZone>,
    copies: ZoneCopies,
    clock: Clock,
    counters: ZoneCounters,
    current: watch::Sender<Vec<Arc<ZoneFile>>>,
    status: watch::Sender<Vec<ZoneStatus>>,
}

struct WatchedZone {
    config: ZoneConfig,
    stamps: FileStamps,
    status: ZoneStatus,
    /// The copy that could not be written, and when to try again.
    unsaved: Option<(ZoneCopy, Instant)>,
}

/// Invalid zone files, each with all its errors.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct ZonesError(Vec<String>);

/// Fails if any zone file is invalid, whether or not there is a copy. Writes nothing. Blocks.
pub(crate) fn check_zones(configs: &[ZoneConfig]) -> Result<(), ZonesError> {
    let errors: Vec<_> = configs.iter().filter_map(|config| load(config).zone.err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(ZonesError(errors.iter().map(ToString::to_string).collect())) }
}

impl ZoneSource {
    /// Loads all zones, and keeps copies of their files in `data`. A zone whose files cannot be loaded is served from its copy.
    /// Fails if there is none, or none that is usable. Copies of zones that are not configured are deleted. Blocks.
    pub(crate) fn open(
        configs: &[ZoneConfig],
        data: Arc<DataDir>,
        clock: Clock,
        counters: ZoneCounters,
    ) -> Result<Self, ZonesError> {
        let copies = ZoneCopies::new(data);
        let (mut zones, mut served, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for config in configs {
            match WatchedZone::open(config, &copies, &clock, &counters) {
                Ok((watched, zone)) => {
                    zones.push(watched);
                    served.push(zone);
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(ZonesError(errors));
        }
        copies.retain(configs.iter().map(|config| &config.name));
        let source = Self {
            zones,
            copies,
            clock,
            counters,
            current: watch::Sender::new(served),
            status: watch::Sender::default(),
        };
        source.publish_status();
        Ok(source)
    }

    /// The current zones, in the order of the configuration.
    pub(crate) fn zones(&self) -> watch::Receiver<Vec<Arc<ZoneFile>>> {
        self.current.subscribe()
    }

    /// How each zone is served, in the same order.
    pub(crate) fn status(&self) -> watch::Receiver<Vec<ZoneStatus>> {
        self.status.subscribe()
    }

    /// Reloads zones when their files change, until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        let watch = async move {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let poll = tokio::task::spawn_blocking(move || {
                    self.reload_changed();
                    self.retry_copies();
                    self.publish_status();
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
            let Loaded { stamps, files, zone } = load(&watched.config);
            watched.stamps = stamps;
            match zone {
                Ok(zone) => {
                    tracing::info!(zone = %watched.config.name, "reloaded the zone");
                    self.current.send_modify(|zones| zones[index] = zone);
                    watched.record_load(files, &self.copies, &self.clock, &self.counters);
                }
                Err(error) => {
                    self.counters.failures.inc();
                    tracing::error!(zone = %watched.config.name, %error, "failed to reload the zone: the previous version stays in use");
                    watched.status.load_failure = Some(first(&error));
                }
            }
        }
    }

    fn retry_copies(&mut self) {
        for watched in &mut self.zones {
            if let Some((copy, _)) = watched.unsaved.take_if(|(_, retry)| Instant::now() >= *retry) {
                watched.keep(copy, &self.copies, &self.counters);
            }
        }
    }

    fn publish_status(&self) {
        let status: Vec<_> = self.zones.iter().map(|zone| zone.status.clone()).collect();
        self.status.send_if_modified(|published| std::mem::replace(published, status.clone()) != status);
    }
}

impl WatchedZone {
    /// Loads a zone, from its files or else from its copy. The error has all errors of the files, and says why there is no copy.
    fn open(
        config: &ZoneConfig,
        copies: &ZoneCopies,
        clock: &Clock,
        counters: &ZoneCounters,
    ) -> Result<(Self, Arc<ZoneFile>), String> {
        let Loaded { stamps, files, zone } = load(config);
        let status = ZoneStatus {
            zone: config.name.clone(),
            loaded: Timestamp::default(),
            from_copy: false,
            load_failure: None,
            copy_failure: None,
        };
        let mut watched = Self { config: config.clone(), stamps, status, unsaved: None };
        match zone {
            Ok(zone) => {
                watched.record_load(files, copies, clock, counters);
                Ok((watched, zone))
            }
            Err(error) => {
                let (zone, loaded) = from_copy(config, copies).map_err(|problem| {
                    format!("{error}\n  hint: fix the zone file; no earlier version can be served: {problem}")
                })?;
                counters.failures.inc();
                tracing::error!(
                    zone = %config.name,
                    %error,
                    loaded = %loaded,
                    age_seconds = loaded.age(clock.now()).as_secs(),
                    "failed to load the zone: serving the copy of an earlier version"
                );
                watched.status =
                    ZoneStatus { loaded, from_copy: true, load_failure: Some(first(&error)), ..watched.status };
                Ok((watched, Arc::new(zone)))
            }
        }
    }

    /// Records that the zone was loaded from `files`, and keeps a copy of them.
    fn record_load(&mut self, files: SourceFiles, copies: &ZoneCopies, clock: &Clock, counters: &ZoneCounters) {
        let loaded = clock.now();
        self.status = ZoneStatus { loaded, from_copy: false, load_failure: None, ..self.status.clone() };
        self.keep(ZoneCopy { zone: self.config.name.clone(), loaded, files }, copies, counters);
    }

    /// Keeps a copy. A failure is counted, logged unless the previous attempt failed too, and retried.
    fn keep(&mut self, copy: ZoneCopy, copies: &ZoneCopies, counters: &ZoneCounters) {
        let zone = &self.config.name;
        match copies.keep(&copy) {
            Ok(loaded) => {
                (self.status.loaded, self.unsaved) = (loaded, None);
                if self.status.copy_failure.take().is_some() {
                    tracing::info!(%zone, "keeping a copy of the zone succeeds again");
                }
            }
            Err(error) => {
                counters.copy_failures.inc();
                if self.status.copy_failure.replace(error.to_string()).is_none() {
                    tracing::error!(%zone, %error, "failed to keep a copy of the zone: a restart would need valid zone files");
                }
                self.unsaved = Some((copy, Instant::now() + COPY_RETRY));
            }
        }
    }
}

/// Parses a zone from its copy, and says when that version was loaded. The error completes "no earlier version can be served".
fn from_copy(config: &ZoneConfig, copies: &ZoneCopies) -> Result<(ZoneFile, Timestamp), String> {
    let copy = copies.read(&config.name).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "the data directory has no copy of this zone".to_owned(),
        _ => error.to_string(),
    })?;
    let zone = copy.parse().map_err(|error| format!("its copy is invalid too: {}", first(&error)))?;
    Ok((zone, copy.loaded))
}

/// The first of the errors, on one line.
fn first(error: &ZoneError) -> String {
    error.errors[0].to_string().replace('\n', " ")
}

/// A zone that was loaded, or not.
struct Loaded {
    /// The stamps of all its files, taken before reading. These include files that could not be read: they may be fixed.
    stamps: FileStamps,
    /// The files that could be read.
    files: SourceFiles,
    zone: Result<Arc<ZoneFile>, ZoneError>,
}

fn load(config: &ZoneConfig) -> Loaded {
    let (mut stamps, mut files) = (FileStamps::default(), SourceFiles::default());
    let zone = ZoneFile::parse(&config.file, &Name::from(&config.name), |path: &Path| {
        stamps.add([path]);
        files.read(path)
    });
    for warning in zone.iter().flat_map(|zone| &zone.warnings) {
        tracing::warn!(zone = %config.name, hint = warning.hint, "{warning}");
    }
    Loaded { stamps, files, zone: zone.map(Arc::new) }
}
