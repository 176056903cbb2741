//! `verge domains`.

mod findings;
mod render;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainFinding, DomainRequest, Site};

use super::context::Context;
use super::linking;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::unicode_domain;

pub(super) async fn run(command: Option<&cli::Domains>, context: &Context<'_>) -> Result<Exit, Failure> {
    match command {
        None => {
            let answer: Value = context.client()?.get("/v1/domains").await?;
            context.print_list(&answer, render::NO_DOMAINS, |domains: &[Domain]| {
                render::list(domains, context.environment.now, context.output)
            })
        }
        Some(cli::Domains::Add { domain, site, redirect_to }) => {
            let project = Project::find(None, &context.environment.current_dir)?;
            let site = linking::site_to_change(&project, site.site.as_ref(), context)?;
            let body = DomainRequest { site, redirect_to: redirect_to.clone() };
            let client = context.client()?;
            let answer = put(&client, domain, &body).await?;
            // A new domain is not proven yet: that is not a failure, and nothing to warn of.
            show(&client, &answer, findings::is_expected_at_first, context).await?;
            Ok(Exit::Success)
        }
        Some(cli::Domains::Check { domain }) => {
            let client = context.client()?;
            let known: Vec<Domain> = client.get("/v1/domains").await?;
            let Some(known) = known.into_iter().find(|known| known.name == *domain) else {
                return Err(unknown(domain));
            };
            let body = DomainRequest { site: known.site, redirect_to: known.redirect_to };
            let answer = put(&client, domain, &body).await?;
            let is_proven = show(&client, &answer, |_| false, context).await?;
            Ok(if is_proven { Exit::Success } else { Exit::Pending })
        }
        Some(cli::Domains::Remove { domain }) => {
            context.client()?.delete(&path(domain)).await?;
            context.print_result(&json!({ "domain": domain, "removed": true }), || {
                Ok(format!("removed {}; its TXT record is no longer needed", unicode_domain::show(domain)))
            })
        }
    }
}

fn path(domain: &DomainName) -> String {
    format!("/v1/domains/{domain}")
}

/// Adds a domain, or checks it.
async fn put(client: &Client, domain: &DomainName, body: &DomainRequest) -> Result<Value, Failure> {
    Ok(client.put(&path(domain), body).await?)
}

/// Prints what is wrong with a domain, and what to do next. What `is_expected` of a domain that is not proven is not shown. Returns whether
/// the domain is proven.
async fn show(
    client: &Client,
    answer: &Value,
    is_expected: impl Fn(&DomainFinding) -> bool,
    context: &Context<'_>,
) -> Result<bool, Failure> {
    let mut domain = Domain::deserialize(answer)?;
    let is_proven = domain.proven.is_some();
    if context.output.options().json {
        context.output.result(answer)?;
        return Ok(is_proven);
    }
    let site: Site = client.get(&format!("/v1/sites/{}", domain.site)).await?;
    let program = &context.environment.program;
    if is_proven {
        render::proven(&domain, &site, program, context.output)?;
    } else {
        domain.findings.retain(|finding| !is_expected(finding));
        render::pending(&domain, &site, program, context.output)?;
    }
    Ok(is_proven)
}

/// A domain that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown domain `{}`", unicode_domain::show(.0))]
struct Unknown(DomainName);

fn unknown(domain: &DomainName) -> Failure {
    let shown = unicode_domain::show(domain);
    let hint = format!("use `verge domains` to list domains, or `verge domains add {shown} --site SITE` to add it");
    Failure::new(Exit::Failure, &Unknown(domain.clone())).hint(Some(hint))
}
