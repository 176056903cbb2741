//! The rows of the database, parsed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use verge_protocol::{
    BuildId, CertificateName, ChannelName, Checkpoint, Coding, Content, Digest, DomainName, EdgeName, History,
    NameServerName, Position, ReleaseNumber, Seq, SiteName, SitePath, Timestamp,
};

use super::blob_damage::BlobDamage;
use super::objects::{BlobStatus, Objects};
use super::row::{self, Parsed, RawRow, Table};
use super::snapshot::Snapshot;

/// What the checks need of the rows; blobs, encodings and the like are checked as they are read.
#[derive(Default)]
pub(super) struct Metadata {
    pub(super) rows: u64,
    pub(super) sites: BTreeSet<SiteName>,
    pub(super) releases: BTreeMap<(SiteName, ReleaseNumber), Release>,
    /// Those that were deleted, with the digests of their manifests.
    pub(super) deleted_releases: BTreeMap<(SiteName, ReleaseNumber), Digest>,
    pub(super) manifests: HashMap<Digest, Content>,
    /// Contents of several blobs: the digest of the list of blobs.
    pub(super) contents: HashMap<Digest, (RawRow, Digest)>,
    /// The last sound move of each channel.
    pub(super) last_moves: BTreeMap<(SiteName, ChannelName), Move>,
    /// Moves to a release that has no row, or another manifest.
    pub(super) odd_moves: Vec<(RawRow, (SiteName, ChannelName), Move)>,
    pub(super) domains: BTreeMap<DomainName, Domain>,
    /// The contents that were erased from each site.
    pub(super) erased: BTreeSet<(SiteName, Digest)>,
    pub(super) state: Vec<RawRow>,
    /// Digests of the history after each write.
    pub(super) history: HashMap<u64, History>,
    pub(super) counter: Option<Counter>,
    /// The last epoch of any move.
    pub(super) last_epoch: u64,
    pub(super) damaged: Vec<(RawRow, String)>,
    /// Tables that cannot be read to their end.
    pub(super) unreadable: Vec<(&'static str, String)>,
    /// Blob rows whose size is not that of the blob.
    pub(super) wrong_sizes: Vec<(RawRow, u32)>,
}

pub(super) struct Release {
    pub(super) row: RawRow,
    pub(super) manifest: Digest,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) created: u64,
}

#[derive(Clone)]
pub(super) struct Move {
    pub(super) epoch: Seq,
    pub(super) release: ReleaseNumber,
    pub(super) manifest: Digest,
    pub(super) moved: u64,
}

