//! The fleet as the origin describes it: edges, sites, channels and domains.

mod certificate;
mod channel;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use verge_protocol::certificate::{CaaState, ChallengeState};
use verge_protocol::fleet::{DomainState, EdgeState, SiteState};
use verge_protocol::state::ParsedRow;
use verge_protocol::{DomainName, EdgeName, Position, Region, SiteName};

pub(crate) use self::certificate::Certificate;
pub(crate) use self::channel::Channel;
use crate::dns::name::Name;
use crate::fleet::RegionSetId;
use crate::zone::release_hosts;

/// The fleet at a position in the feed. Clones share everything; a change copies only what it affects.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct FleetState {
    /// The position in the feed; `None` until a complete snapshot was received.
    pub(crate) position: Option<Position>,
    /// The edges with their settings.
    pub(crate) edges: Arc<BTreeMap<EdgeName, EdgeState>>,
    /// The settings of sites. A site without an entry has no region restriction.
    pub(crate) sites: Arc<BTreeMap<SiteName, SiteState>>,
    /// The channels that exist.
    pub(crate) channels: Arc<BTreeSet<Channel>>,
    /// The verified domains.
    pub(crate) domains: Arc<BTreeMap<DomainName, DomainState>>,
    /// The certificates of the edges.
    pub(crate) certificates: Arc<BTreeMap<DomainName, Certificate>>,
    /// Who may issue certificates; `None`: that is not known, or there are none.
    pub(crate) caa: Option<Arc<CaaState>>,
    /// How challenges of certificate authorities are answered.
    pub(crate) challenges: Arc<BTreeMap<DomainName, ChallengeState>>,
}

impl FleetState {
    /// Every distinct region restriction, in order. A [`RegionSetId`] is an index into this list. The first is empty: no
    /// restriction.
    pub(crate) fn region_sets(&self) -> Vec<BTreeSet<Region>> {
        self.distinct_region_sets().into_iter().cloned().collect()
    }

    /// The empty set sorts before all others.
    fn distinct_region_sets(&self) -> BTreeSet<&BTreeSet<Region>> {
        const NONE: &BTreeSet<Region> = &BTreeSet::new();
        self.sites.values().map(|site| &site.regions).chain([NONE]).collect()
    }

    /// Every name that edges answer for, with the region restriction of its site, in order and without duplicates: each channel
    /// below each of the base domains, and each domain whose site is live.
    ///
    /// Left out are names too long for DNS, and those of sites whose restriction has no id because there are more than 65,535
    /// others: such a site is unreachable rather than unrestricted. A domain that is also the name of a channel is the
    /// channel's.
    pub(crate) fn names(&self, base_domains: &[DomainName]) -> Vec<(Name, RegionSetId)> {
        let ids: BTreeMap<_, _> =
            self.distinct_region_sets().into_iter().zip((0..=u16::MAX).map(RegionSetId)).collect();
        let region_set = |site: &SiteName| match self.sites.get(site) {
            Some(site) => ids.get(&site.regions).copied(),
            None => Some(RegionSetId::UNRESTRICTED),
        };
        let mut names = BTreeMap::new();
        for (domain, state) in self.domains.iter() {
            let is_live = self.channels.contains(&Channel::live(&state.site));
            if let Some(id) = region_set(&state.site).filter(|_| is_live) {
                names.insert(Name::from(domain), id);
            }
        }
        let base_domains: Vec<Name> = base_domains.iter().map(Name::from).collect();
        for channel in self.channels.iter() {
            let label = channel.label();
            let Some(id) = region_set(&label.site) else { continue };
            let label = label.to_string();
            names.extend(base_domains.iter().filter_map(|base| Some((base.child(label.as_bytes())?, id))));
        }
        names.into_iter().collect()
    }

    /// For each site with a channel, the name that stands for the hosts of its releases below each of the base domains, with the region
    /// restriction of the site. Name servers do not know which releases there are: there may be very many.
    pub(crate) fn release_names(&self, base_domains: &[DomainName]) -> Vec<(Name, RegionSetId)> {
        let ids: BTreeMap<_, _> =
            self.distinct_region_sets().into_iter().zip((0..=u16::MAX).map(RegionSetId)).collect();
        let base_domains: Vec<Name> = base_domains.iter().map(Name::from).collect();
        let mut names = Vec::new();
        let mut last = None;
        // Channels are sorted by site.
        for channel in self.channels.iter() {
            let site = channel.label().site;
            if last.as_ref() == Some(&site) {
                continue;
            }
            let id = match self.sites.get(&site) {
                Some(state) => ids.get(&state.regions).copied(),
                None => Some(RegionSetId::UNRESTRICTED),
            };
            if let Some(id) = id {
                let label = release_hosts::standing_label(&site);
                names.extend(base_domains.iter().filter_map(|base| Some((base.child(label.as_bytes())?, id))));
            }
            last = Some(site);
        }
        names
    }

