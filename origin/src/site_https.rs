//! The HTTPS settings of sites.

use std::time::Duration;

use verge_protocol::fleet::SiteState;
use verge_protocol::https::{Hsts, SiteHttps};
use verge_protocol::{SiteName, Timestamp};

use crate::feed::Feed;
use crate::store::{Database, StoreError};

/// The longest time that browsers may be told to keep a policy.
const MAX_AGE_MAX: Duration = Duration::from_hours(10 * 365 * 24);
/// What the preload list asks for at least.
const PRELOAD_MAX_AGE: Duration = Duration::from_hours(365 * 24);
/// How long a site must have told browsers to use TLS only before it may ask to be on the preload list: a name that is on the list stays
/// there for months after its removal.
const PRELOAD_AFTER: Duration = Duration::from_hours(30 * 24);

/// Why settings were refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpsError {
    #[error("HSTS for more than ten years")]
    MaxAge,
    #[error("HSTS with `optional`: browsers would be told never to send what the site answers")]
    HstsWithOptional,
    #[error("preload with HSTS for less than a year, or not for all subdomains")]
    PreloadTooWeak,
    #[error("preload before HSTS has been in force for {} days", PRELOAD_AFTER.as_secs() / 86_400)]
    PreloadTooEarly { since: Option<Timestamp> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Replaces the HTTPS settings of a site.
pub(crate) async fn set(
    database: &Database,
    feed: &Feed,
    site: SiteName,
    new: SiteHttps,
    now: Timestamp,
) -> Result<(), HttpsError> {
    let database = database.clone();
    feed.write(async move {
        let change = |state| changed(state, new.clone(), now);
        if database.change_site_state(&site, change).await? {
            tracing::info!(%site, https = ?new, "site HTTPS settings set");
        }
        Ok(())
    })
    .await
}

/// The settings of a site with others for HTTPS.
fn changed(state: SiteState, new: SiteHttps, now: Timestamp) -> Result<SiteState, HttpsError> {
    let in_force = |hsts: &Hsts| hsts.max_age_seconds > 0;
    // What was recorded under a clock that was ahead does not count.
    let since = state.hsts_since.filter(|_| state.https.hsts.as_ref().is_some_and(in_force));
    let since = since.map(|since| since.min(now));
    let hsts_since = new.hsts.filter(in_force).map(|_| since.unwrap_or(now));
    if let Some(hsts) = new.hsts {
        if hsts.max_age_seconds > MAX_AGE_MAX.as_secs() {
            return Err(HttpsError::MaxAge);
        }
        if new.optional && in_force(&hsts) {
            return Err(HttpsError::HstsWithOptional);
        }
        if hsts.preload {
            if hsts.max_age_seconds < PRELOAD_MAX_AGE.as_secs() || !hsts.include_subdomains {
                return Err(HttpsError::PreloadTooWeak);
            }
            if since.is_none_or(|since| since.age(now) < PRELOAD_AFTER) {
                return Err(HttpsError::PreloadTooEarly { since });
            }
        }
    }
    Ok(SiteState { https: new, hsts_since, ..state })
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u64 = 365 * 86_400;
    const DAY: Duration = Duration::from_hours(24);

    fn hsts(max_age_seconds: u64, include_subdomains: bool, preload: bool) -> SiteHttps {
        SiteHttps { optional: false, hsts: Some(Hsts { max_age_seconds, include_subdomains, preload }) }
    }

    #[test]
    fn preload_is_refused_until_hsts_was_in_force_for_a_month_without_interruption() {
        let start = Timestamp(1_000_000_000_000);
        let begun = changed(SiteState::default(), hsts(3600, false, false), start).unwrap();
        assert_eq!(begun.hsts_since, Some(start));
        let preload = hsts(YEAR, true, true);
        assert!(matches!(
            changed(SiteState::default(), preload.clone(), start),
            Err(HttpsError::PreloadTooEarly { since: None })
        ));
        let early = changed(begun.clone(), preload.clone(), start.after(DAY * 29));
        assert!(matches!(early, Err(HttpsError::PreloadTooEarly { since: Some(_) })));
        for weak in [hsts(YEAR - 1, true, true), hsts(YEAR, false, true)] {
            assert!(matches!(changed(begun.clone(), weak, start.after(DAY * 40)), Err(HttpsError::PreloadTooWeak)));
        }
        let longer = changed(begun.clone(), hsts(YEAR, true, false), start.after(DAY)).unwrap();
        assert_eq!(changed(longer, preload.clone(), start.after(DAY * 30)).unwrap().hsts_since, Some(start));
        for interruption in [SiteHttps::default(), hsts(0, false, false)] {
            let ended = changed(begun.clone(), interruption, start.after(DAY * 20)).unwrap();
            assert_eq!(ended.hsts_since, None);
            let again = changed(ended, hsts(3600, false, false), start.after(DAY * 21)).unwrap();
            assert!(changed(again, preload.clone(), start.after(DAY * 31)).is_err());
        }
    }

    #[test]
    fn hsts_of_a_site_that_answers_without_tls_is_refused_and_regions_stay() {
        let regions = SiteState { regions: ["eu".parse().unwrap()].into(), ..SiteState::default() };
        let optional = SiteHttps { optional: true, ..hsts(3600, false, false) };
        assert!(matches!(changed(regions.clone(), optional, Timestamp(1)), Err(HttpsError::HstsWithOptional)));
        let too_long = hsts(11 * YEAR, false, false);
        assert!(matches!(changed(regions.clone(), too_long, Timestamp(1)), Err(HttpsError::MaxAge)));
        let ended = SiteHttps { optional: true, ..hsts(0, false, false) };
        let changed = changed(regions.clone(), ended.clone(), Timestamp(1)).unwrap();
        assert_eq!(changed, SiteState { https: ended, ..regions });
    }
}