pub(super) struct Domain {
    pub(super) row: RawRow,
    pub(super) site: SiteName,
    pub(super) redirect_to: Option<DomainName>,
    pub(super) is_proven: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Counter {
    pub(super) generation: u64,
    pub(super) seq: u64,
    pub(super) floor: u64,
}

impl Metadata {
    /// Reads every row of every table.
    pub(super) async fn read(snapshot: &mut Snapshot, objects: &Objects, damage: &BlobDamage) -> Self {
        let mut all = Self::default();
        all.table(snapshot, &row::COUNTER, Self::counter).await;
        all.table(snapshot, &row::SITE, Self::site).await;
        all.table(snapshot, &row::TOKEN, |_, row| token(row)).await;
        all.table(snapshot, &row::BLOB, |all, row| all.blob(row, objects, damage)).await;
        all.table(snapshot, &row::CONTENT, Self::content).await;
        all.table(snapshot, &row::BUILD, |_, row| build(row)).await;
        all.table(snapshot, &row::MANIFEST, Self::manifest).await;
        all.table(snapshot, &row::RELEASE, Self::release).await;
        all.table(snapshot, &row::DELETED_RELEASE, Self::deleted_release).await;
        all.table(snapshot, &row::CHANNEL_MOVE, Self::channel_move).await;
        all.table(snapshot, &row::CHANNEL_LIFETIME, |_, row| channel_lifetime(row)).await;
        all.table(snapshot, &row::CHANNEL_DELETION, Self::channel_deletion).await;
        all.table(snapshot, &row::FINGERPRINT, |_, row| fingerprint(row)).await;
        all.table(snapshot, &row::ENCODING, |_, row| encoding(row, objects, damage)).await;
        all.table(snapshot, &row::ENCODING_BLOB, |_, row| encoding_blob(row)).await;
        all.table(snapshot, &row::DOMAIN, Self::domain).await;
        all.table(snapshot, &row::ERASURE, Self::erasure).await;
        all.table(snapshot, &row::ERASED_BLOB, |_, row| erased_blob(row)).await;
        all.table(snapshot, &row::UNUSED_BLOB, |_, row| row.parse::<Digest>("digest").map(drop)).await;
        all.table(snapshot, &row::PURGE, |_, row| purge(row)).await;
        all.table(snapshot, &row::SECRET, |_, row| secret(row)).await;
        all.table(snapshot, &row::EDGE_KEY, |_, row| edge_key(row)).await;
        all.table(snapshot, &row::JOIN_CODE, |_, row| join_code(row)).await;
        all.table(snapshot, &row::ISSUANCE, |_, row| issuance(row)).await;
        all.table(snapshot, &row::FAILED_NAME, |_, row| failed_name(row)).await;
        all.table(snapshot, &row::AUTHORITY_LIMIT, |_, row| authority_limit(row)).await;
        all.table(snapshot, &row::REKEY, |_, row| rekey(row)).await;
        all.table(snapshot, &row::HISTORY, Self::history).await;
        all.table(snapshot, &row::DIVERGENCE, |_, row| divergence(row)).await;
        all.table(snapshot, &row::STATE, |all, row| {
            all.state.push(row.clone());
            Ok(())
        })
        .await;
        all
    }

    async fn table(
        &mut self,
        snapshot: &mut Snapshot,
        table: &'static Table,
        mut parse: impl FnMut(&mut Self, &RawRow) -> Parsed<()>,
    ) {
        let read = snapshot.for_each(table, |row| {
            if let Err(reason) = parse(self, &row) {
                self.damaged.push((row, reason));
            }
        });
        match read.await {
            Ok(rows) => self.rows += rows,
            Err(error) => self.unreadable.push((table.name, error.to_string())),
        }
    }

    /// Whether a table has damaged rows.
    pub(super) fn has_damaged(&self, table: &str) -> bool {
        self.damaged.iter().any(|(row, _)| row.table.name == table)
    }

    fn counter(&mut self, row: &RawRow) -> Parsed<()> {
        let counter =
            Counter { generation: row.number("generation")?, seq: row.number("seq")?, floor: row.number("floor")? };
        if row.number("id")? != 1 || counter.generation == 0 || counter.floor > counter.seq {
            return Err("its numbers cannot be true".to_owned());
        }
        self.counter = Some(counter);
        Ok(())
    }

    fn site(&mut self, row: &RawRow) -> Parsed<()> {
        row.number("created")?;
        self.sites.insert(row.parse("name")?);
        Ok(())
    }

    fn blob(&mut self, row: &RawRow, objects: &Objects, damage: &BlobDamage) -> Parsed<()> {
        let (site, digest, bytes) = (row.parse("site")?, row.parse("digest")?, row.number("size")?);
        match objects.blob(digest) {
            BlobStatus::Sound(actual) if u64::from(actual) == bytes => {}
            BlobStatus::Sound(actual) => self.wrong_sizes.push((row.clone(), actual)),
            _ => damage.add_site(digest, site),
        }
        Ok(())
    }

    fn content(&mut self, row: &RawRow) -> Parsed<()> {
        let list = row.parse("blobs")?;
        self.contents.insert(row.parse("digest")?, (row.clone(), list));
        Ok(())
    }

    fn erasure(&mut self, row: &RawRow) -> Parsed<()> {
        row.parse::<SitePath>("path")?;
        for column in ["author", "message"] {
            row.optional(column, RawRow::text)?;
        }
        row.number("made")?;
        self.erased.insert((row.parse("site")?, row.parse("content")?));
        Ok(())
    }