    /// The texts of TXT records that answer challenges, by name. One that is not a name is left out.
    pub(crate) fn challenge_texts(&self) -> impl Iterator<Item = (Name, &BTreeSet<String>)> {
        let texts = self.challenges.values().flat_map(|challenge| &challenge.dns);
        texts.filter_map(|(name, texts)| Some((Name::parse(name).ok()?, texts)))
    }

    /// Whether both have the same names because neither has changed what names depend on since one was cloned from the other.
    pub(crate) fn shares_names_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sites, &other.sites)
            && Arc::ptr_eq(&self.channels, &other.channels)
            && Arc::ptr_eq(&self.domains, &other.domains)
            && Arc::ptr_eq(&self.challenges, &other.challenges)
    }

    /// Applies an entry of the feed. Returns whether it changed anything.
    pub(crate) fn apply(&mut self, parsed: ParsedRow) -> bool {
        match parsed {
            ParsedRow::Channel(label, state) => {
                let channel = Channel::new(&label.site, &label.channel);
                if self.channels.contains(&channel) == state.is_some() {
                    return false;
                }
                let channels = Arc::make_mut(&mut self.channels);
                if state.is_some() { channels.insert(channel) } else { channels.remove(&channel) }
            }
            // Names appear when the channel moves, not before. Hosts of releases have names by their shape.
            ParsedRow::Rollout(..)
            | ParsedRow::Release(..)
            | ParsedRow::Purge(..)
            | ParsedRow::Erased(..)
            | ParsedRow::TicketSecret(..) => false,
            ParsedRow::Certificate(domain, state) => set(&mut self.certificates, domain, state.map(Certificate::from)),
            ParsedRow::Caa(state) => {
                let changed = self.caa.as_deref() != state.as_ref();
                self.caa = state.map(Arc::new);
                changed
            }
            ParsedRow::Challenge(domain, state) => set(&mut self.challenges, domain, state),
            ParsedRow::Edge(edge, state) => set(&mut self.edges, edge, state),
            ParsedRow::Site(site, state) => set(&mut self.sites, site, state),
            ParsedRow::Domain(domain, state) => set(&mut self.domains, domain, state),
        }
    }

    /// Removes everything whose key is not in `keys`. Returns whether there was anything; if not, nothing is copied.
    pub(crate) fn retain(&mut self, keys: &BTreeSet<&str>) -> bool {
        let has = |kind: &str, name: &dyn fmt::Display| keys.contains(&*format!("{kind}/{name}"));
        let mut removed = false;
        if !self.channels.iter().all(|channel| has("channel", channel)) {
            Arc::make_mut(&mut self.channels).retain(|channel| has("channel", channel));
            removed = true;
        }
        removed |= retain(&mut self.edges, |edge| has("edge", edge));
        removed |= retain(&mut self.sites, |site| has("site", site));
        removed |= retain(&mut self.domains, |domain| has("domain", domain));
        removed |= retain(&mut self.certificates, |domain| has("certificate", domain));
        removed |= self.caa.take_if(|_| !keys.contains("caa/issuers")).is_some();
        removed |= retain(&mut self.challenges, |domain| has("challenge", domain));
        removed
    }
}

/// Removes the values whose keys are not to be kept. Returns whether there were any; if not, nothing is copied.
fn retain<K: Ord + Clone, V: Clone>(map: &mut Arc<BTreeMap<K, V>>, keep: impl Fn(&K) -> bool) -> bool {
    let removes = !map.keys().all(&keep);
    if removes {
        Arc::make_mut(map).retain(|key, _| keep(key));
    }
    removes
}

/// Sets or removes a value. Returns whether that changed anything; if not, nothing is copied.
fn set<K: Ord + Clone, V: PartialEq + Clone>(map: &mut Arc<BTreeMap<K, V>>, key: K, value: Option<V>) -> bool {
    if map.get(&key) == value.as_ref() {
        return false;
    }
    let map = Arc::make_mut(map);
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    true
}

#[cfg(test)]
mod tests {
    use verge_protocol::state::Row;
    use verge_protocol::{Digest, Seq};

    use super::*;

