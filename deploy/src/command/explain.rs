//! `verge explain`.

use std::fmt::Write as _;

use reqwest::Url;
use reqwest::header::{HeaderMap, LOCATION};
use serde_json::{Map, Value, json};
use verge_edge::Cause;
use verge_protocol::api::Site;

use super::context::Context;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::explain::{End, REDIRECTS_MAX, Reason, Step, Trace, explain};
use crate::failure::Failure;
use crate::output::human;
use crate::project::Project;
use crate::unicode_domain;

/// The longest text of a site that is shown, in characters.
const TEXT_MAX: usize = 1100;

pub(super) async fn run(arguments: &cli::Explain, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let url = find_url(arguments, &client, context).await?;
    let mut headers = HeaderMap::new();
    for (name, value) in &arguments.header {
        headers.append(name.clone(), value.clone());
    }
    let trace = explain(&client, url, &headers).await?;
    context.print_result(&json_of(&trace), || Ok(text_of(&trace)))?;
    Ok(match trace.end {
        End::Answered | End::Elsewhere(_) => Exit::Success,
        End::Loop(_) | End::TooMany => Exit::Failure,
    })
}

/// The URL that is meant: a path is one of the project's site.
async fn find_url(arguments: &cli::Explain, client: &Client, context: &Context<'_>) -> Result<Url, Failure> {
    let text = &*arguments.url;
    let invalid = || {
        let message = format!("invalid URL `{text}`");
        Failure { exit: Exit::Usage, message, details: Vec::new(), hints: Vec::new() }
            .hint(Some("expected a URL such as https://www.example.com/docs, or a path such as /docs"))
    };
    if text.starts_with('/') {
        let site = Project::find(None, &context.environment.current_dir)?.site(arguments.site.site.as_ref())?;
        let site: Site = client.get(&format!("/v1/sites/{site}")).await?;
        let base = site.url.trim_end_matches('/');
        return format!("{base}{text}").parse().map_err(|_| invalid());
    }
    if text.contains("://") {
        return text.parse().map_err(|_| invalid());
    }
    let url: Url = format!("https://{text}").parse().map_err(|_| invalid())?;
    let is_local = url.domain().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    if is_local { format!("http://{text}").parse().map_err(|_| invalid()) } else { Ok(url) }
}

fn text_of(trace: &Trace) -> String {
    let mut text = String::new();
    for step in &trace.steps {
        // Writing to a text does not fail.
        let _ = writeln!(text, "GET {}", shown(step.url.as_str()));
        let _ = writeln!(text, "  {}", answer_of(step));
        let _ = writeln!(text, "  because {}", human::line(&because(step), TEXT_MAX));
        let of_channel = step.channel.as_ref().map_or_else(String::new, |channel| format!("channel {channel}, "));
        let _ = writeln!(text, "  site {}, {of_channel}release {}", step.site, step.release);
        if step.url.scheme() == "https" && !step.has_certificate {
            let _ = writeln!(
                text,
                "  without a certificate of the fleet: edges refuse TLS, unless they have files of their own, as those of `verge up --https`"
            );
        }
        if step.may_redirect_to_tls {
            let _ = writeln!(
                text,
                "  without a certificate of the fleet: an edge that has files of its own, as those of `verge up --https`, redirects to https"
            );
        }
        for (name, value) in &step.headers {
            let value = human::line(&String::from_utf8_lossy(value.as_bytes()), TEXT_MAX);
            let rule = step.ruled_headers.get(name.as_str());
            let rule = rule.map(|pattern| format!("   (header rule for `{}`)", human::line(pattern, TEXT_MAX)));
            let _ = writeln!(text, "    {name}: {value}{}", rule.unwrap_or_default());
        }
        text.push('\n');
    }
    let end = match &trace.end {
        End::Answered => String::new(),
        End::Elsewhere(url) => format!("{} is not a site of this origin", shown(url)),
        End::Loop(url) => format!("a loop: {} was requested before, and browsers give up", shown(url.as_str())),
        End::TooMany => format!("more than {REDIRECTS_MAX} redirects: browsers give up"),
    };
    text.push_str(&end);
    text.truncate(text.trim_end().len());
    text
}

/// A URL without control characters, its host as people write it.
fn shown(url: &str) -> String {
    human::line(&unicode_domain::show_in(url), 2000)
}

fn answer_of(step: &Step) -> String {
    let status = step.status.as_u16();
    match (step.headers.get(LOCATION), &step.file) {
        (Some(location), _) if step.status.is_redirection() => {
            format!("{status} to {}", shown(&String::from_utf8_lossy(location.as_bytes())))
        }
        (_, Some(file)) => format!("{status} with {}", human::line(file, 1100)),
        _ => format!("{status}"),
    }
}

