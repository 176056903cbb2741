//! Putting views together out of what zones, database, feed and probes say, each time one of them says something new.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use verge_daemon::Tasks;
use verge_protocol::{DomainName, Region};

use crate::config::Policy;
use crate::dns::name::Name;
use crate::fleet::{FenceId, Fleet, Member};
use crate::follow::Told;
use crate::health::HealthTable;
use crate::metrics::EdgeCounts;
use crate::place::{Atlas, Database, Overrides};
use crate::view::View;
use crate::zone::{Catalogue, ZoneFile};

/// What views are made of.
pub(crate) struct Parts {
    pub(crate) zones: watch::Receiver<Vec<Arc<ZoneFile>>>,
    pub(crate) database: watch::Receiver<Option<Arc<Database>>>,
    pub(crate) told: watch::Receiver<Arc<Told>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    /// The domains that sites' names hang below.
    pub(crate) bases: Vec<DomainName>,
    pub(crate) overrides: Arc<Overrides>,
    pub(crate) policy: Policy,
    /// Where edges are counted.
    pub(crate) named: EdgeCounts,
    /// The name of this node.
    pub(crate) node: Box<str>,
}

/// Keeps the view what its parts say.
pub(crate) struct Assembler {
    parts: Parts,
    views: Arc<ArcSwap<View>>,
    /// What the catalogue was made with.
    names: Vec<(Name, FenceId)>,
    /// What the fleet is made with. Fences are numbered for both at once.
    fences: Vec<BTreeSet<Region>>,
}

/// What has changed.
enum News {
    /// Names, edges or fences, or what the operator's zones hold.
    Told,
    Zones,
    Health,
    Database,
    /// Nothing will any more.
    End,
}

impl Assembler {
    /// Makes the first view of what is known by now. Takes a moment for a hundred thousand names: to be called where that does no
    /// harm.
    pub(crate) fn new(mut parts: Parts) -> Self {
        let told = Arc::clone(&parts.told.borrow_and_update());
        let (names, fences) = (told.names(&parts.bases), told.fences());
        let catalogue = catalogue(&parts.zones.borrow_and_update(), &names);
        let atlas = Arc::new(Atlas::new(Arc::clone(&parts.overrides), parts.database.borrow_and_update().clone()));
        let fleet = fleet(&told, &parts.health.borrow_and_update(), &fences, parts.policy);
        let counts = (0..fleet.len()).map(|edge| parts.named.of(fleet.name(edge))).collect();
        let view = View { catalogue, fleet, named: counts, atlas, node: parts.node.clone() };
        Self { parts, views: Arc::new(ArcSwap::from_pointee(view)), names, fences }
    }

    /// The view of the moment.
    pub(crate) fn views(&self) -> Arc<ArcSwap<View>> {
        Arc::clone(&self.views)
    }

    /// Makes new views until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        let watch = async move {
            loop {
                let news = self.news().await;
                if matches!(news, News::End) {
                    return;
                }
                // What changes meanwhile is in the next one: a hundred pushes at once make a few views.
                let made = tokio::task::spawn_blocking(move || {
                    self.renew(&news);
                    self
                });
                match made.await {
                    Ok(assembler) => self = assembler,
                    Err(error) => return tracing::error!(%error, "making a view crashed: answers stay as they are"),
                }
            }
        };
        drop(tasks.spawn("view", tasks.draining().clone().run_until_cancelled_owned(watch)));
    }

    async fn news(&mut self) -> News {
        let Parts { zones, database, told, health, .. } = &mut self.parts;
        let (changed, news) = tokio::select! {
            changed = told.changed() => (changed, News::Told),
            changed = zones.changed() => (changed, News::Zones),
            changed = health.changed() => (changed, News::Health),
            changed = database.changed() => (changed, News::Database),
        };
        if changed.is_ok() { news } else { News::End }
    }

    fn renew(&mut self, news: &News) {
        let mut view = View::clone(&self.views.load());
        match news {
            News::Told => {
                let told = Arc::clone(&self.parts.told.borrow_and_update());
                let names = told.names(&self.parts.bases);
                self.fences = told.fences();
                if names != self.names {
                    self.names = names;
                    view.catalogue = catalogue(&self.parts.zones.borrow_and_update(), &self.names);
                }
                self.refleet(&told, &mut view);
            }
            News::Zones => view.catalogue = catalogue(&self.parts.zones.borrow_and_update(), &self.names),
            // By what was told when fences were last numbered: what has been told since comes with its own news.
            News::Health => {
                let told = Arc::clone(&self.parts.told.borrow());
                if told.fences() == self.fences {
                    self.refleet(&told, &mut view);
                }
            }
            News::Database => {
                let database = self.parts.database.borrow_and_update().clone();
                view.atlas = Arc::new(Atlas::new(Arc::clone(&self.parts.overrides), database));
            }
            News::End => return,
        }
        self.views.store(Arc::new(view));
    }

    fn refleet(&mut self, told: &Told, view: &mut View) {
        view.fleet = fleet(told, &self.parts.health.borrow_and_update(), &self.fences, self.parts.policy);
        view.named = (0..view.fleet.len()).map(|edge| self.parts.named.of(view.fleet.name(edge))).collect();
    }
}

fn catalogue(zones: &[Arc<ZoneFile>], names: &[(Name, FenceId)]) -> Arc<Catalogue> {
    let catalogue = Catalogue::new(zones, names);
    for notice in &catalogue.kept_back {
        tracing::warn!("{notice}");
    }
    Arc::new(catalogue)
}

fn fleet(told: &Told, health: &HealthTable, fences: &[BTreeSet<Region>], policy: Policy) -> Arc<Fleet> {
    let member = |(name, state): (&_, &_)| Member {
        conditions: health.conditions(name, state),
        name: Clone::clone(name),
        state: Clone::clone(state),
    };
    Arc::new(Fleet::new(told.edges.iter().map(member).collect(), fences, policy))
}
