//! Domains of sites: who may have one, how that is proven, and what follows from it.
//!
//! A domain is wanted for a site, and proven by a TXT record that only who has the domain can make. From then on it is served.
//! Once proven it stays so: a record that is tidied away later takes no site down, it is only told.

mod proof;
mod recheck;
mod resolver;

use std::sync::Arc;

use rand::Rng as _;
use verge_protocol::api::DomainRequest;
use verge_protocol::{DomainName, SiteName, Timestamp};

use crate::app::App;
use crate::store::{DomainRow, Domains, StoreError};

use self::proof::Unseen;
pub(crate) use self::proof::name as proof_name;
pub(crate) use self::recheck::{PERIOD, run as recheck};
pub(crate) use self::resolver::{PATIENCE, Resolver};

/// Why a domain is not as was asked. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DomainError {
    #[error("`{0}` is no domain that anybody could have")]
    Unfit(DomainName),
    #[error("`{name}` has {} characters, and the record that proves it needs {} more", name.as_str().len(), 253 - proof::DOMAIN_MAX)]
    TooLong { name: DomainName },
    #[error("`{name}` is within {base}, where sites have names of their own")]
    WithinBase { name: DomainName, base: DomainName },
    #[error("`{name}` is a domain of site `{site}`")]
    Taken { name: DomainName, site: SiteName },
    #[error("`{0}` cannot redirect to itself")]
    Itself(DomainName),
    #[error("there is no domain `{target}` to redirect to")]
    NoTarget { target: DomainName, site: SiteName },
    #[error("`{target}` is a domain of site `{site}`")]
    OtherSite { target: DomainName, site: SiteName },
    #[error("`{target}` redirects to `{further}` itself")]
    Chain { target: DomainName, further: DomainName },
    #[error("`{by}` redirects to `{name}`")]
    RedirectedTo { name: DomainName, by: DomainName },
    #[error("there is no domain `{0}`")]
    Unknown(DomainName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes sure that a site is to be shown at a domain, and looks for the proof.
pub(crate) async fn want(app: &Arc<App>, name: DomainName, wanted: DomainRequest) -> Result<DomainRow, DomainError> {
    fit(&name, app.sites_url.base())?;
    let mut random = [0; 16];
    rand::rng().fill_bytes(&mut random);
    let (now, proof) = (app.clock.now(), proof::value(&wanted.site, random));
    let row = write(app, name, move |name, domains| claimed(name, wanted, proof, domains, now)).await?;
    check(app, row).await
}

/// Takes a domain away: it is served no more, and another site may have it.
pub(crate) async fn remove(app: &Arc<App>, name: DomainName) -> Result<(), DomainError> {
    app.write(|app| async move {
        let removed = |domains: &Domains| {
            if !domains.contains_key(&name) {
                return Err(DomainError::Unknown(name.clone()));
            }
            not_redirected_to(&name, domains)?;
            Ok(None)
        };
        app.database.set_domain(&name, removed).await?;
        tracing::info!(domain = %name, "a domain was removed");
        Ok(())
    })
    .await
}

/// Looks for the proof of a domain, and notes what was found.
async fn check(app: &Arc<App>, row: DomainRow) -> Result<DomainRow, DomainError> {
    let seen = app.resolver.texts(&proof::name(&row.name)).await;
    let found = proof::examine(&row.name, &row.proof, seen);
    let now = app.clock.now();
    if judged(row.clone(), found.clone(), now) == row {
        return Ok(row);
    }
    let proof = row.proof.clone();
    let judged = write(app, row.name.clone(), move |name, domains| match domains.get(name) {
        Some(current) if current.proof == proof => Ok(judged(current.clone(), found, now)),
        // It was removed while DNS was asked, and perhaps wanted anew.
        _ => Err(DomainError::Unknown(name.clone())),
    })
    .await?;
    if row.proven.is_none() && judged.proven.is_some() {
        tracing::info!(domain = %judged.name, site = %judged.site, "a domain was proven");
    }
    Ok(judged)
}

async fn write(
    app: &Arc<App>,
    name: DomainName,
    decide: impl FnOnce(&DomainName, &Domains) -> Result<DomainRow, DomainError> + Send + 'static,
) -> Result<DomainRow, DomainError> {
    app.write(|app| async move {
        let row = app.database.set_domain(&name, |domains| decide(&name, domains).map(Some)).await?;
        row.ok_or(DomainError::Unknown(name))
    })
    .await
}

/// Whether a site may have such a domain at all.
fn fit(name: &DomainName, base: &DomainName) -> Result<(), DomainError> {
    let last = name.labels().last().unwrap_or_default();
    // One label is a registry's, and of four numbers none is a name (RFC 1123 §2.1).
    if name.labels().count() < 2 || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DomainError::Unfit(name.clone()));
    }
    if name.is_within(base) {
        return Err(DomainError::WithinBase { name: name.clone(), base: base.clone() });
    }
    if name.as_str().len() > proof::DOMAIN_MAX {
        return Err(DomainError::TooLong { name: name.clone() });
    }
    Ok(())
}

