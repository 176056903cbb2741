//! Verified custom domains. A row takes effect at once, since nothing has to be fetched for it.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::DomainName;
use verge_protocol::fleet::DomainState;

/// Every domain in the feed, as of its last valid row.
#[derive(Default)]
pub(super) struct VerifiedDomains(BTreeMap<DomainName, DomainState>);

impl VerifiedDomains {
    /// Applies the value of a row; `None` removes the domain. Returns whether the table has changed.
    pub(super) fn apply(&mut self, domain: DomainName, state: Option<DomainState>) -> bool {
        let Some(state) = state else { return self.0.remove(&domain).is_some() };
        let changed = self.0.get(&domain) != Some(&state);
        self.0.insert(domain, state);
        changed
    }

    /// Removes the domains whose keys are not in `keys`. Returns whether there were any.
    pub(super) fn retain_keys(&mut self, keys: &BTreeSet<&str>) -> bool {
        let before = self.0.len();
        self.0.retain(|domain, _| keys.contains(&*format!("domain/{domain}")));
        self.0.len() != before
    }

    /// Every domain and its state.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&DomainName, &DomainState)> {
        self.0.iter()
    }

    /// The target of a domain's redirect, if it may be used: the target must be a verified domain as well, and not redirect itself.
    /// An unverified domain may belong to anyone, and redirects that lead to redirects may loop.
    pub(super) fn redirect_target<'a>(&self, state: &'a DomainState) -> Option<&'a DomainName> {
        let serves_itself = |to: &&DomainName| self.0.get(*to).is_some_and(|target| target.redirect_to.is_none());
        state.redirect_to.as_ref().filter(serves_itself)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_daemon::feed::{Change, RowEvent};
    use verge_protocol::Seq;
    use verge_protocol::state::Row;

    use super::super::Channels;
    use super::super::test_support::{self, NOW, add_release, apply_rows, at, row, saved_rows, snapshot};
    use crate::table::HostRoute;
    use crate::test_support::traffic;

    fn domain(name: &str, seq: u64, value: serde_json::Value) -> Row {
        let value = Some(value).filter(|value| !value.is_null()).map(Into::into);
        Row { key: format!("domain/{name}"), seq: Seq(seq), value }
    }

    fn site(name: &str, seq: u64, site: &str) -> Row {
        domain(name, seq, json!({ "site": site }))
    }

    /// The entry of a domain in the table.
    fn at_domain(channels: &Channels, name: &str) -> String {
        match channels.build_table(|_| traffic()).domain(name) {
            HostRoute::Served(channel) => channel.label().to_string(),
            HostRoute::Pending(traffic) => if traffic.is_some() { "pending" } else { "unknown" }.to_owned(),
            HostRoute::Redirect(redirect) => format!("redirect to {}", redirect.to()),
            HostRoute::NotFound => "not found".to_owned(),
        }
    }

    fn restart(channels: &Channels) -> Channels {
        let mut restored = test_support::restart(channels);
        add_release(&mut restored, 1);
        restored
    }

    #[test]
    fn domain_has_the_entry_of_its_site() {
        let mut channels = Channels::default();
        assert_eq!(at_domain(&channels, "a.example"), "unknown");
        apply_rows(&mut channels, vec![site("a.example", 1, "a")]);
        assert_eq!(at_domain(&channels, "a.example"), "not found");
        apply_rows(&mut channels, vec![row("a", 2, 1, &[])]);
        assert_eq!(at_domain(&channels, "a.example"), "pending");
        add_release(&mut channels, 1);
        assert_eq!(
            (at_domain(&channels, "a.example"), at_domain(&channels, "b.example")),
            ("a".into(), "not found".into())
        );
        assert!(channels.applied_state().lagging.is_empty());
    }

    #[test]
    fn last_row_of_a_domain_wins() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), site("a.example", 2, "a"), site("www.a.example", 2, "a")]);
        add_release(&mut channels, 1);
        channels.apply(Change::Rows(at(1, 3), vec![site("a.example", 3, "a")]));
        assert!(!channels.advance(NOW), "the same state changes nothing");
        let redirect = json!({ "site": "a", "redirect_to": "www.a.example", "unknown_field": true });
        channels.apply(Change::Rows(at(1, 5), vec![site("a.example", 4, "b"), domain("a.example", 5, redirect)]));
        assert!(channels.advance(NOW));
        assert_eq!(at_domain(&channels, "a.example"), "redirect to www.a.example");
        channels.apply(Change::Rows(at(1, 6), vec![domain("a.example", 6, json!(null))]));
        assert!(channels.advance(NOW));
        assert_eq!(at_domain(&channels, "a.example"), "not found");
    }

    #[test]
    fn redirect_to_an_unverified_or_redirecting_domain_is_ignored() {
        let mut channels = Channels::default();
        let to = |target: &str| json!({ "site": "a", "redirect_to": target });
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), domain("a.example", 2, to("a.example"))]);
        add_release(&mut channels, 1);
        assert_eq!(at_domain(&channels, "a.example"), "a", "not to itself");
        apply_rows(&mut channels, vec![domain("a.example", 3, to("b.example"))]);
        assert_eq!(at_domain(&channels, "a.example"), "a", "the target is not verified");
        apply_rows(&mut channels, vec![domain("b.example", 4, to("a.example"))]);
        for name in ["a.example", "b.example"] {
            assert_eq!(at_domain(&channels, name), "a", "not in a loop");
        }
        apply_rows(&mut channels, vec![site("b.example", 5, "a")]);
        assert_eq!(at_domain(&channels, "a.example"), "redirect to b.example");
        apply_rows(&mut channels, vec![domain("b.example", 6, json!(null))]);
        assert_eq!(at_domain(&channels, "a.example"), "a");
    }

    #[test]
    fn domains_survive_a_restart_until_a_snapshot_omits_them() {
        let mut channels = Channels::default();
        let redirect = json!({ "site": "a", "redirect_to": "a.example" });
        let all = vec![row("a", 1, 1, &[]), site("a.example", 2, "a"), domain("www.a.example", 3, redirect)];
        apply_rows(&mut channels, all);
        let mut channels = restart(&channels);
        assert_eq!(at_domain(&channels, "a.example"), "a");
        assert_eq!(at_domain(&channels, "www.a.example"), "redirect to a.example");
        channels.apply(snapshot(at(2, 2), vec![row("a", 1, 1, &[]), site("a.example", 2, "a")]));
        assert!(channels.advance(NOW));
        let channels = restart(&channels);
        assert_eq!(at_domain(&channels, "a.example"), "a");
        assert_eq!(at_domain(&channels, "www.a.example"), "not found");
    }

    #[test]
    fn domain_with_an_invalid_row_stays_and_the_row_is_saved() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), site("a.example", 2, "a")]);
        add_release(&mut channels, 1);
        let odd = domain("a.example", 3, json!("odd"));
        assert!(matches!(&apply_rows(&mut channels, vec![odd.clone()])[..], [RowEvent::Refused { .. }]));
        let mut channels = restart(&channels);
        assert_eq!((at_domain(&channels, "a.example"), channels.applied_state().lagging), ("a".into(), vec![]));
        assert_eq!((saved_rows(&channels).1, channels.applied_state().unknown), (vec![odd], 1));
        apply_rows(&mut channels, vec![domain("a.example", 4, json!(null))]);
        let (rows, refused) = saved_rows(&channels);
        assert_eq!((at_domain(&channels, "a.example"), rows.len(), refused.len()), ("not found".into(), 1, 0));
    }
}
