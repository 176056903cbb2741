//! The manifests of all releases, and every file in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use verge_protocol::manifest::File;
use verge_protocol::{Content, Digest, Manifest, ReleaseNumber, SiteName, SitePath, Timestamp};

use super::blob_damage::BlobDamage;
use super::change::{Change, Repair, Statement};
use super::finding::{Finding, Severity};
use super::metadata::Metadata;
use super::objects::{BlobStatus, Objects};
use super::parallel;
use super::progress::Progress;
use super::row::{MANIFEST, RawRow};
use super::state_rows::StateRows;
use crate::store;

/// A release, and the channels that serve or inherit it.
type Served = ((SiteName, ReleaseNumber), Vec<String>);

/// What a manifest says of its release.
pub(super) struct Summary {
    pub(super) site: SiteName,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// What reading all manifests found.
#[derive(Default)]
pub(super) struct Manifests {
    pub(super) summaries: HashMap<Digest, Summary>,
    /// The bytes that paths with a possible hash in their names were first released with, of those paths whose rows are damaged.
    pub(super) fingerprints: BTreeMap<(SiteName, SitePath), (ReleaseNumber, Digest)>,
    pub(super) findings: Vec<Finding>,
    odd_contents: BTreeSet<Digest>,
}

impl Manifests {
    /// Reads the manifest of each release, one on each thread, and notes in `damage` which blobs of it are damaged.
    pub(super) fn read(
        metadata: &Metadata,
        state: &StateRows,
        objects: &Objects,
        damage: &BlobDamage,
        now: Timestamp,
    ) -> Self {
        let releases: Vec<(Digest, Vec<Served>)> = releases(metadata, state, now).into_iter().collect();
        let wanted = damaged_fingerprints(metadata);
        let found = Mutex::new(Self::default());
        let progress = Progress::new("releases read");
        parallel::for_each(&releases, |(id, served)| {
            let outcome = read(*id, served, metadata, objects, damage);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(manifest) => found.add(*id, &manifest, served, &wanted, metadata),
                Err(finding) => found.findings.extend(finding.map(|finding| *finding)),
            }
            progress.step();
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &mut self,
        id: Digest,
        manifest: &Manifest,
        served: &[Served],
        wanted: &BTreeSet<(SiteName, SitePath)>,
        metadata: &Metadata,
    ) {
        let bytes = manifest.files.values().map(|file| file.identity.size()).sum();
        let summary = Summary { site: manifest.site.clone(), files: manifest.files.len() as u64, bytes };
        for (path, file) in &manifest.files {
            let key = (manifest.site.clone(), path.clone());
            if wanted.contains(&key) {
                let number = served.iter().map(|((_, number), _)| *number).min().unwrap_or(ReleaseNumber(u64::MAX));
                let first = self.fingerprints.entry(key).or_insert((number, file.identity.digest()));
                if number < first.0 {
                    *first = (number, file.identity.digest());
                }
            }
            let Some((row, list)) = metadata.contents.get(&file.identity.digest()) else { continue };
            let mut is_first = || self.odd_contents.insert(file.identity.digest());
            if file.identity.slices().nth(1).is_some() && *list != store::list_digest(&file.identity) && is_first() {
                let cost = "each push with that content reads it in full";
                let repair = Repair::delete(row, "deletes the row: the next push writes it anew");
                let finding = Finding::new(Severity::Harmless, row, "names other blobs than the releases do", cost);
                self.findings.push(finding.repair(repair));
            }
        }
        self.summaries.insert(id, summary);
    }
}

/// The releases that each manifest belongs to.
fn releases(metadata: &Metadata, state: &StateRows, now: Timestamp) -> BTreeMap<Digest, Vec<Served>> {
    let mut channels: HashMap<(Digest, &SiteName), BTreeSet<String>> = HashMap::new();
    let mut all: BTreeMap<Digest, BTreeSet<(SiteName, ReleaseNumber)>> = BTreeMap::new();
    for ((site, number), release) in &metadata.releases {
        all.entry(release.manifest).or_default().insert((site.clone(), *number));
    }
    for ((site, channel), last) in &metadata.last_moves {
        let state = state.channels.get(&(site.clone(), channel.clone()));
        if matches!(state, Some(None)) {
            continue;
        }
        let (number, manifest) = state
            .and_then(Option::as_ref)
            .map_or((last.release, last.manifest), |state| (state.release, state.manifest));
        channels.entry((manifest, site)).or_default().insert(channel.to_string());
        all.entry(manifest).or_default().insert((site.clone(), number));
        let inherits = state.and_then(Option::as_ref).map(|state| state.inherits.as_slice()).unwrap_or_default();
        for inherited in inherits.iter().filter(|inherited| inherited.until > now) {
            channels.entry((inherited.manifest, site)).or_default().insert(format!("inherited by {channel}"));
        }
    }
    // A release without a row is restored from its manifest.
    for (_, (site, _), to) in &metadata.odd_moves {
        if metadata.manifests.contains_key(&to.manifest) {
            all.entry(to.manifest).or_default().insert((site.clone(), to.release));
        }
    }
    let served = |manifest, (site, number): (SiteName, ReleaseNumber)| {
        let channels = channels.get(&(manifest, &site)).into_iter().flatten().cloned().collect();
        ((site, number), channels)
    };
    all.into_iter().map(|(id, keys)| (id, keys.into_iter().map(|key| served(id, key)).collect())).collect()
}

fn damaged_fingerprints(metadata: &Metadata) -> BTreeSet<(SiteName, SitePath)> {
    let rows = metadata.damaged.iter().filter(|(row, _)| row.table.name == "fingerprint");
    rows.filter_map(|(row, _)| fingerprint_key(row)).collect()
}

/// The site and path of a fingerprint.
pub(super) fn fingerprint_key(row: &RawRow) -> Option<(SiteName, SitePath)> {
    Some((row.parse("site").ok()?, row.parse("path").ok()?))
}

/// Reads one manifest and looks every blob of it up. The error is a finding, unless a damaged blob is one already.
fn read(
    id: Digest,
    served: &[Served],
    metadata: &Metadata,
    objects: &Objects,
    damage: &BlobDamage,
) -> Result<Manifest, Option<Box<Finding>>> {
    let Some(content) = metadata.manifests.get(&id) else {
        return Err(Some(Box::new(without_row(id, served, objects))));
    };
    let mut bytes = Vec::with_capacity(usize::try_from(content.size()).unwrap_or_default());
    let mut is_whole = true;
    for slice in content.slices() {
        let part = if objects.blob(slice.digest).is_sound() { objects.bytes(slice.digest) } else { None };
        if let Some(part) = part {
            bytes.extend(part);
        } else {
            is_whole = false;
            damage.add_releases(slice.digest, served, "the manifest");
        }
    }
    if !is_whole {
        return Err(None);
    }
    let manifest = Manifest::verify(id, &bytes).map_err(|error| {
        let finding = Finding::new(severity(served), format_args!("manifest {id}"), error.to_string(), cost(served));
        Some(Box::new(finding.advice("push these files again")))
    })?;
    let is_erased = |file: &File| metadata.erased.contains(&(manifest.site.clone(), file.identity.digest()));
    for (path, file) in manifest.files.iter().filter(|(_, file)| !is_erased(file)) {
        for slice in file.contents().flat_map(Content::slices) {
            if !objects.blob(slice.digest).is_sound() {
                damage.add_releases(slice.digest, served, &format!("/{path}"));
            }
        }
    }
    Ok(manifest)
}

/// A manifest of one blob is that blob; of a larger one nothing else tells the blobs.
fn without_row(id: Digest, served: &[Served], objects: &Objects) -> Finding {
    let finding = Finding::new(severity(served), format_args!("manifest {id}"), "no sound row", cost(served));
    let BlobStatus::Sound(size) = objects.blob(id) else {
        return finding.advice("restore origin.db from a copy, or push these files again with a change");
    };
    let content = serde_json::json!({ "digest": id, "size": size }).to_string();
    let put = Statement::put(&MANIFEST, [("id", id.to_string().into()), ("content", content.into())]);
    finding.repair(Repair::new(Change::Rows(vec![put]), "restores the row from the manifest's bytes"))
}

fn severity(served: &[Served]) -> Severity {
    if served.iter().any(|(_, channels)| !channels.is_empty()) { Severity::Readers } else { Severity::Operation }
}

fn cost(served: &[Served]) -> String {
    let names = served.iter().map(|((site, number), channels)| match channels.as_slice() {
        [] => format!("{site} {number}"),
        channels => format!("{site} {number} ({})", channels.join(", ")),
    });
    format!("edges that lack it cannot serve {}", names.collect::<Vec<_>>().join(", "))
}