    fn regions(names: &[&str]) -> BTreeSet<Region> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn state() -> FleetState {
        let site = |name: &str| name.parse::<SiteName>().unwrap();
        let restricted = |names| SiteState { regions: regions(names), ..SiteState::default() };
        let domain =
            |of: &str, to: Option<&str>| DomainState { site: site(of), redirect_to: to.map(|to| to.parse().unwrap()) };
        let channels = ["a/live", "a/pr-12", "b/live", "preview-only/pr-1"];
        let domains = [
            ("www.example.com".parse().unwrap(), domain("a", None)),
            ("example.com".parse().unwrap(), domain("a", Some("www.example.com"))),
            ("dangling.example".parse().unwrap(), domain("unknown", None)),
            ("preview.example".parse().unwrap(), domain("preview-only", None)),
            ("b.one.example".parse().unwrap(), domain("a", None)),
        ];
        FleetState {
            sites: Arc::new(
                [
                    (site("a"), restricted(&["eu"])),
                    (site("b"), restricted(&[])),
                    (site("z"), restricted(&["de", "eu"])),
                ]
                .into(),
            ),
            channels: Arc::new(channels.iter().map(|channel| channel.parse().unwrap()).collect()),
            domains: Arc::new(domains.into()),
            ..FleetState::default()
        }
    }

    fn names(state: &FleetState, base_domains: &[&str]) -> Vec<(String, u16)> {
        let base_domains: Vec<DomainName> = base_domains.iter().map(|base| base.parse().unwrap()).collect();
        let mut names: Vec<_> =
            state.names(&base_domains).into_iter().map(|(name, id)| (name.to_string(), id.0)).collect();
        names.sort();
        names
    }

    #[test]
    fn region_sets_are_numbered_from_the_empty_one() {
        assert_eq!(state().region_sets(), [regions(&[]), regions(&["de", "eu"]), regions(&["eu"])]);
        assert_eq!(FleetState::default().region_sets(), [regions(&[])]);
    }

    #[test]
    fn channels_and_domains_of_live_sites_have_names() {
        let expected = [
            ("a.one.example.", 2),
            ("a.two.example.", 2),
            ("b.one.example.", 0),
            ("b.two.example.", 0),
            ("example.com.", 2),
            ("pr-1--preview-only.one.example.", 0),
            ("pr-1--preview-only.two.example.", 0),
            ("pr-12--a.one.example.", 2),
            ("pr-12--a.two.example.", 2),
            ("www.example.com.", 2),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(name, id)| (name.to_owned(), id)).collect();
        assert_eq!(names(&state(), &["one.example", "two.example"]), expected);
    }

    #[test]
    fn each_site_with_a_channel_has_one_name_for_its_releases() {
        let base_domains = ["one.example".parse().unwrap()];
        let names: Vec<_> =
            state().release_names(&base_domains).into_iter().map(|(name, id)| (name.to_string(), id.0)).collect();
        let expected = ["a", "b", "preview-only"].map(|site| format!("0000000000000000--{site}.one.example."));
        let ids: Vec<u16> = names.iter().map(|(_, id)| *id).collect();
        assert_eq!(
            (names.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), ids),
            (expected.to_vec(), vec![2, 0, 0])
        );
    }

    #[test]
    fn name_too_long_for_dns_is_left_out() {
        let base = ["a".repeat(62).as_str(); 4].join(".");
        assert_eq!(names(&state(), &[&base]).len(), 5);
        assert_eq!(names(&state(), &[]).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().len(), 3);
    }

    #[test]
    fn names_are_shared_until_one_of_their_parts_changes() {
        let before = state();
        for (key, value, shares) in [
            ("edge/fra-1", r#"{"addresses":["192.0.2.1"]}"#, true),
            ("site/a", r#"{"regions":["eu"]}"#, true),
            ("site/a", "{}", false),
            ("domain/new.example", r#"{"site":"a"}"#, false),
            ("channel/b/pr-1", r#"{"epoch":1,"release":"v1","manifest":"MANIFEST"}"#, false),
            ("channel/a/live", r#"{"epoch":1,"release":"v1","manifest":"MANIFEST"}"#, true),
        ] {
            let value = value.replace("MANIFEST", &Digest::of(b"manifest").to_string());
            let row = Row { key: key.to_owned(), seq: Seq(1), value: serde_json::from_str(&value).unwrap() };
            let mut now = before.clone();
            now.apply(row.parse().unwrap());
            assert_eq!(now.shares_names_with(&before), shares, "{key} {value}");
        }
    }

    #[test]
    fn site_without_a_region_set_id_has_no_name() {
        let site = |number: u32| format!("s{number}").parse::<SiteName>().unwrap();
        let restricted =
            |number| (site(number), SiteState { regions: regions(&[&format!("r{number}")]), ..SiteState::default() });
        let state = FleetState {
            sites: Arc::new((0..70_000).map(restricted).collect()),
            channels: Arc::new((0..70_000).map(|number| Channel::live(&site(number))).collect()),
            ..FleetState::default()
        };
        let names = state.names(&["example".parse().unwrap()]);
        assert_eq!(names.len(), 65_535);
        assert!(names.iter().all(|(_, id)| id.0 > 0));
    }
}
