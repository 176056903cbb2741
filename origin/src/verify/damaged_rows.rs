//! Rows that cannot be decoded or parsed.

use verge_protocol::{Digest, DomainName, EdgeName, NameServerName, ReleaseNumber, SiteName, Timestamp};

use super::change::{Change, Repair, Statement};
use super::finding::{Finding, Severity};
use super::manifests::{Manifests, fingerprint_key};
use super::metadata::Metadata;
use super::row::RawRow;
use super::state_rows::StateRows;

/// What the findings of this module are made from.
pub(super) struct DamagedRows<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) state: &'a StateRows,
    pub(super) manifests: &'a Manifests,
    pub(super) now: Timestamp,
}

/// Names the blobs of all encodings that can be read. Only blobs of encodings that were not completed stay unnamed.
fn name_blobs_of_encodings() -> Statement {
    let sql = "insert into encoding_blob (digest, content) \
               select coalesce(blob.value, json_extract(sound.encoded, '$.digest')) as named, sound.digest \
               from (select digest, case when json_valid(content) then content end as encoded from encoding) as sound \
               left join json_each(sound.encoded, '$.blobs') as blob \
               where length(named) = 64 and length(sound.digest) = 64 on conflict (digest, content) do nothing";
    Statement { sql: sql.to_owned(), values: Vec::new() }
}