/// The row of a domain that somebody wants. One that is there already keeps its proof, and is looked at for a while again.
fn claimed(
    name: &DomainName,
    wanted: DomainRequest,
    proof: String,
    domains: &Domains,
    now: Timestamp,
) -> Result<DomainRow, DomainError> {
    let DomainRequest { site, redirect_to } = wanted;
    let current = domains.get(name);
    if let Some(row) = current.filter(|row| row.site != site) {
        return Err(DomainError::Taken { name: name.clone(), site: row.site.clone() });
    }
    if let Some(target) = &redirect_to {
        if target == name {
            return Err(DomainError::Itself(name.clone()));
        }
        let Some(row) = domains.get(target) else {
            return Err(DomainError::NoTarget { target: target.clone(), site });
        };
        if row.site != site {
            return Err(DomainError::OtherSite { target: target.clone(), site: row.site.clone() });
        }
        if let Some(further) = &row.redirect_to {
            return Err(DomainError::Chain { target: target.clone(), further: further.clone() });
        }
        not_redirected_to(name, domains)?;
    }
    Ok(match current {
        Some(row) => DomainRow { redirect_to, asked: now, ..row.clone() },
        None => DomainRow { name: name.clone(), site, redirect_to, proof, asked: now, proven: None, problem: None },
    })
}

fn not_redirected_to(name: &DomainName, domains: &Domains) -> Result<(), DomainError> {
    match domains.values().find(|row| row.redirect_to.as_ref() == Some(name)) {
        Some(by) => Err(DomainError::RedirectedTo { name: name.clone(), by: by.name.clone() }),
        None => Ok(()),
    }
}

/// A domain after its proof was looked for.
fn judged(row: DomainRow, found: Result<(), Unseen>, now: Timestamp) -> DomainRow {
    match (found, row.proven) {
        (Ok(()), proven) => DomainRow { proven: proven.or(Some(now)), problem: None, ..row },
        (Err(unseen), None) => DomainRow { problem: Some(unseen.why), ..row },
        (Err(Unseen { why, definite: true }), Some(_)) => {
            DomainRow { problem: Some(format!("{why}; it was proven before, and is still served")), ..row }
        }
        // A resolver that says nothing is no reason to doubt what was seen.
        (Err(Unseen { definite: false, .. }), Some(_)) => row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn want(domains: &mut Domains, domain: &str, site: &str, redirect_to: Option<&str>) -> Result<DomainRow, String> {
        let wanted = DomainRequest { site: site.parse().unwrap(), redirect_to: redirect_to.map(name) };
        let row = claimed(&name(domain), wanted, format!("proof {}", domains.len()), domains, Timestamp(7));
        let row = row.map_err(|error| error.to_string())?;
        domains.insert(row.name.clone(), row.clone());
        Ok(row)
    }

    #[test]
    fn only_what_somebody_can_have_is_a_domain() {
        let base = name("sites.example.org");
        let fits = |text: &str| fit(&name(text), &base).map_err(|error| error.to_string());
        for good in ["example.com", "www.example.com", "example.org", "www.sites.example.com", "1.example"] {
            assert_eq!(fits(good), Ok(()), "{good}");
        }
        let long = format!("{}.com", ["a".repeat(60).as_str(); 4].join("."));
        assert_eq!((long.len(), fits(&long).is_err()), (247, true));
        assert_eq!(fits(&long[1..]), Ok(()));
        for bad in
            ["localhost", "com", "192.0.2.1", "sites.example.org", "demo.sites.example.org", "a.b.sites.example.org"]
        {
            assert!(fits(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_domain_keeps_its_proof_and_its_site() {
        let mut domains = Domains::new();
        let first = want(&mut domains, "example.com", "demo", None).unwrap();
        let again = want(&mut domains, "example.com", "demo", None).unwrap();
        assert_eq!(first, again);
        let other = want(&mut domains, "example.com", "shop", None);
        assert_eq!(other, Err("`example.com` is a domain of site `demo`".to_owned()));
    }

    #[test]
    fn redirects_go_one_step_within_a_site() {
        let mut domains = Domains::new();
        want(&mut domains, "example.com", "demo", None).unwrap();
        want(&mut domains, "shop.example", "shop", None).unwrap();
        want(&mut domains, "www.example.com", "demo", Some("example.com")).unwrap();
        for (domain, target) in [
            ("old.example.com", "old.example.com"),
            ("old.example.com", "nowhere.example"),
            ("old.example.com", "shop.example"),
            ("old.example.com", "www.example.com"),
            ("example.com", "old.example.com"),
        ] {
            assert!(want(&mut domains, domain, "demo", Some(target)).is_err(), "{domain} to {target}");
        }
        want(&mut domains, "old.example.com", "demo", None).unwrap();
        let turned = want(&mut domains, "example.com", "demo", Some("old.example.com"));
        assert_eq!(turned, Err("`www.example.com` redirects to `example.com`".to_owned()));
        assert_eq!(want(&mut domains, "www.example.com", "demo", None).unwrap().redirect_to, None);
    }

    #[test]
    fn a_proof_that_is_gone_takes_nothing_down() {
        let row = want(&mut Domains::new(), "example.com", "demo", None).unwrap();
        let unseen = |definite| Err(Unseen { why: "nothing there".to_owned(), definite });
        let pending = judged(row, unseen(false), Timestamp(8));
        assert_eq!((pending.proven, pending.problem.as_deref()), (None, Some("nothing there")));
        let proven = judged(pending, Ok(()), Timestamp(9));
        assert_eq!((proven.proven, &proven.problem), (Some(Timestamp(9)), &None));
        assert_eq!(judged(proven.clone(), unseen(false), Timestamp(10)), proven);
        let gone = judged(proven.clone(), unseen(true), Timestamp(10));
        assert_eq!(gone.proven, proven.proven);
        assert_eq!(gone.problem.as_deref(), Some("nothing there; it was proven before, and is still served"));
        assert_eq!(judged(gone.clone(), unseen(false), Timestamp(11)), gone);
        assert_eq!(judged(gone, Ok(()), Timestamp(11)), proven);
    }
}
