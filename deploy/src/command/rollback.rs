//! `verge rollback`.

use super::context::Context;
use super::linking;
use super::move_summary::MoveSummary;
use super::provenance;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::rollback::{Rollback, RolledBack};
use crate::upload::RetryPolicy;

pub(super) async fn run(arguments: &cli::Rollback, context: &Context<'_>) -> Result<Exit, Failure> {
    let project = Project::find(None, &context.environment.current_dir)?;
    let site = linking::site_to_change(&project, arguments.site.site.as_ref(), context)?;
    let client = context.client()?;
    let channel = &arguments.channel.channel(project.settings.channel.as_ref()).name;
    let author = provenance::author_of(context.environment).await;
    let (wait, retry) = (arguments.channel.wait.choice(), RetryPolicy::default());
    let rollback = Rollback { client: &client, site: &site, channel, to: arguments.to, author, wait, retry };
    let RolledBack { from, rollout } = rollback.run(context.output).await?;
    let summary =
        MoveSummary { site: &site, channel, from: Some(from), rollout, origin: String::new(), is_return: true };
    summary.print(&client, context).await
}