impl DamagedRows<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.metadata.damaged.iter().map(|(row, reason)| self.finding(row, reason)).collect()
    }

    fn finding(&self, row: &RawRow, reason: &str) -> Finding {
        let find = |severity, cost: &str| Finding::new(severity, row, reason, cost);
        let site = || row.text("site").unwrap_or("a site");
        match row.table.name {
            "blob" => find(Severity::Operation, &format!("every push of {} fails", site()))
                .repair(Repair::delete(row, "deletes the row: the next push sends that blob again")),
            "build" => find(Severity::Harmless, "a push in progress may have to start again")
                .repair(Repair::delete(row, "deletes the row: the next push writes it again")),
            "channel_deletion" => find(Severity::Harmless, "the channel may inherit from releases before its deletion")
                .repair(Repair::delete(row, "deletes the row")),
            "channel_lifetime" => find(Severity::Operation, "a preview does not end")
                .repair(Repair::delete(row, "deletes the row: the next push with --expires writes another")),
            "channel_move" => self.channel_move(row, find(Severity::Operation, "the channel's past lacks a release")),
            "content" => find(Severity::Operation, "pushes with that content fail")
                .repair(Repair::delete(row, "deletes the row: the next push writes it anew")),
            // See `References::counter`.
            "counter" => find(Severity::Operation, "the origin does not start").repair(Repair::new(
                Change::SharedRows(vec![Statement::delete(row)]),
                "deletes the row, and writes one from the last write",
            )),
            "divergence" => find(Severity::Operation, "`verge status` and the health page fail")
                .repair(Repair::delete(row, "deletes the row")),
            "domain" => self.domain(row, find(Severity::Operation, "the domain is not listed, and is not checked")),
            "encoding" => find(Severity::Operation, "pushes with that content fail")
                .repair(Repair::delete(row, "deletes the row: the next push encodes the content again")),
            "encoding_blob" => find(Severity::Operation, "an erasure may remove a blob of an encoding, or leave one in the store")
                .repair(Repair::new(Change::Rows(vec![Statement::delete(row), name_blobs_of_encodings()]), "deletes the row, and restores it from the encoding, if that was completed")),
            "erased_blob" => find(Severity::Operation, "an erased blob may stay in the store")
                .repair(Repair::delete(row, "deletes the row"))
                .advice(format!("erase it again: `verge erase --site {}`", site())),
            "erasure" => find(Severity::Operation, "the content can be pushed again, and its blobs count as missing")
                .repair(Repair::delete(row, "deletes the row"))
                .advice(format!("erase it again: `verge erase --site {}`", site())),
            "fingerprint" => self.fingerprint(row, find(Severity::Operation, &format!("every push of {} fails", site()))),
            "history" => {
                let cost = "a row is sent unchecked, and a subscriber that had read up to it starts over";
                let delete = Change::SharedRows(vec![Statement::delete(row)]);
                find(Severity::Harmless, cost).repair(Repair::new(delete, "deletes the row"))
            }
            "manifest" => self.manifest(row, find(Severity::Operation, "edges cannot load the manifest")),
            "purge" => find(Severity::Operation, "`verge log` leaves the purge out; what it purged may be inherited after the next push")
                .repair(Repair::delete(row, "deletes the row"))
                .advice(format!("purge it again: `verge purge --site {}`", site())),
            "release" => self.release(row, find(Severity::Operation, "the release is not listed; a rollback to it fails, and if a channel serves it, pushes to the channel do")),
            "deleted_release" => find(Severity::Harmless, "`verge log` names neither author nor message of the release, which was deleted")
                .repair(Repair::delete(row, "deletes the row")),
            "unused_blob" => find(Severity::Harmless, "bytes that nothing needs may stay on disk")
                .repair(Repair::delete(row, "deletes the row")),
            "edge_key" => find(Severity::Operation, "the edge gets no secrets")
                .repair(Repair::delete(row, "deletes the row: the edge is bound to its key when it asks again")),
            "join_code" => find(Severity::Harmless, "the join code cannot be used")
                .repair(Repair::delete(row, "deletes the row"))
                .advice("make another one: `verge edges join-code` or `verge dns add`"),
            "issuance" => find(Severity::Harmless, "a certificate may be ordered earlier than planned")
                .repair(Repair::delete(row, "deletes the row")),
            "failed_name" => find(Severity::Harmless, "a name that an authority could not verify may be tried again earlier than planned")
                .repair(Repair::delete(row, "deletes the row")),
            "authority_limit" => find(Severity::Harmless, "an authority that has refused an order because of a rate limit may be asked again earlier than planned")
                .repair(Repair::delete(row, "deletes the row")),
            "rekey" => find(Severity::Operation, "a private key that was to be replaced stays until its certificate is renewed")
                .repair(Repair::delete(row, "deletes the row"))
                .advice("replace it again: `verge certs rekey`"),
            "secret" => find(Severity::Operation, "a certificate is not sent to edges that lack its key, or session tickets are not shared")
                .repair(Repair::delete(row, "deletes the row: the origin makes the secret anew, and orders the certificate")),
            "site" => self.site(row, find(Severity::Operation, "the site is not listed; pushes and rollbacks of it fail")),
            "token" => self.token(row, reason),
            _ => find(Severity::Operation, "unknown"),
        }
    }

    fn channel_move(&self, row: &RawRow, finding: Finding) -> Finding {
        let channel = row.parse("site").and_then(|site| Ok((site, row.parse("channel")?)));
        let is_restorable = match channel {
            Ok(channel) => matches!(self.state.channels.get(&channel), Some(Some(_))),
            Err(_) => self.state.damaged.is_empty(),
        };
        if is_restorable {
            return finding.repair(Repair::delete_shared(
                row,
                "deletes the row; the last move is restored from the channel's state",
            ));
        }
        finding.advice("push the channel again: its state is damaged too")
    }

    fn domain(&self, row: &RawRow, finding: Finding) -> Finding {
        let Ok(name) = row.parse::<DomainName>("name") else {
            let repair = Repair::delete_shared(row, "deletes the row: no domain has such a name");
            return finding.repair(repair).advice("then add the domain again with `verge domains add`");
        };
        let state = self.state.domains.get(&name).and_then(Option::as_ref);
        let Some(state) = state.filter(|_| row.text("proof").is_ok()) else {
            let site = row.text("site").unwrap_or("…").to_owned();
            let advice = format!(
                "add it again: `verge domains add {name} --site {site}`; it is served once the new TXT record is found"
            );
            return finding.advice(advice);
        };
        let columns = [
            ("site", state.site.as_str().into()),
            ("redirect_to", state.redirect_to.as_ref().map(DomainName::as_str).into()),
            ("claimed", row.number("claimed").unwrap_or(self.now.0).into()),
            ("proven", row.number("proven").unwrap_or(self.now.0).into()),
            ("problem", row.text("problem").ok().into()),
        ];
        let update = Change::SharedRows(vec![Statement::update(row, columns)]);
        finding.repair(Repair::new(update, "restores the row from what is served"))
    }

    fn fingerprint(&self, row: &RawRow, finding: Finding) -> Finding {
        let first = fingerprint_key(row).and_then(|key| self.manifests.fingerprints.get(&key));
        let Some((number, digest)) = first else {
            let effect = "deletes the row: the next release with that path counts as the first";
            return finding.repair(Repair::delete(row, effect));
        };
        // What is not known is assumed: that costs revalidations.
        let columns = [
            ("digest", digest.to_string().into()),
            ("immutable", row.number("immutable").unwrap_or(1).into()),
            ("changed", row.number("changed").unwrap_or(1).into()),
        ];
        let update = Change::Rows(vec![Statement::update(row, columns)]);
        finding.repair(Repair::new(update, format!("restores the digest from {number}")))
    }

    /// The content tells the id; without it see [`Manifests`].
    fn manifest(&self, row: &RawRow, finding: Finding) -> Finding {
        if let Ok(content) = row.json::<verge_protocol::Content>("content")
            && !self.metadata.manifests.contains_key(&content.digest())
        {
            let update = Statement::update(row, [("id", content.digest().to_string().into())]);
            let delete = Statement {
                sql: "delete from manifest where id = ?".to_owned(),
                values: vec![content.digest().to_string().into()],
            };
            let is_id_damaged = row.parse::<Digest>("id") != Ok(content.digest());
            let statements = if is_id_damaged { vec![delete, update] } else { vec![update] };
            return finding.repair(Repair::new(Change::Rows(statements), "restores the id from the content"));
        }
        let id = row.parse::<Digest>("id").ok();
        let is_used = id.is_some_and(|id| self.metadata.releases.values().any(|release| release.manifest == id));
        if is_used {
            return finding.advice("see the manifest");
        }
        finding.repair(Repair::delete(row, "deletes the row: no release refers to it"))
    }

    fn release(&self, row: &RawRow, finding: Finding) -> Finding {
        let key = row.parse::<SiteName>("site").and_then(|site| Ok((site, ReleaseNumber(row.number("number")?))));
        let Ok((site, number)) = key else {
            return finding
                .repair(Repair::delete(row, "deletes the row; the release is restored from the channel's past"));
        };
        let moves = self.metadata.odd_moves.iter().filter(|(_, channel, to)| channel.0 == site && to.release == number);
        let first = moves.map(|(.., to)| to).min_by_key(|to| to.epoch);
        let manifest = row.parse("manifest").ok().or(first.map(|to| to.manifest));
        let summary = manifest.and_then(|manifest| Some((manifest, self.manifests.summaries.get(&manifest)?)));
        let Some((manifest, summary)) = summary else {
            return finding.advice("its manifest cannot be read: push its files again");
        };
        let created = row.number("created").ok().or(first.map(|to| to.moved)).unwrap_or(self.now.0);
        let columns = [
            ("manifest", manifest.to_string().into()),
            ("files", summary.files.into()),
            ("bytes", summary.bytes.into()),
            ("created", created.into()),
            ("author", row.text("author").ok().into()),
            ("message", row.text("message").ok().into()),
            ("git_commit", row.text("git_commit").ok().into()),
            ("idempotency_key", row.text("idempotency_key").ok().into()),
            (
                "warnings",
                row.text("warnings").ok().filter(|text| serde_json::from_str::<Vec<String>>(text).is_ok()).into(),
            ),
        ];
        let update = Change::Rows(vec![Statement::update(row, columns)]);
        finding.repair(Repair::new(update, "restores it from the channel's past and its manifest"))
    }

    fn site(&self, row: &RawRow, finding: Finding) -> Finding {
        let Ok(name) = row.parse::<SiteName>("name") else {
            return finding.repair(Repair::delete(row, "deletes the row: no site has such a name"));
        };
        let created = self.metadata.releases.iter().filter(|((site, _), _)| *site == name);
        let created = created.map(|(_, release)| release.created).min().unwrap_or(self.now.0);
        let update = Change::Rows(vec![Statement::update(row, [("created", created.into())])]);
        finding.repair(Repair::new(update, "takes the time of its first release"))
    }

    fn token(&self, row: &RawRow, reason: &str) -> Finding {
        let edge = row.optional("edge", RawRow::parse::<EdgeName>);
        let name_server = row.optional("name_server", RawRow::parse::<NameServerName>);
        let (owner, command) = match (&edge, &name_server) {
            (Ok(Some(edge)), _) => (format!("edge {edge}"), format!("`verge edges token {edge}`")),
            (Ok(None), Ok(Some(name))) => (format!("name server {name}"), format!("`verge dns token {name}`")),
            (Ok(None), Ok(None)) => ("the administrator".to_owned(), "a restart of the origin".to_owned()),
            _ => ("its owner".to_owned(), "`verge edges token` or `verge dns token`".to_owned()),
        };
        let works = edge.is_ok() && name_server.is_ok() && row.parse::<Digest>("digest").is_ok();
        let subject = format_args!("token of {owner}");
        if works {
            let update = Change::SharedRows(vec![Statement::update(row, [("created", self.now.0.into())])]);
            let cost = "lists of tokens fail";
            let repair = Repair::new(update, "takes the present as its time");
            return Finding::new(Severity::Operation, subject, reason, cost).repair(repair);
        }
        let cost = "the token is rejected: an edge keeps serving what it has, and follows no change";
        Finding::new(Severity::Operation, subject, reason, cost)
            .repair(Repair::delete_shared(row, "deletes the row"))
            .advice(format!("then issue a new token with {command}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
    use verge_protocol::Content;

    use super::*;

    #[tokio::test]
    async fn blobs_of_all_encodings_that_can_be_read_are_named() {
        let mut database = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for migration in ["0001_initial", "0018_encoding_blobs"] {
            let path = format!("{}/migrations/{migration}.sql", env!("CARGO_MANIFEST_DIR"));
            database.execute(AssertSqlSafe(std::fs::read_to_string(path).unwrap())).await.unwrap();
        }
        let of = Digest::of(b"text").to_string();
        let (small, large) = (Content::cut(&"br".into()).0, Content::cut(&vec![7; (512 << 10) + 1].into()).0);
        let json = |content: &Content| Some(serde_json::to_string(content).unwrap());
        let rows = [json(&small), json(&large), None, Some("{".to_owned()), Some("[7]".to_owned())];
        for (level, content) in (1_i64..).zip(rows) {
            let insert = sqlx::query("insert into encoding (digest, coding, level, content) values (?, 'br', ?, ?)");
            insert.bind(&of).bind(level).bind(content).execute(&mut database).await.unwrap();
        }
        let mut expected: BTreeSet<_> = large.slices().map(|slice| (slice.digest.to_string(), of.clone())).collect();
        expected.insert((small.digest().to_string(), of.clone()));
        assert_eq!(expected.len(), 3);
        for _ in 0..2 {
            database.execute(AssertSqlSafe(name_blobs_of_encodings().sql)).await.unwrap();
            let names = sqlx::query_as("select digest, content from encoding_blob").fetch_all(&mut database);
            let names: Vec<(String, String)> = names.await.unwrap();
            assert_eq!((names.len(), names.into_iter().collect()), (3, expected.clone()));
        }
    }
}