    fn manifest(&mut self, row: &RawRow) -> Parsed<()> {
        let (id, content) = (row.parse("id")?, row.json::<Content>("content")?);
        if content.digest() != id {
            return Err("its content has another digest".to_owned());
        }
        self.manifests.insert(id, content);
        Ok(())
    }

    fn release(&mut self, row: &RawRow) -> Parsed<()> {
        let key = (row.parse("site")?, ReleaseNumber(row.number("number")?));
        let release = Release {
            row: row.clone(),
            manifest: row.parse("manifest")?,
            files: row.number("files")?,
            bytes: row.number("bytes")?,
            created: row.number("created")?,
        };
        for column in ["author", "message", "git_commit", "idempotency_key"] {
            row.optional(column, RawRow::text)?;
        }
        row.optional("warnings", RawRow::json::<Vec<String>>)?;
        self.releases.insert(key, release);
        Ok(())
    }

    fn deleted_release(&mut self, row: &RawRow) -> Parsed<()> {
        let key = (row.parse("site")?, ReleaseNumber(row.number("number")?));
        for column in ["files", "bytes", "created", "deleted"] {
            row.number(column)?;
        }
        for column in ["author", "message", "git_commit", "deleted_by"] {
            row.optional(column, RawRow::text)?;
        }
        self.deleted_releases.insert(key, row.parse("manifest")?);
        Ok(())
    }

    /// Read after all releases, and those that were deleted.
    fn channel_move(&mut self, row: &RawRow) -> Parsed<()> {
        let key: (SiteName, ChannelName) = (row.parse("site")?, row.parse("channel")?);
        let new = Move {
            epoch: Seq(row.number("epoch")?),
            release: ReleaseNumber(row.number("release")?),
            manifest: row.parse("manifest")?,
            moved: row.number("moved")?,
        };
        for column in ["idempotency_key", "author"] {
            row.optional(column, RawRow::text)?;
        }
        self.last_epoch = self.last_epoch.max(new.epoch.0);
        let release = (key.0.clone(), new.release);
        let manifest = self.releases.get(&release).map(|release| &release.manifest);
        if manifest.or_else(|| self.deleted_releases.get(&release)) != Some(&new.manifest) {
            self.odd_moves.push((row.clone(), key.clone(), new.clone()));
        }
        if self.last_moves.get(&key).is_none_or(|last| last.epoch < new.epoch) {
            self.last_moves.insert(key, new);
        }
        Ok(())
    }

    /// A channel that was deleted after its last move has none. Read after all moves.
    fn channel_deletion(&mut self, row: &RawRow) -> Parsed<()> {
        let key: (SiteName, ChannelName) = (row.parse("site")?, row.parse("channel")?);
        let seq = Seq(row.number("seq")?);
        row.number("deleted")?;
        row.optional("author", RawRow::text)?;
        row.number("expired")?;
        if self.last_moves.get(&key).is_some_and(|last| last.epoch < seq) {
            self.last_moves.remove(&key);
        }
        Ok(())
    }

    fn domain(&mut self, row: &RawRow) -> Parsed<()> {
        row.text("proof")?;
        row.number("claimed")?;
        row.optional("problem", RawRow::text)?;
        let domain = Domain {
            row: row.clone(),
            site: row.parse("site")?,
            redirect_to: row.optional("redirect_to", RawRow::parse)?,
            is_proven: row.optional("proven", RawRow::number)?.is_some(),
        };
        self.domains.insert(row.parse("name")?, domain);
        Ok(())
    }

