//! The state of the HTTP API. A handler takes only the parts that it needs, each as `State<Part>`.

use std::sync::Arc;

use axum::extract::FromRef;
use verge_daemon::Clock;

use crate::api_tls::ApiTls;
use crate::certificates::{Issuer, Vault};
use crate::channel_deletion::ChannelDeletion;
use crate::collection::Collector;
use crate::domains::Domains;
use crate::edge_reports::EdgeReports;
use crate::erasure::Erasures;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::problems::Problems;
use crate::publish::{Contents, Publisher};
use crate::purges::Purges;
use crate::sites_url::SitesUrl;
use crate::store::Database;
use crate::token::Tokens;
use crate::uploads::Uploads;

/// All parts. Clones share them.
#[derive(Clone, FromRef)]
pub(crate) struct AppState {
    pub(crate) database: Database,
    pub(crate) contents: Contents,
    pub(crate) clock: Clock,
    pub(crate) feed: Feed,
    pub(crate) edge_reports: EdgeReports,
    pub(crate) fleet: Fleet,
    pub(crate) problems: Problems,
    pub(crate) tokens: Tokens,
    pub(crate) uploads: Uploads,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) channel_deletion: ChannelDeletion,
    pub(crate) purges: Purges,
    pub(crate) erasures: Erasures,
    pub(crate) collector: Arc<Collector>,
    pub(crate) domains: Domains,
    pub(crate) vault: Vault,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) tls: ApiTls,
    pub(crate) sites_url: SitesUrl,
    pub(crate) metrics: Arc<Metrics>,
}
