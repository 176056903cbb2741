//! `verge-origin verify`: reads everything at rest, and says what is damaged, what that costs, and what heals it.
//!
//! Without `--repair` it changes nothing, and works beside a running origin. [`checks`] composes the checks: `objects` reads every
//! file, `metadata` every row, `manifests` every release; `state_rows`, `references`, `feed_state` and `damaged_rows` compare;
//! `blob_damage` collects what needs a damaged blob. Each makes [`Finding`](finding::Finding)s, with a
//! [`Change`](change::Change) if there is one that `repair` can make.

mod blob_damage;
mod change;
mod checks;
mod damaged_rows;
mod feed_state;
mod finding;
mod manifests;
mod metadata;
mod objects;
mod parallel;
mod progress;
mod references;
mod repair;
mod report;
mod row;
mod snapshot;
mod state_rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use verge_daemon::data_dir::DataDirError;
use verge_daemon::run::ConfigFile;
use verge_daemon::{Clock, DataDir};

use self::objects::Objects;
use self::repair::Repairer;
use self::report::Report;
use crate::origin::Origin;

/// The arguments of `verify`.
#[derive(Args)]
pub struct Verify {
    /// The data directory [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Repair what can be repaired; for some of it the origin must be stopped
    #[arg(long)]
    repair: bool,
    /// Print a JSON object for each finding, and one for the summary
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Runs the command.
    pub(crate) fn run(self, config: &ConfigFile<Origin>) -> anyhow::Result<ExitCode> {
        let data = match self.data {
            Some(data) => data,
            None => config.load()?.data,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let report = runtime.block_on(verify(&data, self.repair, &Clock::system()))?;
        let text = if self.json { report.json() } else { report.to_string() };
        std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
        Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn verify(data: &Path, is_repair: bool, clock: &Clock) -> anyhow::Result<Report> {
    let file = data.join("origin.db");
    let is_there = file.try_exists().with_context(|| format!("failed to read {}", data.display()))?;
    anyhow::ensure!(is_there, "no data directory of an origin: {} does not exist", file.display());
    // Until the end: no origin starts on what is being repaired.
    let lock = if is_repair { lock(data)? } else { None };
    let directory = data.join("objects");
    let objects = Objects::read(&directory, clock.now(), lock.is_some())
        .with_context(|| format!("failed to read {}", directory.display()))?;
    let mut checked = checks::check(data, &objects, clock).await?;
    let mut deleted = None;
    if is_repair {
        let repairer = Repairer { data, lock: lock.as_ref(), objects: &objects, clock };
        repairer.repair(&mut checked.findings).await;
        deleted = Some(repairer.delete_unfinished().map_err(|error| error.to_string()));
    }
    checked.findings.sort_by(|one, other| (one.severity, &one.subject).cmp(&(other.severity, &other.subject)));
    Ok(Report {
        directory: data.display().to_string(),
        findings: checked.findings,
        objects: objects.read,
        quarantine: objects.quarantine,
        unfinished: objects.unfinished,
        releases: checked.releases,
        rows: checked.rows,
        deleted,
    })
}

/// Locks the data directory; `None` if the origin runs.
fn lock(data: &Path) -> anyhow::Result<Option<DataDir>> {
    match DataDir::open(data) {
        Ok(lock) => Ok(Some(lock)),
        Err(DataDirError::InUse(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
