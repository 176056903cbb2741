//! Putting views together out of what zones, database, feed and probes say, each time one of them says something new.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use verge_daemon::Tasks;
use verge_protocol::DomainName;

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
    /// What catalogue and fleet are made with. Fences are numbered for both at once.
    told: Arc<Told>,
}

/// What has changed.
enum News {
    /// Names, edges or fences, or what the operator's zones hold.
    Told,
    Zones,
    Health,
    Database,
}

impl Assembler {
    /// Makes the first view of what is known by now. Takes a moment for a hundred thousand names: to be called where that does no
    /// harm.
    pub(crate) fn new(mut parts: Parts) -> Self {
        let told = Arc::clone(&parts.told.borrow_and_update());
        let catalogue = catalogue(&parts.zones.borrow_and_update(), &told.names(&parts.bases));
        let atlas = Arc::new(Atlas::new(Arc::clone(&parts.overrides), parts.database.borrow_and_update().clone()));
        let fleet = fleet(&told, &parts.health.borrow_and_update(), parts.policy);
        let counts = (0..fleet.len()).map(|edge| parts.named.of(fleet.name(edge))).collect();
        let is_told = told.position.is_some();
        let view = View { catalogue, fleet, named: counts, atlas, told: is_told, node: parts.node.clone() };
        Self { parts, views: Arc::new(ArcSwap::from_pointee(view)), told }
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

    /// Waits for what changes next. A part that says nothing more, such as a database that is not there, is waited for no more.
    async fn news(&mut self) -> News {
        let Parts { zones, database, told, health, .. } = &mut self.parts;
        tokio::select! {
            Ok(()) = told.changed() => News::Told,
            Ok(()) = zones.changed() => News::Zones,
            Ok(()) = health.changed() => News::Health,
            Ok(()) = database.changed() => News::Database,
            else => std::future::pending().await,
        }
    }

    fn renew(&mut self, news: &News) {
        let mut view = View::clone(&self.views.load());
        match news {
            News::Told => {
                let told = Arc::clone(&self.parts.told.borrow_and_update());
                let before = std::mem::replace(&mut self.told, told);
                view.told = self.told.position.is_some();
                if !self.told.shares_names_with(&before) {
                    view.catalogue = self.catalogue();
                }
                self.refleet(&mut view);
            }
            News::Zones => view.catalogue = self.catalogue(),
            // By what was told when fences were last numbered: what has been told since comes with its own news.
            News::Health => self.refleet(&mut view),
            News::Database => {
                let database = self.parts.database.borrow_and_update().clone();
                view.atlas = Arc::new(Atlas::new(Arc::clone(&self.parts.overrides), database));
            }
        }
        self.views.store(Arc::new(view));
    }

    fn catalogue(&mut self) -> Arc<Catalogue> {
        catalogue(&self.parts.zones.borrow_and_update(), &self.told.names(&self.parts.bases))
    }

    fn refleet(&mut self, view: &mut View) {
        view.fleet = fleet(&self.told, &self.parts.health.borrow_and_update(), self.parts.policy);
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

fn fleet(told: &Told, health: &HealthTable, policy: Policy) -> Arc<Fleet> {
    let member = |(name, state): (&_, &_)| Member {
        conditions: health.conditions(name, state),
        name: Clone::clone(name),
        state: Clone::clone(state),
    };
    Arc::new(Fleet::new(told.edges.iter().map(member).collect(), &told.fences(), policy))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use verge_protocol::fleet::EdgeState;

    use super::*;

    #[tokio::test]
    async fn a_part_that_says_nothing_more_ends_none_of_the_others() {
        let told = watch::Sender::new(Arc::new(Told::default()));
        // As when there is no database: nobody is left who could change it.
        let (_, database) = watch::channel(None);
        let (zones, health) = (watch::Sender::new(Vec::new()), watch::Sender::new(Arc::default()));
        let parts = Parts {
            zones: zones.subscribe(),
            database,
            told: told.subscribe(),
            health: health.subscribe(),
            bases: Vec::new(),
            overrides: Arc::default(),
            policy: Policy::default(),
            named: EdgeCounts::default(),
            node: "ns-1".into(),
        };
        let (assembler, tasks) = (Assembler::new(parts), Tasks::default());
        let views = assembler.views();
        assembler.run(&tasks);
        let state: EdgeState = serde_json::from_str(r#"{"addresses":["192.0.2.1"]}"#).unwrap();
        let mut edges = BTreeMap::new();
        for number in 1..=20 {
            edges.insert(format!("fra-{number}").parse().unwrap(), state.clone());
            told.send_replace(Arc::new(Told { edges: edges.clone().into(), ..Told::default() }));
            let until_named = async {
                while views.load().fleet.len() < number {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), until_named).await.unwrap();
        }
        tasks.shutdown(Duration::from_secs(30)).await.unwrap();
    }
}
