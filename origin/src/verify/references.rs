//! Rows that contradict each other, or refer to rows that do not exist.

use std::collections::BTreeSet;

use verge_protocol::{Digest, ReleaseNumber, SiteName, Timestamp};

use super::change::{Change, Repair, Statement};
use super::finding::{Finding, Severity};
use super::manifests::{Manifests, Summary};
use super::metadata::{Metadata, Move, Release};
use super::row::{COUNTER, RELEASE, RawRow, SITE};
use super::state_rows::StateRows;

/// What the checks of this module read.
pub(super) struct References<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) state: &'a StateRows,
    pub(super) manifests: &'a Manifests,
    /// Sites that rows of a table name, but that do not exist.
    pub(super) unknown_sites: &'a [(String, String)],
    pub(super) now: Timestamp,
}

impl References<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.counter());
        findings.extend(self.sites());
        findings.extend(self.releases());
        findings.extend(self.moves());
        let wrong_sizes = self.metadata.wrong_sizes.iter().map(|(row, size)| {
            let problem = format!("gives another size than the {size} bytes that the blob has");
            let cost = "pushes that need the blob fail";
            let repair = Repair::delete(row, "deletes the row: the next push sends the blob again");
            Finding::new(Severity::Operation, row, problem, cost).repair(repair)
        });
        findings.extend(wrong_sizes);
        findings
    }

    fn counter(&self) -> Option<Finding> {
        let metadata = self.metadata;
        let history = metadata.history.keys().max().copied().unwrap_or_default();
        let last = self.state.last_seq.max(metadata.last_epoch).max(history);
        let (problem, cost) = match metadata.counter {
            None => ("no sound row".to_owned(), "the origin does not start"),
            Some(counter) if counter.seq < last => {
                (format!("is at {}, but the last write is {last}", counter.seq), "every push fails")
            }
            Some(counter) if history > 0 && counter.seq > last => {
                let problem = format!("is at {}, but the last write is {last}", counter.seq);
                (problem, "edges and name servers start over each time they connect")
            }
            Some(_) => return None,
        };
        let generation = metadata.counter.map_or(self.now.0 / 1000, |counter| counter.generation);
        let floor = metadata.counter.map_or(0, |counter| counter.floor.min(last));
        let columns: [(&str, u64); 4] = [("id", 1), ("generation", generation), ("seq", last), ("floor", floor)];
        let put = Statement::put(&COUNTER, columns.map(|(name, number)| (name, number.into())));
        let effect = format!("sets it to {generation}-{last}");
        let repair = Repair::new(Change::SharedRows(vec![put]), effect);
        Some(Finding::new(Severity::Operation, "counter of writes", problem, cost).repair(repair))
    }

    fn sites(&self) -> Vec<Finding> {
        let mut restored = BTreeSet::new();
        let unknown = self.unknown_sites.iter().filter_map(|(table, name)| {
            let has_manifest = self.manifests.summaries.values().any(|summary| summary.site.as_str() == name);
            if !has_manifest {
                // A release is restored by its manifest, and a domain is known by its name.
                if ["release", "domain"].contains(&table.as_str()) {
                    return None;
                }
                let subject = format!("rows of {table} with site `{name}`");
                // A push may have created the site meanwhile.
                let sql =
                    format!("delete from {table} where site = ? and not exists (select 1 from site where name = ?)");
                let statement = Statement { sql, values: vec![name.as_str().into(), name.as_str().into()] };
                let repair = Repair::new(Change::Rows(vec![statement]), "deletes them");
                let cost = "nothing refers to them";
                return Some(Finding::new(Severity::Harmless, subject, "there is no such site", cost).repair(repair));
            }
            if !restored.insert(name) {
                return None;
            }
            let created = self.metadata.releases.iter().filter(|((site, _), _)| site.as_str() == name);
            let created = created.map(|(_, release)| release.created).min().unwrap_or(self.now.0);
            let put = Statement::put(&SITE, [("name", name.as_str().into()), ("created", created.into())]);
            let repair = Repair::new(Change::Rows(vec![put]), "restores the row");
            let cost = "pushes and rollbacks of it fail; readers are not affected";
            Some(Finding::new(Severity::Operation, format_args!("site {name}"), "no sound row", cost).repair(repair))
        });
        unknown.collect()
    }

    fn summary(&self, manifest: Digest) -> Option<&Summary> {
        self.manifests.summaries.get(&manifest)
    }

    /// Releases that are not what their manifest says.
    fn releases(&self) -> Vec<Finding> {
        let releases = self.metadata.releases.iter().filter_map(|((site, number), release)| {
            let summary = self.summary(release.manifest)?;
            let subject = format!("release {site} {number}");
            if summary.site != *site {
                let problem = format!("its manifest is of site {}", summary.site);
                let finding = Finding::new(Severity::Operation, subject, problem, "edges do not serve it");
                let is_free = !self.metadata.releases.contains_key(&(summary.site.clone(), *number));
                let update = Statement::update(&release.row, [("site", summary.site.as_str().into())]);
                let repair = Repair::new(Change::Rows(vec![update]), format!("gives it back to {}", summary.site));
                return Some(finding.repair(is_free.then_some(repair)));
            }
            if (summary.files, summary.bytes) == (release.files, release.bytes) {
                return None;
            }
            let problem = format!(
                "it says {} files of {} bytes, but its manifest has {} of {}",
                release.files, release.bytes, summary.files, summary.bytes
            );
            let columns = [("files", summary.files.into()), ("bytes", summary.bytes.into())];
            let repair = Repair::new(
                Change::Rows(vec![Statement::update(&release.row, columns)]),
                "restores the numbers from the manifest",
            );
            let cost = "lists show wrong numbers, and a push is compared with them";
            Some(Finding::new(Severity::Operation, subject, problem, cost).repair(repair))
        });
        releases.collect()
    }

    /// Moves to releases that do not exist, or with another manifest.
    fn moves(&self) -> Vec<Finding> {
        let mut lost = BTreeSet::new();
        let odd = self.metadata.odd_moves.iter().filter_map(|(row, channel, odd)| {
            let key = (channel.0.clone(), odd.release);
            let is_last = self.metadata.last_moves.get(channel).is_some_and(|last| last.epoch == odd.epoch);
            let state = self.state.channels.get(channel).and_then(Option::as_ref);
            // The state says which release it was: see `channels`.
            let is_refuted =
                is_last && state.is_some_and(|state| (state.release, state.manifest) != (odd.release, odd.manifest));
            if is_refuted || self.is_damaged_release(&key) {
                return None;
            }
            match self.metadata.releases.get(&key) {
                None if lost.contains(&key) => None,
                None => {
                    lost.insert(key);
                    Some(self.lost_release(row, &channel.0, odd))
                }
                Some(release) => Some(self.contradiction(row, &channel.0, odd, release)),
            }
        });
        odd.collect()
    }

    /// Whether the release has a row, which is damaged.
    fn is_damaged_release(&self, (site, number): &(SiteName, ReleaseNumber)) -> bool {
        let releases = self.metadata.damaged.iter().filter(|(row, _)| row.table.name == RELEASE.name);
        releases
            .into_iter()
            .any(|(row, _)| row.parse::<SiteName>("site").as_ref() == Ok(site) && row.number("number") == Ok(number.0))
    }

    fn lost_release(&self, row: &RawRow, site: &SiteName, to: &Move) -> Finding {
        let of_site = || self.metadata.releases.keys().filter(|(of, _)| of == site).map(|(_, number)| *number);
        let is_plausible = self.metadata.has_damaged("release")
            || of_site().max().is_some_and(|max| to.release < max)
            || self.metadata.releases.values().all(|release| release.manifest != to.manifest);
        if !is_plausible {
            let repair = Repair::delete_shared(row, "deletes the row from the channel's past");
            let problem = format!("names release {}, which does not exist", to.release);
            let cost = "a rollback of the channel may fail";
            return Finding::new(Severity::Operation, row, problem, cost).repair(repair);
        }
        let cost = "it is not listed; a rollback to it fails, and if a channel serves it, pushes to the channel do";
        let subject = format_args!("release {site} {}", to.release);
        let finding = Finding::new(Severity::Operation, subject, "no sound row", cost);
        let Some(summary) = self.summary(to.manifest) else {
            return finding.advice("its manifest cannot be read either: push its files again");
        };
        finding.repair(Repair::new(
            Change::SharedRows(vec![release_row(site, to.release, to.manifest, summary, to.moved)]),
            "restores it, without author and message, from the channel's past and its manifest",
        ))
    }

    fn contradiction(&self, row: &RawRow, site: &SiteName, to: &Move, release: &Release) -> Finding {
        let problem = format!("the move names manifest {}, the release {}", to.manifest, release.manifest);
        let subject = format!("{row}, and release {site} {}", to.release);
        let cost = "a rollback to it may serve other files";
        let finding = Finding::new(Severity::Operation, subject, problem, cost);
        let has_row = |id| self.metadata.manifests.contains_key(&id);
        let (kept, changed, from) = match (has_row(to.manifest), has_row(release.manifest)) {
            (true, false) => (to.manifest, &release.row, "the move"),
            (false, true) => (release.manifest, row, "the release"),
            _ => return finding.advice("restore origin.db from a copy, or push again"),
        };
        let update = Statement::update(changed, [("manifest", kept.to_string().into())]);
        finding.repair(Repair::new(Change::Rows(vec![update]), format!("takes the manifest of {from}")))
    }
}

/// A release by its manifest.
fn release_row(site: &SiteName, number: ReleaseNumber, manifest: Digest, summary: &Summary, created: u64) -> Statement {
    Statement::put(
        &RELEASE,
        [
            ("site", site.as_str().into()),
            ("number", number.0.into()),
            ("manifest", manifest.to_string().into()),
            ("files", summary.files.into()),
            ("bytes", summary.bytes.into()),
            ("created", created.into()),
        ],
    )
}
