//! Domains that were proven. What a row says holds at once: nothing has to be fetched for it.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::DomainName;
use verge_protocol::fleet::DomainState;
use verge_protocol::state::Row;

/// Every domain that was told of, by its last row that can be read.
#[derive(Default)]
pub(super) struct Domains(BTreeMap<DomainName, (Row, DomainState)>);

impl Domains {
    /// Takes a row over. Returns whether what the domain shows is another thing now.
    pub(super) fn tell(&mut self, domain: DomainName, row: Row, state: Option<DomainState>) -> bool {
        let Some(state) = state else { return self.0.remove(&domain).is_some() };
        let changed = self.0.get(&domain).is_none_or(|(_, before)| *before != state);
        self.0.insert(domain, (row, state));
        changed
    }

    /// Forgets those whose keys are not `named`. Returns whether there were any.
    pub(super) fn retain(&mut self, named: &BTreeSet<&str>) -> bool {
        let before = self.0.len();
        self.0.retain(|_, (row, _)| named.contains(row.key.as_str()));
        self.0.len() != before
    }

    /// What each shows.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&DomainName, &DomainState)> {
        self.0.iter().map(|(domain, (_, state))| (domain, state))
    }

    /// Where readers are sent on to. Only to a domain that was proven too and shows its site itself: what nobody has proven may be
    /// anybody's, and a redirect that leads to another may lead round in a circle.
    pub(super) fn redirect<'a>(&self, state: &'a DomainState) -> Option<&'a DomainName> {
        let shows = |to: &&DomainName| self.0.get(*to).is_some_and(|(_, target)| target.redirect_to.is_none());
        state.redirect_to.as_ref().filter(shows)
    }

    /// Their rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values().map(|(row, _)| row)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_daemon::feed::Change;
    use verge_protocol::Seq;

    use super::super::test_support::{at, hold, row, rows};
    use super::super::{Channels, Notice};
    use super::*;
    use crate::table::Place;
    use crate::test_support::traffic;

    fn domain(name: &str, seq: u64, value: serde_json::Value) -> Row {
        let value = Some(value).filter(|value| !value.is_null()).map(Into::into);
        Row { key: format!("domain/{name}"), seq: Seq(seq), value }
    }

    fn site(name: &str, seq: u64, site: &str) -> Row {
        domain(name, seq, json!({ "site": site }))
    }

    /// What is at a domain.
    fn at_domain(channels: &Channels, name: &str) -> String {
        match channels.table(|_| traffic()).domain(name) {
            Place::Served(channel) => channel.label().to_string(),
            Place::Coming(traffic) => if traffic.is_some() { "coming" } else { "unknown" }.to_owned(),
            Place::Moved(moved) => format!("moved to {}", moved.to()),
            Place::Empty => "empty".to_owned(),
        }
    }

    fn restart(channels: &Channels) -> Channels {
        let json = serde_json::to_string(&channels.saved()).unwrap();
        let mut restored = Channels::restore(serde_json::from_str(&json).unwrap());
        hold(&mut restored, 1);
        restored
    }

    #[test]
    fn a_domain_shows_what_its_site_does() {
        let mut channels = Channels::default();
        assert_eq!(at_domain(&channels, "a.example"), "unknown");
        rows(&mut channels, vec![site("a.example", 1, "a")]);
        assert_eq!(at_domain(&channels, "a.example"), "empty");
        rows(&mut channels, vec![row("a", 2, 1, &[])]);
        assert_eq!(at_domain(&channels, "a.example"), "coming");
        hold(&mut channels, 1);
        assert_eq!(
            (at_domain(&channels, "a.example"), at_domain(&channels, "b.example")),
            ("a".into(), "empty".into())
        );
        assert!(channels.applied().lagging.is_empty());
    }

    #[test]
    fn the_last_row_counts() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[]), site("a.example", 2, "a"), site("www.a.example", 2, "a")]);
        hold(&mut channels, 1);
        channels.apply(Change::Rows(at(1, 3), vec![site("a.example", 3, "a")]));
        assert!(!channels.settle(), "the same again changes nothing");
        let moved = json!({ "site": "a", "redirect_to": "www.a.example", "a field from the future": true });
        channels.apply(Change::Rows(at(1, 5), vec![site("a.example", 4, "b"), domain("a.example", 5, moved)]));
        assert!(channels.settle());
        assert_eq!(at_domain(&channels, "a.example"), "moved to www.a.example");
        channels.apply(Change::Rows(at(1, 6), vec![domain("a.example", 6, json!(null))]));
        assert!(channels.settle());
        assert_eq!(at_domain(&channels, "a.example"), "empty");
    }

    #[test]
    fn a_domain_is_sent_on_only_to_one_that_is_proven_and_shows_its_site() {
        let mut channels = Channels::default();
        let to = |target: &str| json!({ "site": "a", "redirect_to": target });
        rows(&mut channels, vec![row("a", 1, 1, &[]), domain("a.example", 2, to("a.example"))]);
        hold(&mut channels, 1);
        assert_eq!(at_domain(&channels, "a.example"), "a", "never to itself");
        rows(&mut channels, vec![domain("a.example", 3, to("b.example"))]);
        assert_eq!(at_domain(&channels, "a.example"), "a", "nobody has proven the other");
        rows(&mut channels, vec![domain("b.example", 4, to("a.example"))]);
        for name in ["a.example", "b.example"] {
            assert_eq!(at_domain(&channels, name), "a", "not in a circle");
        }
        rows(&mut channels, vec![site("b.example", 5, "a")]);
        assert_eq!(at_domain(&channels, "a.example"), "moved to b.example");
        rows(&mut channels, vec![domain("b.example", 6, json!(null))]);
        assert_eq!(at_domain(&channels, "a.example"), "a");
    }

    #[test]
    fn domains_outlive_the_process_and_a_snapshot_takes_away_what_it_does_not_name() {
        let mut channels = Channels::default();
        let moved = json!({ "site": "a", "redirect_to": "a.example" });
        let told = vec![row("a", 1, 1, &[]), site("a.example", 2, "a"), domain("www.a.example", 3, moved)];
        rows(&mut channels, told);
        let mut channels = restart(&channels);
        assert_eq!(at_domain(&channels, "a.example"), "a");
        assert_eq!(at_domain(&channels, "www.a.example"), "moved to a.example");
        channels.apply(Change::Snapshot(at(2, 2), vec![row("a", 1, 1, &[]), site("a.example", 2, "a")]));
        assert!(channels.settle());
        let channels = restart(&channels);
        assert_eq!(at_domain(&channels, "a.example"), "a");
        assert_eq!(at_domain(&channels, "www.a.example"), "empty");
    }

    #[test]
    fn a_value_that_cannot_be_read_leaves_the_domain_where_it_is_and_is_kept() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[]), site("a.example", 2, "a")]);
        hold(&mut channels, 1);
        let odd = domain("a.example", 3, json!("odd"));
        assert!(matches!(&rows(&mut channels, vec![odd.clone()])[..], [Notice::Refused(..)]));
        let mut channels = restart(&channels);
        assert_eq!((at_domain(&channels, "a.example"), channels.applied().lagging), ("a".into(), vec![]));
        assert!(channels.saved().rows.entries.iter().any(|saved| saved.row == odd));
        rows(&mut channels, vec![domain("a.example", 4, json!(null))]);
        assert_eq!((at_domain(&channels, "a.example"), channels.saved().rows.entries.len()), ("empty".into(), 1));
    }
}
