//! `--repair`: makes the changes that findings propose.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};
use verge_daemon::{Clock, DataDir};
use verge_protocol::Digest;
use verge_protocol::host::HostLabel;
use verge_protocol::state::RolloutState;

use super::change::{Change, Statement, Value};
use super::finding::{Finding, Outcome};
use super::objects::Objects;
use crate::publish;
use crate::store::{Database, NewMove};

/// Makes changes to a data directory.
pub(super) struct Repairer<'a> {
    pub(super) data: &'a Path,
    /// The lock of the directory; `None` while the origin runs.
    pub(super) lock: Option<&'a DataDir>,
    pub(super) objects: &'a Objects,
    pub(super) clock: &'a Clock,
}

impl Repairer<'_> {
    /// Makes every change that the findings propose, and records what came of it. Rows are changed first, so that the feed is
    /// written by what is right then.
    pub(super) async fn repair(&self, findings: &mut [Finding]) {
        let is_late = |finding: &Finding| {
            let change = finding.repair.as_ref().map(|repair| &repair.change);
            !matches!(change, Some(Change::Rows(_) | Change::SharedRows(_)))
        };
        for late in [false, true] {
            for finding in findings.iter_mut().filter(|finding| is_late(finding) == late) {
                let Some(repair) = &finding.repair else { continue };
                let outcome = if repair.change.needs_stopped_origin() && self.lock.is_none() {
                    Outcome::NeedsStop
                } else {
                    self.make(&repair.change).await.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")))
                };
                finding.outcome = Some(outcome);
            }
        }
    }

    async fn make(&self, change: &Change) -> anyhow::Result<Outcome> {
        match change {
            Change::Rows(statements) | Change::SharedRows(statements) => self.execute(statements).await?,
            Change::ForgetBlob(digest) => return self.forget_blob(*digest).await,
            Change::SetAside(path) => drop(self.set_aside(&self.data.join("objects").join(path))?),
            Change::Channel(site, channel, release, manifest) => {
                let database = self.database().await?;
                let now = self.clock.now();
                let new = NewMove {
                    label: HostLabel { site: site.clone(), channel: channel.clone() },
                    rollout: RolloutState {
                        release: *release,
                        manifest: *manifest,
                        expected: database.channel(site, channel).await?.map(|state| state.epoch),
                        idempotency_key: None,
                        started: now,
                        canary: None,
                        author: None,
                    },
                };
                let inherits = |moves: &[_], purges: &[_]| publish::inherited(*manifest, moves, purges, now);
                let outcome = database.move_channel(&new, now, inherits).await?;
                database.close().await;
                anyhow::ensure!(outcome.is_ok(), "the channel was moved meanwhile");
            }
            Change::Domain(name) => {
                let database = self.database().await?;
                database.rewrite_domain_state(name).await?;
                database.close().await;
            }
        }
        Ok(Outcome::Repaired)
    }

    async fn database(&self) -> anyhow::Result<Database> {
        Ok(Database::open(&self.data.join("origin.db"), self.clock.now()).await?)
    }

    /// Executes statements in one transaction. References are not enforced: rows are restored in any order.
    async fn execute(&self, statements: &[Statement]) -> anyhow::Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(self.data.join("origin.db"))
            .foreign_keys(false)
            .busy_timeout(std::time::Duration::from_secs(10))
            .disable_statement_logging();
        let mut connection: SqliteConnection = options.connect().await?;
        connection.execute("begin immediate").await?;
        for statement in statements {
            let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
            for value in &statement.values {
                query = match value.clone() {
                    Value::Null => query.bind(None::<String>),
                    Value::Integer(number) => query.bind(number),
                    Value::Text(text) => query.bind(text),
                };
            }
            query.execute(&mut connection).await?;
        }
        connection.execute("commit").await?;
        connection.close().await?;
        Ok(())
    }

    async fn forget_blob(&self, digest: Digest) -> anyhow::Result<Outcome> {
        if self.objects.read_again(digest).is_sound() {
            return Ok(Outcome::Healed);
        }
        let quarantined = self.set_aside(&self.objects.blob_file(digest));
        // A push may have replaced it since it was read.
        if let Ok(path) = &quarantined
            && fs::read(path).is_ok_and(|bytes| Digest::of(&bytes) == digest)
        {
            fs::rename(path, self.objects.blob_file(digest))?;
            return Ok(Outcome::Healed);
        }
        // One that cannot be moved is still promised by its rows: nothing may say that it was repaired.
        if let Err(error) = quarantined
            && self.objects.blob_file(digest).exists()
        {
            return Err(error);
        }
        let database = self.database().await?;
        let forgotten = database.forget_blob(digest).await;
        database.close().await;
        forgotten?;
        Ok(Outcome::Repaired)
    }

    /// Moves a file to quarantine.
    fn set_aside(&self, file: &Path) -> anyhow::Result<PathBuf> {
        let quarantine = self.data.join("objects/quarantine");
        fs::create_dir_all(&quarantine)?;
        let target = quarantine.join(file.file_name().unwrap_or_default());
        fs::rename(file, &target).with_context(|| format!("failed to move {} to quarantine", file.display()))?;
        Ok(target)
    }

    /// Deletes unfinished files, and returns how many there were.
    pub(super) fn delete_unfinished(&self) -> io::Result<u64> {
        let mut deleted = 0;
        for path in &self.objects.unfinished_paths {
            match fs::remove_file(path) {
                Ok(()) => deleted += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }
}
