//! `verge domains`: names of one's own for sites.

mod told;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainRequest, Site};

use super::Context;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;

pub(super) async fn run(command: Option<&cli::Domains>, context: &Context<'_>) -> Result<Exit, Failure> {
    match command {
        None => {
            let answer: Value = context.client()?.get("/v1/domains").await?;
            context.answer(&answer, || {
                let domains = Vec::<Domain>::deserialize(&answer)?;
                Ok(told::list(&domains, context.environment.now, context.output))
            })
        }
        Some(cli::Domains::Add { domain, site, redirect_to }) => {
            let site = Project::find(None, &context.environment.current_dir)?.site(site.site.as_ref())?;
            let wanted = DomainRequest { site, redirect_to: redirect_to.clone() };
            // That the record is still to be made is how it begins, no failure.
            want(&context.client()?, domain, &wanted, context).await.map(|_| Exit::Success)
        }
        Some(cli::Domains::Check { domain }) => {
            let client = context.client()?;
            let known: Vec<Domain> = client.get("/v1/domains").await?;
            let Some(known) = known.into_iter().find(|known| known.name == *domain) else {
                return Err(unknown(domain));
            };
            let wanted = DomainRequest { site: known.site, redirect_to: known.redirect_to };
            let is_proven = want(&client, domain, &wanted, context).await?;
            Ok(if is_proven { Exit::Success } else { Exit::Pending })
        }
        Some(cli::Domains::Remove { domain }) => {
            context.client()?.delete(&path(domain)).await?;
            context.answer(&json!({ "domain": domain, "removed": true }), || {
                Ok(format!("{domain} is given up; its TXT record has no more use"))
            })
        }
    }
}

fn path(domain: &DomainName) -> String {
    format!("/v1/domains/{domain}")
}

/// Asks for a domain and tells what to do next; whether it is proven.
async fn want(
    client: &Client,
    domain: &DomainName,
    wanted: &DomainRequest,
    context: &Context<'_>,
) -> Result<bool, Failure> {
    let answer: Value = client.put(&path(domain), wanted).await?;
    let domain = Domain::deserialize(&answer)?;
    let output = context.output;
    if output.manner().json {
        output.result(&answer)?;
    } else if domain.proven.is_some() {
        let site: Site = client.get(&format!("/v1/sites/{}", domain.site)).await?;
        told::proven(&domain, &site, output)?;
    } else {
        told::pending(&domain, &context.environment.program, output)?;
    }
    Ok(domain.proven.is_some())
}

/// A domain that the origin does not know.
#[derive(Debug, thiserror::Error)]
#[error("there is no domain `{0}`")]
struct Unknown(DomainName);

fn unknown(domain: &DomainName) -> Failure {
    let hint = format!("`verge domains` lists what there is; `verge domains add {domain} --site SITE` adds it");
    Failure::new(Exit::Failure, &Unknown(domain.clone())).hint(Some(hint))
}
