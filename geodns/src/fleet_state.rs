//! What the origin says of the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use verge_protocol::fleet::{DomainState, EdgeState, SiteState};
use verge_protocol::state::Entry;
use verge_protocol::{DomainName, EdgeName, Position, Region, SiteName};

use super::channel::Channel;
use crate::dns::name::Name;
use crate::fleet::FenceId;

/// The edges, and what readers find at them, as of a position in the feed. Clones share everything; when one of them changes, only
/// what has changed is copied.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Told {
    /// Up to where; `None` until a whole table was told.
    pub(crate) position: Option<Position>,
    /// How readers are sent to each edge.
    pub(crate) edges: Arc<BTreeMap<EdgeName, EdgeState>>,
    /// What goes for all names of a site. A site that is not here has no fence.
    pub(crate) sites: Arc<BTreeMap<SiteName, SiteState>>,
    /// What can be read of each site.
    pub(crate) channels: Arc<BTreeSet<Channel>>,
    /// The proven domains.
    pub(crate) domains: Arc<BTreeMap<DomainName, DomainState>>,
}

impl Told {
    /// Every fence, each once, in order; a [`FenceId`] is a place in this. The first is empty: no fence.
    pub(crate) fn fences(&self) -> Vec<BTreeSet<Region>> {
        self.fence_set().into_iter().cloned().collect()
    }

    /// The empty set is the least of all sets.
    fn fence_set(&self) -> BTreeSet<&BTreeSet<Region>> {
        const NONE: &BTreeSet<Region> = &BTreeSet::new();
        self.sites.values().map(|site| &site.regions).chain([NONE]).collect()
    }

    /// Every name that leads to the edges, with its site's fence, in order, none twice: each channel below each of the base
    /// domains, and each domain whose site is live.
    ///
    /// Left out are names too long for DNS, and those of sites whose fence has no number because there are more than 65,535
    /// others: better unreachable than outside their fence. A domain that is also a channel's name is the channel's.
    pub(crate) fn names(&self, bases: &[DomainName]) -> Vec<(Name, FenceId)> {
        let fences = self.fence_set();
        let ids: BTreeMap<_, _> = fences.into_iter().zip((0..=u16::MAX).map(FenceId)).collect();
        let fence =
            |site: &SiteName| self.sites.get(site).map_or(Some(FenceId(0)), |site| ids.get(&site.regions).copied());
        let mut names = BTreeMap::new();
        for (domain, state) in self.domains.iter() {
            let live = self.channels.contains(&Channel::live(&state.site));
            if let Some(fence) = fence(&state.site).filter(|_| live) {
                names.insert(Name::from(domain), fence);
            }
        }
        let bases: Vec<Name> = bases.iter().map(Name::from).collect();
        for channel in self.channels.iter() {
            let label = channel.label();
            let Some(fence) = fence(&label.site) else { continue };
            let label = label.to_string();
            names.extend(bases.iter().filter_map(|base| Some((base.child(label.as_bytes())?, fence))));
        }
        names.into_iter().collect()
    }

    /// Whether both have the very same names, because neither has changed what they are made of since one was a clone of the other.
    pub(crate) fn shares_names_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sites, &other.sites)
            && Arc::ptr_eq(&self.channels, &other.channels)
            && Arc::ptr_eq(&self.domains, &other.domains)
    }

    /// Takes an entry over. Returns whether it tells anything new.
    pub(super) fn take(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Channel(label, state) => {
                let channel = Channel::new(&label.site, &label.channel);
                if self.channels.contains(&channel) == state.is_some() {
                    return false;
                }
                let channels = Arc::make_mut(&mut self.channels);
                if state.is_some() { channels.insert(channel) } else { channels.remove(&channel) }
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

/// Puts the value there, or takes what is there away. Returns whether that makes a difference; if not, nothing is copied.
pub(super) fn put<K: Ord + Clone, V: PartialEq + Clone>(
    map: &mut Arc<BTreeMap<K, V>>,
    key: K,
    value: Option<V>,
) -> bool {
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

    fn told() -> Told {
        let site = |name: &str| name.parse::<SiteName>().unwrap();
        let fenced = |names| SiteState { regions: regions(names) };
        let domain =
            |of: &str, to: Option<&str>| DomainState { site: site(of), redirect_to: to.map(|to| to.parse().unwrap()) };
        let channels = ["a/live", "a/pr-12", "b/live", "preview-only/pr-1"];
        let domains = [
            ("www.example.com".parse().unwrap(), domain("a", None)),
            ("example.com".parse().unwrap(), domain("a", Some("www.example.com"))),
            ("dangling.example".parse().unwrap(), domain("nobody", None)),
            ("preview.example".parse().unwrap(), domain("preview-only", None)),
            ("b.one.example".parse().unwrap(), domain("a", None)),
        ];
        Told {
            sites: Arc::new(
                [(site("a"), fenced(&["eu"])), (site("b"), fenced(&[])), (site("z"), fenced(&["de", "eu"]))].into(),
            ),
            channels: Arc::new(channels.iter().map(|channel| channel.parse().unwrap()).collect()),
            domains: Arc::new(domains.into()),
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
    fn names_are_shared_until_one_of_their_parts_changes() {
        let before = told();
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
            now.take(row.entry().unwrap());
            assert_eq!(now.shares_names_with(&before), shares, "{key} {value}");
        }
    }

    #[test]
    fn a_fence_without_a_number_lets_nobody_in() {
        let site = |number: u32| format!("s{number}").parse::<SiteName>().unwrap();
        let fenced = |number| (site(number), SiteState { regions: regions(&[&format!("r{number}")]) });
        let told = Told {
            sites: Arc::new((0..70_000).map(fenced).collect()),
            channels: Arc::new((0..70_000).map(|number| Channel::live(&site(number))).collect()),
            ..Told::default()
        };
        let names = told.names(&["example".parse().unwrap()]);
        assert_eq!(names.len(), 65_535);
        assert!(names.iter().all(|(_, id)| id.0 > 0));
    }
}
