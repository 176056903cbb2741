//! The table that the change feed sends: which of its rows can be relied on.

use std::collections::BTreeMap;

use verge_protocol::fleet::DomainState;
use verge_protocol::host::HostLabel;
use verge_protocol::json::Json;
use verge_protocol::state::{ChannelState, ParsedRow, Row};
use verge_protocol::{ChannelName, DomainName, History, Seq, SiteName};

use super::change::{Change, Repair, Statement};
use super::finding::{Finding, Severity};
use super::metadata::Metadata;
use super::row::{HISTORY, Parsed, RawRow};

/// The rows of `state`, parsed. A value that is `None` is a tombstone.
#[derive(Default)]
pub(super) struct StateRows {
    pub(super) channels: BTreeMap<(SiteName, ChannelName), Option<ChannelState>>,
    pub(super) domains: BTreeMap<DomainName, Option<DomainState>>,
    /// Rows that the feed leaves out, or whose value no subscriber can read, and why.
    pub(super) damaged: Vec<(RawRow, String)>,
    /// The highest sequence number.
    pub(super) last_seq: u64,
    /// Digests of the history that do not match the rows around them.
    pub(super) findings: Vec<Finding>,
}

struct Columns<'a> {
    row: &'a RawRow,
    key: &'a str,
    value: Option<&'a str>,
}

impl StateRows {
    /// Checks each row against the history before and after it.
    ///
    /// A row that does not match may be damaged, or the history may. If the history that the row leads to is the one from which the
    /// next write continues, the row is sound, and the digest between them is not.
    pub(super) fn check(metadata: &Metadata) -> Self {
        let mut all = Self::default();
        let mut rows: BTreeMap<u64, Columns<'_>> = BTreeMap::new();
        for row in &metadata.state {
            match columns(row) {
                Ok((seq, columns)) => drop(rows.insert(seq, columns)),
                Err(reason) => all.damaged.push((row.clone(), reason)),
            }
        }
        all.last_seq = rows.keys().last().copied().unwrap_or_default();
        let known = |seq: u64| if seq == 0 { Some(History::EMPTY) } else { metadata.history.get(&seq).copied() };
        let mut restored: BTreeMap<u64, History> = BTreeMap::new();
        for (&seq, columns) in &rows {
            let Some(after) = known(seq - 1).map(|before| columns.after(before, seq)) else { continue };
            let Some(next) = rows.get(&(seq + 1)) else { continue };
            if known(seq) != Some(after) && known(seq + 1) == Some(next.after(after, seq + 1)) {
                all.findings.push(damaged_history(seq, after, known(seq).is_some(), columns.key, next.key));
                restored.insert(seq, after);
            }
        }
        let history = |seq: u64| restored.get(&seq).copied().or_else(|| known(seq));
        for (seq, columns) in rows {
            let is_match = match (history(seq - 1), history(seq)) {
                (Some(before), Some(after)) => columns.after(before, seq) == after,
                _ => true,
            };
            let parsed = if is_match { all.add(seq, &columns) } else { Err("does not match its checksum".to_owned()) };
            if let Err(reason) = parsed {
                all.damaged.push((columns.row.clone(), reason));
            }
        }
        all
    }

    fn add(&mut self, seq: u64, columns: &Columns<'_>) -> Parsed<()> {
        let value: Option<Json> =
            columns.value.map(serde_json::from_str).transpose().map_err(|_| "its value is not JSON".to_owned())?;
        let row = Row { key: columns.key.to_owned(), seq: Seq(seq), value };
        match row.parse().map_err(|error| error.to_string())? {
            ParsedRow::Channel(HostLabel { site, channel }, value) => {
                if value.as_ref().is_some_and(|state| state.epoch.0 > seq) {
                    return Err("its epoch is above its sequence number".to_owned());
                }
                self.channels.insert((site, channel), value);
            }
            ParsedRow::Domain(name, value) => drop(self.domains.insert(name, value)),
            ParsedRow::Rollout(..)
            | ParsedRow::Release(..)
            | ParsedRow::Edge(..)
            | ParsedRow::Site(..)
            | ParsedRow::Purge(..)
            | ParsedRow::Erased(..)
            | ParsedRow::Certificate(..)
            | ParsedRow::Challenge(..)
            | ParsedRow::TicketSecret(..)
            | ParsedRow::Caa(..) => {}
        }
        Ok(())
    }
}

impl Columns<'_> {
    fn after(&self, before: History, seq: u64) -> History {
        before.then(Seq(seq), self.key, self.value)
    }
}

fn columns(row: &RawRow) -> Parsed<(u64, Columns<'_>)> {
    let seq = row.number("seq")?;
    if seq == 0 {
        return Err("its sequence number is 0".to_owned());
    }
    Ok((seq, Columns { row, key: row.text("key")?, value: row.optional("value", RawRow::text)? }))
}

fn damaged_history(seq: u64, digest: History, is_wrong: bool, key: &str, next_key: &str) -> Finding {
    let subject = format_args!("history after write {seq}");
    let put = Statement::put(&HISTORY, [("seq", seq.into()), ("digest", digest.to_string().into())]);
    let repair = Repair::new(Change::SharedRows(vec![put]), "restores it from the rows around it");
    let finding = if is_wrong {
        let cost = format!("the change feed leaves out {key} and {next_key}, which are sound");
        Finding::new(Severity::Operation, subject, "does not match the rows around it", cost)
    } else {
        let cost = format!("{key} and {next_key} are sent unchecked");
        Finding::new(Severity::Harmless, subject, "no sound row", cost)
    };
    finding.repair(repair)
}
