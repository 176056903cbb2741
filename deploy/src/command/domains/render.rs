//! The table of domains, and the DNS records to create.

use std::io;

use verge_protocol::Timestamp;
use verge_protocol::api::{Domain, Site};

use crate::output::{Output, human, table};

/// The TTL of the suggested records, in seconds: short, so that corrections take effect soon.
const TTL: u32 = 300;

/// In place of a table without rows.
pub(super) const NO_DOMAINS: &str = "no domains yet; add one with `verge domains add`";

/// The table of all domains.
pub(super) fn list(domains: &[Domain], now: Timestamp, output: &Output) -> String {
    let row = |domain: &Domain| {
        vec![
            domain.name.to_string(),
            domain.site.to_string(),
            domain.redirect_to.as_ref().map_or_else(String::new, ToString::to_string),
            domain.proven.map_or_else(|| "not yet".to_owned(), |proven| human::age(proven.age(now))),
            domain.problem.as_deref().map_or_else(String::new, |problem| human::line(problem, 200)),
        ]
    };
    table(output, &["domain", "site", "redirects to", "proven", "problem"], domains.iter().map(row).collect())
}

/// How to prove the ownership of a domain.
pub(super) fn pending(domain: &Domain, program: &str, output: &Output) -> io::Result<()> {
    let name = &domain.name;
    let problem =
        domain.problem.as_deref().map_or_else(String::new, |problem| format!(": {}", human::line(problem, 500)));
    output.info(format_args!("{name} is not proven yet{problem}"));
    output.info("create this record in its DNS zone:");
    output.info("");
    let (record, value) = (human::line(&domain.proof.name, 300), human::line(&domain.proof.value, 300));
    output.result(format_args!("{record}. {TTL} IN TXT \"{value}\""))?;
    output.info("");
    output.info(format_args!(
        "the origin looks it up every minute for a week; use `{program} domains check {name}` to look it up now"
    ));
    Ok(())
}

/// How to point a proven domain at the edges.
pub(super) fn proven(domain: &Domain, site: &Site, output: &Output) -> io::Result<()> {
    let name = &domain.name;
    match &domain.redirect_to {
        None => output.success(format_args!("{name} is proven and serves {}", domain.site)),
        Some(target) => output.success(format_args!("{name} is proven and redirects to {target}")),
    }
    if let Some(problem) = &domain.problem {
        output.warn(human::line(problem, 500));
    }
    output.info("create this record, unless Verge's name servers are authoritative for its zone:");
    output.info("");
    output.result(format_args!("{name}. {TTL} IN CNAME {}.", host(site)))?;
    output.info("");
    output.info(
        "at the apex of a zone, where CNAME is not allowed, create an ALIAS or ANAME record with the same target",
    );
    Ok(())
}

/// The host name of the site under the base domain.
fn host(site: &Site) -> String {
    let url = human::line(&site.url, 300);
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    rest.split([':', '/']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use verge_protocol::api::Proof;
    use verge_protocol::https::SiteHttps;

    use super::*;
    use crate::output::OutputOptions;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Both streams, as on a terminal.
    fn written(render: impl FnOnce(&Output) -> io::Result<()>) -> String {
        let buffer = Buffer::default();
        render(&Output::new(buffer.clone(), buffer.clone(), OutputOptions::default())).unwrap();
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    fn domain(name: &str, proven: Option<u64>, problem: Option<&str>) -> Domain {
        Domain {
            name: name.parse().unwrap(),
            site: "demo".parse().unwrap(),
            redirect_to: None,
            proof: Proof { name: format!("_verge.{name}"), value: "verge-demo-00".to_owned() },
            proven: proven.map(Timestamp),
            problem: problem.map(str::to_owned),
        }
    }

    fn site() -> Site {
        Site {
            name: "demo".parse().unwrap(),
            created: Timestamp(0),
            url: "https://demo.sites.example.com:8443/".to_owned(),
            channels: vec![],
            regions: [].into(),
            https: SiteHttps::default(),
        }
    }

    #[test]
    fn every_domain_is_listed() {
        let redirecting =
            Domain { redirect_to: Some("www.example.com".parse().unwrap()), ..domain("example.com", Some(0), None) };
        let domains = [
            redirecting,
            domain("new.example", None, Some("there is no name `_verge.new.example`")),
            domain("www.example.com", Some(3_600_000), None),
        ];
        let output = Output::new(io::sink(), io::sink(), OutputOptions::default());
        insta::assert_snapshot!(list(&domains, Timestamp(7_200_000), &output));
    }

    #[test]
    fn pending_domain_shows_txt_record() {
        let problem = "there is no name `_verge.www.example.com`\u{1b}[2J";
        insta::assert_snapshot!(written(|output| pending(
            &domain("www.example.com", None, Some(problem)),
            "verge",
            output
        )));
    }

    #[test]
    fn proven_domain_shows_cname_record() {
        insta::assert_snapshot!(written(|output| proven(&domain("www.example.com", Some(0), None), &site(), output)));
        let gone = domain("www.example.com", Some(0), Some("it has no TXT record; it was proven before"));
        let redirecting = Domain { redirect_to: Some("example.com".parse().unwrap()), ..gone };
        insta::assert_snapshot!(written(|output| proven(&redirecting, &site(), output)));
    }
}