fn because(step: &Step) -> String {
    let cause = match &step.reason {
        Reason::Rule(rule) => return format!("of the rule `{rule}`"),
        Reason::Other(cause) => cause,
    };
    let text = match cause {
        Cause::File => "there is a file at this path",
        Cause::Inherited => "an earlier release has a fingerprinted file at this path, and pages of it may be open",
        Cause::MarkdownTwin => "there is a page at this path, and its Markdown twin was asked for",
        Cause::Rule(_) => "of a rule",
        Cause::OtherAddress => "this is the address of the page or file",
        Cause::SinglePage => {
            "there is no file at this path, and the page of the single-page app answers for all routes"
        }
        Cause::NotFoundPage => "there is no file at this path: this is the nearest 404 page",
        Cause::NotFound => "there is no file at this path, and no page that may answer for it",
        Cause::Erased => "the bytes of the file were erased from the site",
        Cause::Password => "the path needs a password, and the request has none or another (-H 'Authorization: …')",
        Cause::FormerWorker => {
            "a browser asks for a service worker that only earlier releases had: it gets one that ends itself"
        }
        Cause::OverTls => "the site is served over TLS only, and there is a certificate",
        Cause::Domain => "the domain redirects to another of the site",
        Cause::Health => "it is the health page of each edge",
        Cause::Refused => "the request is malformed, too long, or expects what no edge does",
    };
    text.to_owned()
}

fn json_of(trace: &Trace) -> Value {
    let step = |step: &Step| {
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in &step.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match headers.get_mut(name.as_str()) {
                Some(Value::String(all)) => *all = format!("{all}, {value}"),
                _ => drop(headers.insert(name.to_string(), value.into())),
            }
        }
        let rule = if let Reason::Rule(rule) = &step.reason { Some(rule.to_string()) } else { None };
        json!({
            "url": step.url.as_str(), "site": step.site, "channel": step.channel, "release": step.release,
            "status": step.status.as_u16(), "cause": cause(&step.reason), "file": step.file, "rule": rule,
            "header_rules": step.ruled_headers, "headers": headers, "has_certificate": step.has_certificate,
            "may_redirect_to_tls": step.may_redirect_to_tls,
        })
    };
    let steps: Vec<Value> = trace.steps.iter().map(step).collect();
    let (end, url) = match &trace.end {
        End::Answered => ("answered", None),
        End::Elsewhere(url) => ("elsewhere", Some(url.clone())),
        End::Loop(url) => ("loop", Some(url.to_string())),
        End::TooMany => ("too_many_redirects", None),
    };
    json!({ "steps": steps, "end": end, "end_url": url })
}

/// A stable word.
fn cause(reason: &Reason) -> &'static str {
    match reason {
        Reason::Rule(_) => "rule",
        Reason::Other(cause) => match cause {
            Cause::File => "file",
            Cause::Inherited => "inherited",
            Cause::MarkdownTwin => "markdown_twin",
            Cause::Rule(_) => "rule",
            Cause::OtherAddress => "other_address",
            Cause::SinglePage => "single_page",
            Cause::NotFoundPage => "not_found_page",
            Cause::NotFound => "not_found",
            Cause::Erased => "erased",
            Cause::Password => "password",
            Cause::FormerWorker => "former_worker",
            Cause::OverTls => "over_tls",
            Cause::Domain => "domain",
            Cause::Health => "health",
            Cause::Refused => "refused",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reqwest::StatusCode;
    use reqwest::header::{HeaderName, HeaderValue};
    use verge_protocol::ReleaseNumber;
    use verge_protocol::rules::Redirect;
    use verge_protocol::rules::redirect::Fields;

    use super::*;

    fn step(url: &str, status: u16, headers: &[(&'static str, &'static str)], reason: Reason) -> Step {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Step {
            url: url.parse().unwrap(),
            site: "demo".parse().unwrap(),
            channel: Some("live".parse().unwrap()),
            release: ReleaseNumber(3),
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.iter().map(header).collect(),
            reason,
            file: None,
            ruled_headers: BTreeMap::new(),
            has_certificate: true,
            may_redirect_to_tls: false,
        }
    }

    #[test]
    fn each_request_is_shown_with_its_answer_and_why() {
        let fields = Fields {
            from: "/old/*".to_owned(),
            query: BTreeMap::new(),
            to: "/new/\u{1b}:splat".to_owned(),
            status: 301,
            force: false,
        };
        let rule = Reason::Rule(Box::new(Redirect::try_from(fields).unwrap()));
        let headers = [("content-type", "text/html"), ("x-frame-options", "DENY")];
        let last = Step {
            file: Some("new/a.html".to_owned()),
            ruled_headers: [("x-frame-options".to_owned(), "/new/*".to_owned())].into(),
            has_certificate: false,
            ..step("https://xn--bcher-kva.example/new/a", 200, &headers, Reason::Other(Cause::File))
        };
        let steps = vec![
            step(
                "http://xn--bcher-kva.example/old/a",
                308,
                &[("location", "https://xn--bcher-kva.example/old/a")],
                Reason::Other(Cause::OverTls),
            ),
            step("https://xn--bcher-kva.example/old/a", 301, &[("location", "/new/a")], rule),
            last,
        ];
        let trace = Trace { steps, end: End::Answered };
        insta::assert_snapshot!(text_of(&trace));
        insta::assert_snapshot!(format!("{:#}", json_of(&trace)));
    }

    #[test]
    fn redirect_to_tls_that_the_origin_does_not_know_is_noted() {
        let plain = || step("http://demo.localhost:7401/", 200, &[], Reason::Other(Cause::File));
        let text = |may_redirect_to_tls| {
            let step = Step { may_redirect_to_tls, ..plain() };
            text_of(&Trace { steps: vec![step], end: End::Answered })
        };
        let note = "  without a certificate of the fleet: an edge that has files of its own, as those of `verge up --https`, redirects to https";
        assert!(text(true).contains(note) && !text(false).contains(note), "{}", text(true));
    }
}