    fn history(&mut self, row: &RawRow) -> Parsed<()> {
        self.history.insert(row.number("seq")?, row.parse("digest")?);
        Ok(())
    }
}

fn token(row: &RawRow) -> Parsed<()> {
    row.parse::<Digest>("digest")?;
    row.optional("edge", RawRow::parse::<EdgeName>)?;
    row.optional("name_server", RawRow::parse::<NameServerName>)?;
    row.number("created").map(drop)
}

fn build(row: &RawRow) -> Parsed<()> {
    row.parse::<SiteName>("site")?;
    row.parse::<BuildId>("id")?;
    row.number("used").map(drop)
}

fn channel_lifetime(row: &RawRow) -> Parsed<()> {
    row.parse::<SiteName>("site")?;
    row.parse::<ChannelName>("channel")?;
    row.number("release")?;
    row.number("seconds").map(drop)
}

fn fingerprint(row: &RawRow) -> Parsed<()> {
    row.parse::<SiteName>("site")?;
    row.parse::<SitePath>("path")?;
    row.parse::<Digest>("digest")?;
    row.number("immutable")?;
    row.number("changed").map(drop)
}

fn encoding(row: &RawRow, objects: &Objects, damage: &BlobDamage) -> Parsed<()> {
    let of = row.parse("digest")?;
    row.parse::<Coding>("coding")?;
    row.number("level")?;
    let Some(content) = row.optional("content", RawRow::json::<Content>)? else { return Ok(()) };
    for slice in content.slices() {
        if objects.blob(slice.digest) != BlobStatus::Sound(u32::try_from(slice.size).unwrap_or_default()) {
            damage.add_encoding(slice.digest, of);
        }
    }
    Ok(())
}

fn encoding_blob(row: &RawRow) -> Parsed<()> {
    row.parse::<Digest>("digest")?;
    row.parse::<Digest>("content").map(drop)
}

fn erased_blob(row: &RawRow) -> Parsed<()> {
    row.parse::<SiteName>("site")?;
    row.parse::<Digest>("digest").map(drop)
}

fn purge(row: &RawRow) -> Parsed<()> {
    row.parse::<SiteName>("site")?;
    row.number("seq")?;
    row.parse::<verge_protocol::purge::PurgeScope>("scope")?;
    for column in ["author", "message"] {
        row.optional(column, RawRow::text)?;
    }
    row.number("made").map(drop)
}

fn secret(row: &RawRow) -> Parsed<()> {
    for column in ["name", "master", "sealed"] {
        row.text(column)?;
    }
    row.number("made").map(drop)
}

fn edge_key(row: &RawRow) -> Parsed<()> {
    row.parse::<EdgeName>("edge")?;
    row.text("public_key")?;
    row.number("bound").map(drop)
}

fn join_code(row: &RawRow) -> Parsed<()> {
    row.parse::<Digest>("digest")?;
    row.optional("edge", RawRow::parse::<EdgeName>)?;
    row.optional("name_server", RawRow::parse::<NameServerName>)?;
    row.number("expires")?;
    row.optional("used", RawRow::number)?;
    row.optional("public_key", RawRow::text).map(drop)
}

fn issuance(row: &RawRow) -> Parsed<()> {
    row.parse::<verge_protocol::DomainName>("domain")?;
    row.text("authority")?;
    for column in ["issued", "failures", "first_failure", "last_failure", "retry_after"] {
        row.number(column)?;
    }
    row.optional("problem", RawRow::text).map(drop)
}

fn failed_name(row: &RawRow) -> Parsed<()> {
    row.parse::<CertificateName>("name")?;
    for column in ["failures", "first_failure", "last_failure"] {
        row.number(column)?;
    }
    row.text("problem").map(drop)
}

fn authority_limit(row: &RawRow) -> Parsed<()> {
    row.text("authority")?;
    for column in ["refused", "since", "retry_after"] {
        row.number(column)?;
    }
    row.text("problem").map(drop)
}

fn rekey(row: &RawRow) -> Parsed<()> {
    row.parse::<DomainName>("domain")?;
    row.parse::<Digest>("key").map(drop)
}

fn divergence(row: &RawRow) -> Parsed<()> {
    row.number("generation")?;
    row.parse::<Position>("had")?;
    row.parse::<Checkpoint>("seen")?;
    row.text("subscriber")?;
    row.number("noticed").map(Timestamp).map(drop)
}
