//! Whether following a redirect comes to an end: a single rule is never a loop.

use super::path_pattern::{Captures, PathPattern, Segment};
use super::redirect::{Action, Redirect};
use super::rule_request::RuleRequest;
use super::split_path::SplitPath;

/// How many redirects a browser follows, about.
const REDIRECTS_MAX: usize = 20;

/// How far a rule that leads on wherever it leads to is followed from there, since for some paths it may end: `/:a/:b /:a/:a`.
const STEPS_OF_REPEATING: usize = 3;

/// The length of all locations together through which a rule is followed, in bytes. It bounds the cost of a request where each is longer than
/// the one before.
const FOLLOWED_TEXT_MAX: usize = 16 * 1024;

impl Redirect {
    /// Whether it is no redirect, or following it comes to an address that the rule does not redirect, and that is not the request itself.
    ///
    /// From where it cannot have led to, it applies, and so at most once if it leads on without end from there.
    pub(super) fn comes_to_an_end(&self, request: &RuleRequest<'_>, captures: &Captures<'_>) -> bool {
        if !matches!(self.action(), Action::Redirect(_)) {
            return true;
        }
        // What is captured names something below a folder, not the folder above it.
        if self.to.captures_dot_segment(captures) {
            return false;
        }
        if self.is_shortening() {
            return true;
        }
        let may_have_led_here = self.stays_on_origin(request)
            && match &self.target_paths {
                Some(paths) => paths.contain(request.path),
                None => request.path.is_same_as(&self.to.path(captures)),
            };
        let steps = if self.is_repeating() { STEPS_OF_REPEATING } else { REDIRECTS_MAX };
        // What is too long to be followed is not even put together.
        let is_short = || self.to.length(captures) <= FOLLOWED_TEXT_MAX;
        !may_have_led_here
            || (is_short() && !self.leads_to(request, captures) && self.ends_within(steps, request, captures))
    }

    /// Whether it applies to each request that it and `later` match, or `later` does not apply either: a redirect does not apply where it would lead
    /// to the request. `false` if that is not known.
    pub fn applies_to_all_of(&self, later: &Redirect) -> bool {
        if !matches!(self.action(), Action::Redirect(_)) {
            return true;
        }
        // The two apply to the same requests.
        let is_same = matches!(later.action(), Action::Redirect(_))
            && (self.from(), &self.to) == (later.from(), &later.to)
            && (self.has_same_conditions(later) || !self.to.has_captures());
        is_same || (!self.may_capture_dot_segment(later) && !self.may_lead_to_requests_of(later))
    }

    /// Whether something may be captured of a request of `later` that becomes a dot segment. No address has one.
    fn may_capture_dot_segment(&self, later: &Redirect) -> bool {
        let is_in_segment = self.from().segments().iter().any(|segment| matches!(segment, Segment::Prefix(_)));
        let may_have_dots = || !later.from().is_literal() || later.from().as_str().contains(['.', '%']);
        let may_be_dots_of_query = self.put_into_path(later).any(|(name, value)| match value {
            Some(value) => self.to.may_make_dot_segment(name, &value),
            None => true,
        });
        may_be_dots_of_query || (is_in_segment && self.to.has_in_path(PathPattern::SPLAT) && may_have_dots())
    }

    /// Whether it may lead to the address of a request of `later`, of any query, so that it may be the request itself.
    fn may_lead_to_requests_of(&self, later: &Redirect) -> bool {
        if self.is_shortening() {
            return false;
        }
        if let (Some(origin), Some((scheme, host))) = (self.to.origin(), self.site().or(later.site()))
            && !(origin.host() == host && (origin.scheme() == scheme || scheme == "https"))
        {
            return false;
        }
        let Some(paths) = &self.target_paths else {
            return later.from().captures(&SplitPath::new(&self.to.path(&Captures::default()))).is_some();
        };
        // Where it leads to one path, it leads nowhere from there that it is not for.
        paths.may_match(later.from().segments())
            && self.only_path(later).is_none_or(|path| self.from().captures(&SplitPath::new(&path)).is_some())
    }

    /// The only path that it leads to for requests of `later`, if that depends on nothing but values of the query that `later` asks for.
    fn only_path(&self, later: &Redirect) -> Option<String> {
        let mut captures = Captures::default();
        for (name, value) in self.put_into_path(later) {
            captures.push(name, value?);
        }
        let is_known = self.to.names_in_path().all(|name| captures.get(name).is_some());
        (is_known && self.to.length(&captures) <= FOLLOWED_TEXT_MAX).then(|| self.to.path(&captures))
    }

    /// Whether it redirects to the request itself.
    fn leads_to(&self, request: &RuleRequest<'_>, captures: &Captures<'_>) -> bool {
        self.stays_on_origin(request)
            && request.path.is_same_as(&self.to.path(captures))
            && self.to.query(captures).is_none_or(|query| Some(&*query) == request.query)
    }

    /// Whether following the redirect so many times comes to an address that the rule does not redirect, or redirects to itself.
    fn ends_within(&self, redirects: usize, request: &RuleRequest<'_>, captures: &Captures<'_>) -> bool {
        let is_on_host = self.to.origin().is_none_or(|origin| origin.host() == request.host);
        if !is_on_host || !self.to.has_captures() {
            return true;
        }
        let (scheme, port) = match self.to.origin() {
            Some(origin) if !origin.is_of(request) => (origin.scheme(), origin.port()),
            _ => (request.scheme, request.port),
        };
        let query_after = |captures: &Captures<'_>, before: Option<&str>| {
            self.to.query(captures).or_else(|| before.map(str::to_owned))
        };
        let (mut path, mut query) = (self.to.path(captures), query_after(captures, request.query));
        let mut text_left = FOLLOWED_TEXT_MAX;
        for _ in 0..redirects {
            let length = path.len() + query.as_ref().map_or(0, String::len);
            match text_left.checked_sub(length) {
                Some(left) => text_left = left,
                None => return false,
            }
            let split = SplitPath::new(&path);
            let next = RuleRequest::new(scheme, request.host, port, &split, query.as_deref());
            let Some(captures) = self.matched(&next) else { return true };
            if self.to.length(&captures) > FOLLOWED_TEXT_MAX {
                return false;
            }
            if self.leads_to(&next, &captures) {
                return true;
            }
            let after = (self.to.path(&captures), query_after(&captures, next.query));
            (path, query) = after;
        }
        false
    }
}
