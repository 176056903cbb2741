//! What the origin says of the fleet.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::fleet::{DomainState, EdgeState, SiteState};
use verge_protocol::host::HostLabel;
use verge_protocol::state::Entry;
use verge_protocol::{ChannelName, DomainName, EdgeName, Position, Region, SiteName};

use crate::dns::name::Name;
use crate::fleet::FenceId;

/// The edges, and what readers find at them, as of a position in the feed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Told {
    /// Up to where; `None` until a whole table was told.
    pub(crate) position: Option<Position>,
    /// How readers are sent to each edge.
    pub(crate) edges: BTreeMap<EdgeName, EdgeState>,
    /// What goes for all names of a site. A site that is not here has no fence.
    pub(crate) sites: BTreeMap<SiteName, SiteState>,
    /// What can be read of each site. None is empty.
    pub(crate) channels: BTreeMap<SiteName, BTreeSet<ChannelName>>,
    /// The proven domains.
    pub(crate) domains: BTreeMap<DomainName, DomainState>,
}

impl Told {
    /// Every fence, each once, in order; a [`FenceId`] is a place in this. The first is empty: no fence.
    pub(crate) fn fences(&self) -> Vec<BTreeSet<Region>> {
        self.fence_set().into_iter().cloned().collect()
    }

    /// The empty set is the least of all sets.
    fn fence_set(&self) -> BTreeSet<&BTreeSet<Region>> {
        const NONE: &BTreeSet<Region> = &BTreeSet::new();
        self.sites.values().map(|site| &site.fence).chain([NONE]).collect()
    }

    /// Every name that leads to the edges, with its site's fence, in order, none twice: each channel below each of the base
    /// domains, and each domain whose site is live.
    ///
    /// Left out are names too long for DNS, and those of sites whose fence has no number because there are more than 65,535
    /// others: better unreachable than outside their fence. A domain that is also a channel's name is the channel's.
    pub(crate) fn names(&self, bases: &[DomainName]) -> Vec<(Name, FenceId)> {
        let fences = self.fence_set();
        let ids: BTreeMap<_, _> = fences.into_iter().zip((0..=u16::MAX).map(FenceId)).collect();
        let fence = |site| self.sites.get(site).map_or(Some(FenceId(0)), |site| ids.get(&site.fence).copied());
        let mut names = BTreeMap::new();
        for (domain, state) in &self.domains {
            let live = self.channels.get(&state.site).is_some_and(|channels| channels.contains(&ChannelName::live()));
            if let Some(fence) = fence(&state.site).filter(|_| live) {
                names.insert(Name::from(domain), fence);
            }
        }
        let bases: Vec<Name> = bases.iter().map(Name::from).collect();
        for (site, channels) in &self.channels {
            let Some(fence) = fence(site) else { continue };
            for channel in channels {
                let label = HostLabel { site: site.clone(), channel: channel.clone() }.to_string();
                names.extend(bases.iter().filter_map(|base| Some((base.child(label.as_bytes())?, fence))));
            }
        }
        names.into_iter().collect()
    }

    /// Takes an entry over. Returns whether it tells anything new.
    pub(super) fn take(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Channel(label, Some(_)) => self.channels.entry(label.site).or_default().insert(label.channel),
            Entry::Channel(label, None) => {
                let Some(channels) = self.channels.get_mut(&label.site) else { return false };
                let removed = channels.remove(&label.channel);
                if channels.is_empty() {
                    self.channels.remove(&label.site);
                }
                removed
            }
            Entry::Edge(edge, state) => put(&mut self.edges, edge, state),
            Entry::Site(site, state) => put(&mut self.sites, site, state),
            Entry::Domain(domain, state) => put(&mut self.domains, domain, state),
        }
    }

    /// Whether answers made of either are alike: everything but the position is.
    pub(super) fn answers_like(&self, other: &Self) -> bool {
        let Self { position: _, edges, sites, channels, domains } = self;
        *edges == other.edges && *sites == other.sites && *channels == other.channels && *domains == other.domains
    }
}

/// Puts the value there, or takes what is there away. Returns whether that makes a difference.
fn put<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> bool {
    if map.get(&key) == value.as_ref() {
        return false;
    }
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(names: &[&str]) -> BTreeSet<Region> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn told() -> Told {
        let site = |name: &str| name.parse::<SiteName>().unwrap();
        let fenced = |names| SiteState { fence: regions(names) };
        let channels = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let domain =
            |of: &str, to: Option<&str>| DomainState { site: site(of), redirect_to: to.map(|to| to.parse().unwrap()) };
        Told {
            sites: [(site("a"), fenced(&["eu"])), (site("b"), fenced(&[])), (site("z"), fenced(&["de", "eu"]))].into(),
            channels: [
                (site("a"), channels(&["live", "pr-12"])),
                (site("b"), channels(&["live"])),
                (site("preview-only"), channels(&["pr-1"])),
            ]
            .into(),
            domains: [
                ("www.example.com".parse().unwrap(), domain("a", None)),
                ("example.com".parse().unwrap(), domain("a", Some("www.example.com"))),
                ("dangling.example".parse().unwrap(), domain("nobody", None)),
                ("preview.example".parse().unwrap(), domain("preview-only", None)),
                ("b.one.example".parse().unwrap(), domain("a", None)),
            ]
            .into(),
            ..Told::default()
        }
    }

    fn names(told: &Told, bases: &[&str]) -> Vec<(String, u16)> {
        let bases: Vec<DomainName> = bases.iter().map(|base| base.parse().unwrap()).collect();
        let mut names: Vec<_> = told.names(&bases).into_iter().map(|(name, id)| (name.to_string(), id.0)).collect();
        names.sort();
        names
    }

    #[test]
    fn fences_are_numbered_from_none() {
        assert_eq!(told().fences(), [regions(&[]), regions(&["de", "eu"]), regions(&["eu"])]);
        assert_eq!(Told::default().fences(), [regions(&[])]);
    }

    #[test]
    fn channels_and_live_domains_have_names() {
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
        assert_eq!(names(&told(), &["one.example", "two.example"]), expected);
    }

    #[test]
    fn a_name_too_long_for_dns_is_left_out() {
        let base = ["a".repeat(62).as_str(); 4].join(".");
        assert_eq!(names(&told(), &[&base]).len(), 5);
        assert_eq!(names(&told(), &[]).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().len(), 3);
    }

    #[test]
    fn a_fence_without_a_number_lets_nobody_in() {
        let mut told = Told::default();
        for number in 0..70_000_u32 {
            let site: SiteName = format!("s{number}").parse().unwrap();
            let region = format!("r{number}");
            told.sites.insert(site.clone(), SiteState { fence: regions(&[&region]) });
            told.channels.insert(site, [ChannelName::live()].into());
        }
        let names = told.names(&["example".parse().unwrap()]);
        assert_eq!(names.len(), 65_535);
        assert!(names.iter().all(|(_, id)| id.0 > 0));
    }
}
