//! Claiming a domain for a site, and giving it up.

use rand::Rng as _;
use verge_protocol::api::DomainRequest;
use verge_protocol::{DomainName, Timestamp};

use super::error::DomainError;
use super::{Domains, proof};
use crate::store::{DomainRow, DomainRows};

impl Domains {
    /// Claims a domain for a site, or changes where it redirects to, and checks its TXT record now.
    pub(crate) async fn claim(&self, name: DomainName, request: DomainRequest) -> Result<DomainRow, DomainError> {
        check_name(&name, &self.settings.base)?;
        if self.is_of_api(&name) {
            return Err(DomainError::OfApi(name));
        }
        let mut random = [0; 16];
        rand::rng().fill_bytes(&mut random);
        let (now, proof) = (self.clock.now(), proof::generate(&request.site, random));
        let row = self.write(name, move |name, domains| claimed(name, request, proof, domains, now)).await?;
        self.check(row).await
    }

    /// Gives a domain up: it is served no longer, and another site may claim it.
    pub(crate) async fn remove(&self, name: DomainName) -> Result<(), DomainError> {
        let (database, last_checks) = (self.database.clone(), self.last_checks.clone());
        self.feed
            .write(async move {
                let removed = |domains: &DomainRows| {
                    if !domains.contains_key(&name) {
                        return Err(DomainError::Unknown(name.clone()));
                    }
                    check_no_redirect_to(&name, domains)?;
                    Ok(None)
                };
                database.set_domain(&name, removed).await?;
                last_checks.lock().remove(&name);
                tracing::info!(domain = %name, "domain removed");
                Ok(())
            })
            .await
    }

    /// Replaces the row of a domain by what `decide` makes of all rows.
    pub(super) async fn write(
        &self,
        name: DomainName,
        decide: impl FnOnce(&DomainName, &DomainRows) -> Result<DomainRow, DomainError> + Send + 'static,
    ) -> Result<DomainRow, DomainError> {
        let database = self.database.clone();
        self.feed
            .write(async move {
                let row = database.set_domain(&name, |domains| decide(&name, domains).map(Some)).await?;
                row.ok_or(DomainError::Unknown(name))
            })
            .await
    }
}

/// Checks that a site may have a domain of this name.
fn check_name(name: &DomainName, base: &DomainName) -> Result<(), DomainError> {
    let last = name.labels().last().unwrap_or_default();
    // A single label is a top-level domain, and a numeric last label makes an IPv4 address (RFC 1123 §2.1).
    if name.labels().count() < 2 || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DomainError::NotRegistrable(name.clone()));
    }
    if name.is_within(base) {
        return Err(DomainError::WithinBase { name: name.clone(), base: base.clone() });
    }
    if name.as_str().len() > proof::DOMAIN_MAX {
        return Err(DomainError::TooLong { name: name.clone() });
    }
    Ok(())
}

/// The row of a domain after a claim. An existing one keeps its proof and whether it is proven.
fn claimed(
    name: &DomainName,
    request: DomainRequest,
    proof: String,
    domains: &DomainRows,
    now: Timestamp,
) -> Result<DomainRow, DomainError> {
    let DomainRequest { site, redirect_to } = request;
    let current = domains.get(name);
    if let Some(row) = current.filter(|row| row.site != site) {
        return Err(DomainError::Taken { name: name.clone(), site: row.site.clone() });
    }
    if let Some(target) = &redirect_to {
        if target == name {
            return Err(DomainError::RedirectToItself(name.clone()));
        }
        let Some(row) = domains.get(target) else {
            return Err(DomainError::UnknownTarget { target: target.clone(), site });
        };
        if row.site != site {
            return Err(DomainError::TargetOfOtherSite { target: target.clone(), site: row.site.clone() });
        }
        if let Some(further) = &row.redirect_to {
            return Err(DomainError::RedirectChain { target: target.clone(), further: further.clone() });
        }
        check_no_redirect_to(name, domains)?;
    }
    Ok(match current {
        // Without a proof, the row was damaged.
        Some(row) if row.proof.is_empty() => DomainRow { redirect_to, claimed: now, proof, ..row.clone() },
        Some(row) => DomainRow { redirect_to, claimed: now, ..row.clone() },
        None => DomainRow { name: name.clone(), site, redirect_to, proof, claimed: now, proven: None, problem: None },
    })
}

fn check_no_redirect_to(name: &DomainName, domains: &DomainRows) -> Result<(), DomainError> {
    match domains.values().find(|row| row.redirect_to.as_ref() == Some(name)) {
        Some(by) => Err(DomainError::RedirectedTo { name: name.clone(), by: by.name.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn claim(
        domains: &mut DomainRows,
        domain: &str,
        site: &str,
        redirect_to: Option<&str>,
    ) -> Result<DomainRow, String> {
        let request = DomainRequest { site: site.parse().unwrap(), redirect_to: redirect_to.map(name) };
        let row = claimed(&name(domain), request, format!("proof {}", domains.len()), domains, Timestamp(7));
        let row = row.map_err(|error| error.to_string())?;
        domains.insert(row.name.clone(), row.clone());
        Ok(row)
    }

    #[test]
    fn a_name_that_is_not_registrable_or_within_the_base_domain_is_refused() {
        let base = name("sites.example.org");
        let check = |text: &str| check_name(&name(text), &base).map_err(|error| error.to_string());
        for good in ["example.com", "www.example.com", "example.org", "www.sites.example.com", "1.example"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("{}.com", ["a".repeat(60).as_str(); 4].join("."));
        assert_eq!((long.len(), check(&long).is_err()), (247, true));
        assert_eq!(check(&long[1..]), Ok(()));
        for bad in
            ["localhost", "com", "192.0.2.1", "sites.example.org", "demo.sites.example.org", "a.b.sites.example.org"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_domain_claimed_again_keeps_its_proof_and_its_site() {
        let mut domains = DomainRows::new();
        let first = claim(&mut domains, "example.com", "demo", None).unwrap();
        let again = claim(&mut domains, "example.com", "demo", None).unwrap();
        assert_eq!(first, again);
        let other = claim(&mut domains, "example.com", "shop", None);
        assert_eq!(other, Err("`example.com` is a domain of site `demo`".to_owned()));
    }

    #[test]
    fn a_redirect_is_one_step_within_a_site() {
        let mut domains = DomainRows::new();
        claim(&mut domains, "example.com", "demo", None).unwrap();
        claim(&mut domains, "shop.example", "shop", None).unwrap();
        claim(&mut domains, "www.example.com", "demo", Some("example.com")).unwrap();
        for (domain, target) in [
            ("old.example.com", "old.example.com"),
            ("old.example.com", "nowhere.example"),
            ("old.example.com", "shop.example"),
            ("old.example.com", "www.example.com"),
            ("example.com", "old.example.com"),
        ] {
            assert!(claim(&mut domains, domain, "demo", Some(target)).is_err(), "{domain} to {target}");
        }
        claim(&mut domains, "old.example.com", "demo", None).unwrap();
        let reversed = claim(&mut domains, "example.com", "demo", Some("old.example.com"));
        assert_eq!(reversed, Err("`www.example.com` redirects to `example.com`".to_owned()));
        assert_eq!(claim(&mut domains, "www.example.com", "demo", None).unwrap().redirect_to, None);
    }
}
