//! Domains as they are told: a list, and the records that are to be made.

use std::io;

use verge_protocol::Timestamp;
use verge_protocol::api::{Domain, Site};

use crate::output::{Output, human, table};

/// For how long others may keep a record, in seconds: short, since it is made to be looked at soon.
const TTL: u32 = 300;

/// Every domain.
pub(super) fn list(domains: &[Domain], now: Timestamp, output: &Output) -> String {
    if domains.is_empty() {
        return "no domain yet: `verge domains add` adds one".to_owned();
    }
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

/// What is to be done so that a domain is proven.
pub(super) fn pending(domain: &Domain, program: &str, output: &Output) -> io::Result<()> {
    let name = &domain.name;
    let problem =
        domain.problem.as_deref().map_or_else(String::new, |problem| format!(": {}", human::line(problem, 500)));
    output.say(format_args!("{name} is not proven yet{problem}"));
    output.say("make this record where its zone is kept:");
    output.say("");
    let (record, value) = (human::line(&domain.proof.name, 300), human::line(&domain.proof.value, 300));
    output.result(format_args!("{record}. {TTL} IN TXT \"{value}\""))?;
    output.say("");
    output.say(format_args!(
        "the origin looks for it every minute for a week; `{program} domains check {name}` makes it look now"
    ));
    Ok(())
}

/// How readers come to a domain that is proven.
pub(super) fn proven(domain: &Domain, site: &Site, output: &Output) -> io::Result<()> {
    let name = &domain.name;
    match &domain.redirect_to {
        None => output.done(format_args!("{name} is proven, and shows {}", domain.site)),
        Some(target) => output.done(format_args!("{name} is proven, and sends its readers on to {target}")),
    }
    if let Some(problem) = &domain.problem {
        output.warn(human::line(problem, 500));
    }
    output
        .say("where Verge's own name servers answer for its zone nothing is left to do; elsewhere, make this record:");
    output.say("");
    output.result(format_args!("{name}. {TTL} IN CNAME {}.", host(site)))?;
    output.say("");
    output.say("at the top of a zone, where no CNAME may be, an ALIAS or ANAME to the same name does it");
    Ok(())
}

/// The host at which the site answers without a domain.
fn host(site: &Site) -> String {
    let url = human::line(&site.url, 300);
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    rest.split([':', '/']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use verge_protocol::api::Proof;

    use super::*;
    use crate::output::Manner;

    #[derive(Clone, Default)]
    struct End(Arc<Mutex<Vec<u8>>>);

    impl io::Write for End {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Both ends at once, as on a terminal.
    fn said(tell: impl FnOnce(&Output) -> io::Result<()>) -> String {
        let end = End::default();
        tell(&Output::new(end.clone(), end.clone(), Manner::default())).unwrap();
        String::from_utf8(end.0.lock().unwrap().clone()).unwrap()
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
        let output = Output::new(io::sink(), io::sink(), Manner::default());
        insta::assert_snapshot!(list(&domains, Timestamp(7_200_000), &output));
        assert_eq!(list(&[], Timestamp(0), &output), "no domain yet: `verge domains add` adds one");
    }

    #[test]
    fn the_record_to_make_is_told() {
        let problem = "there is no name `_verge.www.example.com`\u{1b}[2J";
        insta::assert_snapshot!(said(|output| pending(
            &domain("www.example.com", None, Some(problem)),
            "verge",
            output
        )));
    }

    #[test]
    fn where_to_point_a_proven_domain_is_told() {
        insta::assert_snapshot!(said(|output| proven(&domain("www.example.com", Some(0), None), &site(), output)));
        let gone = domain("www.example.com", Some(0), Some("it has no TXT record; it was proven before"));
        let redirecting = Domain { redirect_to: Some("example.com".parse().unwrap()), ..gone };
        insta::assert_snapshot!(said(|output| proven(&redirecting, &site(), output)));
    }
}
