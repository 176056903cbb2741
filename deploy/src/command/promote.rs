//! `verge promote`.

use super::context::Context;
use super::linking;
use super::move_summary::MoveSummary;
use super::provenance;
use crate::cli::{self, PromoteSource};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::promote::{Promoted, Promotion};
use crate::upload::RetryPolicy;

pub(super) async fn run(arguments: &cli::Promote, context: &Context<'_>) -> Result<Exit, Failure> {
    let cli::Promote { source, to, site, wait } = arguments;
    let project = Project::find(None, &context.environment.current_dir)?;
    let site = linking::site_to_change(&project, site.site.as_ref(), context)?;
    let client = context.client()?;
    let author = provenance::author_of(context.environment).await;
    let (wait, retry) = (wait.choice(), RetryPolicy::default());
    let promotion = Promotion { client: &client, site: &site, source, to: &to.name, author, wait, retry };
    let Promoted { from, rollout } = promotion.run(context.output).await?;
    let origin = match source {
        PromoteSource::Channel(source) => format!(" of {source}"),
        PromoteSource::Release(_) => String::new(),
    };
    let summary = MoveSummary { site: &site, channel: &to.name, from, rollout, origin, is_return: false };
    summary.print(&client, context).await
}
