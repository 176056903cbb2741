//! What the change feed sends, compared with the rows that it was made from.

use verge_protocol::state::Key;
use verge_protocol::{ChannelName, DomainName, SiteName, Timestamp};

use super::change::{Change, Repair, Statement};
use super::finding::{Finding, Severity};
use super::metadata::{Domain, Metadata, Move};
use super::row::{CHANNEL_MOVE, RawRow};
use super::state_rows::StateRows;

/// What the checks of this module read.
pub(super) struct FeedState<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) state: &'a StateRows,
    pub(super) now: Timestamp,
}

impl FeedState<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.channels();
        findings.extend(self.domains());
        findings.extend(self.state.damaged.iter().filter_map(|(row, reason)| self.state_row(row, reason)));
        findings
    }

    /// Channels whose state is damaged, or differs from their last move.
    fn channels(&self) -> Vec<Finding> {
        let channels = self.metadata.last_moves.iter().filter_map(|(key, last)| {
            let label = format!("channel/{}/{}", key.0, key.1);
            match self.state.channels.get(key) {
                Some(None) => None,
                Some(Some(state)) => {
                    if (state.epoch, state.release, state.manifest) == (last.epoch, last.release, last.manifest) {
                        return None;
                    }
                    let now = Move { epoch: state.epoch, release: state.release, manifest: state.manifest, moved: last.moved };
                    Some(unlisted(&label, key, &now))
                }
                None => {
                    let damaged = self.state.damaged.iter().find(|(row, _)| row.text("key").is_ok_and(|key| key == label));
                    let problem = damaged.map_or("no row", |(_, reason)| reason).to_owned();
                    let cost = format!(
                        "the change feed leaves it out: edges keep serving what they have, a new edge does not serve {}",
                        key.0
                    );
                    let finding = Finding::new(Severity::Readers, format_args!("state row {label}"), problem, cost);
                    let repair = Repair::new(
                        Change::Channel(key.0.clone(), key.1.clone(), last.release, last.manifest),
                        format!("writes it anew: the channel points at {}", last.release),
                    );
                    // An earlier move must not be taken for the last one.
                    let is_last_known = !self.metadata.has_damaged("channel_move");
                    let advice = "so does the next push or rollback";
                    Some(if is_last_known { finding.repair(repair).advice(advice) } else { finding.advice("push again") })
                }
            }
        });
        let unmoved = self.state.channels.iter().filter_map(|(key, state)| {
            let state = state.as_ref().filter(|_| !self.metadata.last_moves.contains_key(key))?;
            let created = self.metadata.releases.get(&(key.0.clone(), state.release));
            let moved = created.map_or(self.now.0, |release| release.created);
            let now = Move { epoch: state.epoch, release: state.release, manifest: state.manifest, moved };
            Some(unlisted(&format!("channel/{}/{}", key.0, key.1), key, &now))
        });
        channels.chain(unmoved).collect()
    }

    /// Domains whose state differs from their row.
    fn domains(&self) -> Vec<Finding> {
        let rows = self.metadata.domains.iter().filter_map(|(name, domain)| {
            let key = Key::Domain(name.clone());
            match self.state.domains.get(name) {
                Some(Some(state)) if domain.is_proven => {
                    if (&state.site, &state.redirect_to) == (&domain.site, &domain.redirect_to) {
                        return None;
                    }
                    let problem = format!("names site {}, but {} is served", domain.site, state.site);
                    let columns = [
                        ("site", state.site.as_str().into()),
                        ("redirect_to", state.redirect_to.as_ref().map(DomainName::as_str).into()),
                    ];
                    let update = Statement::update(&domain.row, columns);
                    let repair = Repair::new(Change::SharedRows(vec![update]), "restores it from what is served");
                    let cost = "lists show another site than the one that is served";
                    Some(Finding::new(Severity::Operation, &domain.row, problem, cost).repair(repair))
                }
                Some(None) | None if !domain.is_proven => None,
                None if self.is_damaged(&key) => None,
                _ => {
                    let problem = "differs from the row of the domain";
                    let cost = "the domain is served although it is not proven, or is not served although it is";
                    let repair = Repair::new(Change::Domain(name.clone()), "writes it by the row of the domain");
                    Some(Finding::new(Severity::Readers, format_args!("state row {key}"), problem, cost).repair(repair))
                }
            }
        });
        let served = self.state.domains.iter().filter_map(|(name, state)| {
            let state = state.as_ref().filter(|_| !self.metadata.domains.contains_key(name))?;
            let cost = "it is served, but not listed, and cannot be removed";
            let advice = format!("run `verge domains add {name} --site {}` and add its new TXT record", state.site);
            Some(Finding::new(Severity::Operation, format_args!("domain {name}"), "no sound row", cost).advice(advice))
        });
        rows.chain(served).collect()
    }

    fn is_damaged(&self, key: &Key) -> bool {
        let text = key.to_string();
        self.state.damaged.iter().any(|(row, _)| row.text("key").is_ok_and(|key| key == text))
    }

    /// A damaged row of a key other than that of a channel with a past.
    fn state_row(&self, row: &RawRow, reason: &str) -> Option<Finding> {
        let left_out = "the change feed leaves it out";
        let subject = row.text("key").map_or_else(|_| row.to_string(), |key| format!("state row {key}"));
        let find = |severity, cost: String| Finding::new(severity, &subject, reason, cost);
        let delete = || Change::SharedRows(vec![Statement::delete(row)]);
        let value = || row.text("value").unwrap_or("nothing").to_owned();
        match row.parse::<Key>("key") {
            Ok(Key::Channel(site, channel))
                if self.metadata.last_moves.contains_key(&(site.clone(), channel.clone())) =>
            {
                None
            }
            Ok(Key::Channel(..)) => {
                let repair = Repair::new(delete(), "deletes the row: no such channel was ever written");
                let finding = find(Severity::Harmless, left_out.to_owned());
                let is_known = !self.metadata.has_damaged("channel_move");
                Some(if is_known { finding.repair(repair) } else { finding.advice("push again") })
            }
            Ok(Key::Rollout(..)) => {
                let repair = Repair::new(delete(), "deletes the row: the release stays, and the channel where it is");
                Some(find(Severity::Operation, left_out.to_owned()).repair(repair).advice("push again"))
            }
            Ok(Key::Release(..)) => {
                let repair = Repair::new(delete(), "deletes the row: the origin writes it anew when it starts");
                let cost = format!("{left_out}: the release's own host is not found on new edges");
                Some(find(Severity::Operation, cost).repair(repair))
            }
            Ok(Key::Erased(site, content)) => {
                let cost = format!("{left_out}: a new edge does not know that {content} was erased from {site}");
                let repair = Repair::new(delete(), "deletes the row: erasing it again writes it");
                let advice = format!("erase it again with `verge erase --site {site} …`; `verge log` has its path");
                Some(find(Severity::Operation, cost).repair(repair).advice(advice))
            }
            Ok(Key::Purge(site)) => {
                let cost = format!("{left_out}: edges that were away do not learn what was purged of {site}");
                let repair = Repair::new(delete(), "deletes the row: the next purge writes it again");
                Some(
                    find(Severity::Operation, cost)
                        .repair(repair)
                        .advice(format!("run `verge purge --site {site} --all`")),
                )
            }
            Ok(Key::Domain(name)) => Some(self.damaged_domain(&name, find)),
            Ok(Key::Certificate(domain)) => {
                let repair = Repair::new(delete(), "deletes the row: the origin writes it anew when it starts");
                let cost = format!("{left_out}: edges that start anew have no certificate for {domain}");
                Some(find(Severity::Readers, cost).repair(repair))
            }
            Ok(Key::Challenge(_) | Key::TicketSecret | Key::Caa) => {
                let repair = Repair::new(delete(), "deletes the row: the origin writes it anew when it needs it");
                Some(find(Severity::Operation, left_out.to_owned()).repair(repair))
            }
            Ok(Key::Edge(edge)) => {
                let cost = format!("{left_out}: name servers that start anew route no readers to {edge}");
                let advice = format!("set the edge again with `verge edges set {edge} …`; the row holds {}", value());
                Some(find(Severity::Readers, cost).advice(advice))
            }
            Ok(Key::Site(site)) => {
                let cost = format!("{left_out}: new edges and name servers do not know the regions of {site}");
                let advice = format!("set them again with `verge sites regions {site} …`; the row holds {}", value());
                Some(find(Severity::Readers, cost).advice(advice))
            }
            Err(_) => {
                let effect = format!("deletes the row, which holds {}", value());
                let advice = "if it was of an edge or a site, set that again";
                Some(
                    find(Severity::Operation, left_out.to_owned()).repair(Repair::new(delete(), effect)).advice(advice),
                )
            }
        }
    }

    fn damaged_domain(&self, name: &DomainName, find: impl Fn(Severity, String) -> Finding) -> Finding {
        let (cost, effect) = match self.metadata.domains.get(name) {
            Some(Domain { is_proven: true, .. }) => (
                "the change feed leaves it out: a new edge does not serve the domain",
                "writes it anew from the row of the domain",
            ),
            _ => (
                "the change feed leaves it out: edges may still serve the domain",
                "writes anew that the domain is not served",
            ),
        };
        let finding = find(Severity::Readers, cost.to_owned());
        if self.metadata.has_damaged("domain") {
            return finding.advice(format!("add the domain again: `verge domains add {name} --site …`"));
        }
        finding.repair(Repair::new(Change::Domain(name.clone()), effect))
    }
}

/// A channel whose last move is not recorded as its state says.
fn unlisted(label: &str, (site, channel): &(SiteName, ChannelName), now: &Move) -> Finding {
    let delete = "delete from channel_move where site = ? and channel = ? and epoch >= ?".to_owned();
    let names = || [site.as_str().into(), channel.as_str().into(), now.epoch.0.into()];
    let [site_value, channel_value, epoch] = names();
    let put = Statement::put(
        &CHANNEL_MOVE,
        [
            ("site", site_value),
            ("channel", channel_value),
            ("epoch", epoch),
            ("release", now.release.0.into()),
            ("manifest", now.manifest.to_string().into()),
            ("moved", now.moved.into()),
        ],
    );
    let statements = vec![Statement { sql: delete, values: names().to_vec() }, put];
    let cost = "the channel is not listed, or with another release; readers are not affected";
    let problem = format!("its last move, to {} at {}, is not recorded", now.release, now.epoch);
    Finding::new(Severity::Operation, label, problem, cost)
        .repair(Repair::new(Change::SharedRows(statements), "restores the move from the channel's state"))
}
