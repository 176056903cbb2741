//! All checks, in the order in which they read.

use std::path::Path;

use anyhow::Context as _;
use verge_daemon::Clock;

use super::blob_damage::BlobDamage;
use super::change::{Change, Repair, Statement};
use super::damaged_rows::DamagedRows;
use super::feed_state::FeedState;
use super::finding::{Finding, Severity};
use super::manifests::Manifests;
use super::metadata::Metadata;
use super::objects::Objects;
use super::references::References;
use super::snapshot::Snapshot;
use super::state_rows::StateRows;
use crate::store;

/// What the checks found, and how much they read.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    pub(super) releases: u64,
    pub(super) rows: u64,
}

/// Checks everything in the data directory `data`, whose objects were read before.
///
/// The objects come first and the snapshot of the database second, so that the snapshot's transaction is short. An object that the
/// snapshot names and that was not there before is looked up again; one that is not named is not needed yet.
pub(super) async fn check(data: &Path, objects: &Objects, clock: &Clock) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    checked.findings.extend(objects.odd.iter().map(|file| {
        let subject = format_args!("objects/{}", file.path.display());
        if file.is_build {
            let cost = "a push in progress may have to start again";
            let repair = Repair::new(Change::SetAside(file.path.clone()), "moves it to quarantine");
            Finding::new(Severity::Harmless, subject, &file.problem, cost).repair(repair)
        } else {
            Finding::new(Severity::Harmless, subject, &file.problem, "it takes up space").advice("delete it")
        }
    }));
    let damage = BlobDamage::default();
    let file = data.join("origin.db");
    match Snapshot::open(&file).await {
        Ok(snapshot) => check_database(snapshot, objects, damage, clock, &mut checked).await?,
        Err(error) if is_damaged(&error) => {
            let cost = "the origin does not start";
            let finding = Finding::new(Severity::Operation, "origin.db", format!("{error:#}"), cost);
            checked.findings.push(finding.advice("restore it from a copy"));
            checked.findings.extend(damage.findings(objects));
        }
        Err(error) => return Err(error).with_context(|| format!("failed to open {}", file.display())),
    }
    Ok(checked)
}

/// SQLite's result codes `SQLITE_CORRUPT` and `SQLITE_NOTADB`: the file is there, and is no sound database.
fn is_damaged(error: &anyhow::Error) -> bool {
    let code = match error.downcast_ref() {
        Some(sqlx::Error::Database(error)) => error.code().and_then(|code| code.parse::<i32>().ok()),
        _ => None,
    };
    code.is_some_and(|code| [11, 26].contains(&(code & 0xff)))
}

async fn check_database(
    mut snapshot: Snapshot,
    objects: &Objects,
    damage: BlobDamage,
    clock: &Clock,
    checked: &mut Checked,
) -> anyhow::Result<()> {
    checked.findings.extend(migrations(&mut snapshot).await?);
    checked.findings.extend(file_errors(&mut snapshot).await);
    let metadata = Metadata::read(&mut snapshot, objects, &damage).await;
    let unknown_sites = unknown_sites(&mut snapshot).await;
    let _ = snapshot.close().await;

    let now = clock.now();
    let state = StateRows::check(&metadata);
    let mut manifests = Manifests::read(&metadata, &state, objects, &damage, now);
    let (metadata, manifests_read) = (&metadata, &manifests);
    checked.findings.extend(DamagedRows { metadata, state: &state, manifests: manifests_read, now }.findings());
    let references =
        References { metadata, state: &state, manifests: manifests_read, unknown_sites: &unknown_sites, now };
    checked.findings.extend(references.findings());
    checked.findings.extend(FeedState { metadata, state: &state, now }.findings());
    checked.findings.extend(metadata.unreadable.iter().map(|(table, error)| {
        let cost = "what the rest of the table holds is unknown, and cannot be changed";
        Finding::new(
            Severity::Operation,
            format_args!("table {table}"),
            format!("cannot be read to its end: {error}"),
            cost,
        )
        .advice("restore origin.db from a copy")
    }));
    checked.findings.append(&mut manifests.findings);
    checked.findings.extend(state.findings);
    checked.findings.extend(damage.findings(objects));
    checked.releases = metadata.releases.len() as u64;
    checked.rows = metadata.rows;
    Ok(())
}

/// Compares the migrations that were applied with those of this program.
async fn migrations(snapshot: &mut Snapshot) -> anyhow::Result<Option<Finding>> {
    let own = store::migrations();
    let finding = |problem: String| {
        Finding::new(Severity::Operation, "list of migrations", problem, "the origin does not start")
            .advice("restore origin.db from a copy")
    };
    let applied = match snapshot.migrations().await {
        Ok(applied) => applied,
        Err(error) => return Ok(Some(finding(format!("cannot be read: {error}")))),
    };
    let versions = |list: &[(i64, Vec<u8>)]| list.iter().map(|(version, _)| *version).collect::<Vec<_>>();
    let (theirs, ours) = (versions(&applied), versions(&own));
    anyhow::ensure!(
        theirs == ours,
        "the database has migrations {theirs:?}, this program {ours:?}: use the version of verge-origin that runs"
    );
    Ok((applied != own).then(|| finding("has other checksums than this program".to_owned())))
}

async fn file_errors(snapshot: &mut Snapshot) -> Vec<Finding> {
    let finding = |problem: String| {
        Finding::new(Severity::Operation, "origin.db", problem, "reads and writes of some rows may fail")
    };
    let advice = "restore origin.db from a copy, or stop the origin and run `sqlite3 origin.db .recover`";
    let errors = match snapshot.file_errors().await {
        Ok(errors) => errors,
        Err(error) => return vec![finding(error.to_string()).advice(advice)],
    };
    let is_index = |error: &String| error.contains(" index ");
    if !errors.is_empty() && errors.iter().all(is_index) {
        let reindex = Statement { sql: "reindex".to_owned(), values: Vec::new() };
        let repair = Repair::new(Change::SharedRows(vec![reindex]), "builds the indexes anew");
        return vec![finding(errors.join("; ")).repair(repair)];
    }
    errors.into_iter().map(|error| finding(error).advice(advice)).collect()
}

/// The sites that rows name, but that do not exist, each with the table. Tables that cannot be read are reported elsewhere.
async fn unknown_sites(snapshot: &mut Snapshot) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    for (table, parent) in snapshot.broken_references().await.unwrap_or_default() {
        if parent == "site" {
            let names = snapshot.unknown_sites(&table).await.unwrap_or_default();
            unknown.extend(names.into_iter().map(|name| (table.clone(), name)));
        }
    }
    unknown
}
