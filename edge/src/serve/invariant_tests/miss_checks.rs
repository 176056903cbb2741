//! A missing script or image is not answered with a page, unless a rule says so.

use verge_protocol::rules::Action;

use super::*;

/// What answers for a path without a page or file.
pub(super) fn check(case: &Case<'_>, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    let path = request.uri().path().to_owned();
    let destination = request.field("sec-fetch-dest");
    if answer.is_refused() || answer.status == 401 || case.site.has_page_or_file(&request.target) {
        return Ok(());
    }
    let is_file = [".js", ".pdf", ".woff2", ".md"].iter().any(|extension| path.ends_with(extension));
    let is_asset = is_file && destination != "document";
    if !is_asset && !["script", "image"].contains(&destination) {
        return Ok(());
    }
    // A header rule may give the file in its place any type.
    let is_typed_by_rule = case.site.header(&path, "content-type").is_some();
    let is_page = answer.is_html() && !is_typed_by_rule;
    match case.rule(request).map(|rule| (rule.action(), rule.from().is_literal())) {
        Some((Action::Redirect(status), _)) => prop_assert_eq!((answer.status, answer.is_html()), (status, false)),
        Some((Action::Error(status), _)) => {
            prop_assert!([status, 404].contains(&answer.status));
            prop_assert!(!is_asset || !answer.is_html() || answer.status == status);
        }
        Some((Action::Rewrite, true)) => prop_assert!([200, 206, 304, 404, 412, 416].contains(&answer.status)),
        Some((Action::Rewrite, false)) => {
            prop_assert!([200, 206, 304, 404, 412, 416].contains(&answer.status));
            prop_assert!(!is_page || (answer.status == 404 && !is_asset));
        }
        None => {
            prop_assert_eq!(answer.status, 404);
            prop_assert!(!is_asset || !answer.is_html());
        }
    }
    Ok(())
}
