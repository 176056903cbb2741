//! `verge domains`.

mod render;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainRequest, Site};

use super::context::Context;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;

pub(super) async fn run(command: Option<&cli::Domains>, context: &Context<'_>) -> Result<Exit, Failure> {
    match command {
        None => {
            let answer: Value = context.client()?.get("/v1/domains").await?;
            context.print_list(&answer, render::NO_DOMAINS, |domains: &[Domain]| {
                render::list(domains, context.environment.now, context.output)
            })
        }
        Some(cli::Domains::Add { domain, site, redirect_to }) => {
            let site = Project::find(None, &context.environment.current_dir)?.site(site.site.as_ref())?;
            let body = DomainRequest { site, redirect_to: redirect_to.clone() };
            // A new domain is not proven yet: that is not a failure.
            put(&context.client()?, domain, &body, context).await.map(|_| Exit::Success)
        }
        Some(cli::Domains::Check { domain }) => {
            let client = context.client()?;
            let known: Vec<Domain> = client.get("/v1/domains").await?;
            let Some(known) = known.into_iter().find(|known| known.name == *domain) else {
                return Err(unknown(domain));
            };
            let body = DomainRequest { site: known.site, redirect_to: known.redirect_to };
            let is_proven = put(&client, domain, &body, context).await?;
            Ok(if is_proven { Exit::Success } else { Exit::Pending })
        }
        Some(cli::Domains::Remove { domain }) => {
            context.client()?.delete(&path(domain)).await?;
            context.print_result(&json!({ "domain": domain, "removed": true }), || {
                Ok(format!("removed {domain}; its TXT record is no longer needed"))
            })
        }
    }
}

fn path(domain: &DomainName) -> String {
    format!("/v1/domains/{domain}")
}

/// Adds or checks a domain, and prints what to do next. Returns whether the domain is proven.
async fn put(
    client: &Client,
    domain: &DomainName,
    body: &DomainRequest,
    context: &Context<'_>,
) -> Result<bool, Failure> {
    let answer: Value = client.put(&path(domain), body).await?;
    let domain = Domain::deserialize(&answer)?;
    let output = context.output;
    if output.options().json {
        output.result(&answer)?;
    } else if domain.proven.is_some() {
        let site: Site = client.get(&format!("/v1/sites/{}", domain.site)).await?;
        render::proven(&domain, &site, output)?;
    } else {
        render::pending(&domain, &context.environment.program, output)?;
    }
    Ok(domain.proven.is_some())
}

/// A domain that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown domain `{0}`")]
struct Unknown(DomainName);

fn unknown(domain: &DomainName) -> Failure {
    let hint = format!("use `verge domains` to list domains, or `verge domains add {domain} --site SITE` to add it");
    Failure::new(Exit::Failure, &Unknown(domain.clone())).hint(Some(hint))
}
