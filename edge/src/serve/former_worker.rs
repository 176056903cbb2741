//! Service workers of earlier releases, which would show their old site for ever.
//!
//! A browser that holds a service worker requests its script again, with `Service-Worker: script` (Service Workers §4.3.1). A 404 changes
//! nothing, and HTML is refused for its type. Only another worker at the same path replaces it: this one, which ends itself.

use http::HeaderMap;

use super::request_path::RequestPath;
use crate::table::Channel;

/// Takes over at once, deletes what former workers have stored, unregisters itself, and loads the pages again that it controls.
pub(super) const SCRIPT: &str = "\
// This site has no service worker here any more. This one removes itself and what former ones have stored.
self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', event => event.waitUntil(retire()))

async function retire() {
  const names = await caches.keys()
  await Promise.all(names.map(name => caches.delete(name)))
  await self.registration.unregister()
  for (const client of await self.clients.matchAll({ type: 'window' })) client.navigate(client.url).catch(() => {})
}
";

/// Whether the request is for the script of a service worker that the channel has no more: the release does not have it but an earlier
/// one did, or the site has named it as a legacy one. A fingerprinted script of an earlier release is inherited as it is.
pub(super) fn is_requested(channel: &Channel, path: &RequestPath<'_>, headers: &HeaderMap) -> bool {
    let is_worker = headers.get("service-worker").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"script"));
    is_worker && !path.has_trailing_slash && path.can_match() && channel.is_former_script(&path.decoded)
}

#[cfg(test)]
mod tests {
    use verge_protocol::Lifetime;

    use super::*;
    use crate::test_support::ChannelBuilder;

    fn is_requested(channel: &Channel, path: &str, service_worker: Option<&'static str>) -> bool {
        let headers = service_worker.map(|value| ("service-worker".parse().unwrap(), value.parse().unwrap()));
        super::is_requested(channel, &RequestPath::parse(path).unwrap(), &headers.into_iter().collect())
    }

    #[test]
    fn only_requests_for_service_workers_at_former_scripts_are_answered() {
        let channel = ChannelBuilder::new(&["index.html", "sw.js"]).former_scripts(&["old/sw.js"]).build();
        for (path, service_worker, expected) in [
            ("/old/sw.js", Some("script"), true),
            ("/old/sw.js", None, false),
            ("/old/sw.js", Some("no"), false),
            ("/old/sw.js/", Some("script"), false),
            ("/sw.js", Some("script"), false),
            ("/none.js", Some("script"), false),
            ("/old//sw.js", Some("script"), false),
        ] {
            assert_eq!(is_requested(&channel, path, service_worker), expected, "{path} {service_worker:?}");
        }
    }

    #[test]
    fn scripts_of_a_release_that_was_rolled_back_are_former() {
        let channel = ChannelBuilder::new(&["kept.js"])
            .inherits("", &["sw.js", "kept.js", "notes.txt"], Lifetime::Revalidate)
            .inherits("", &["assets/sw-0b1c2d3e.js"], Lifetime::Immutable)
            .build();
        for (path, expected) in
            [("/sw.js", true), ("/kept.js", false), ("/notes.txt", false), ("/assets/sw-0b1c2d3e.js", false)]
        {
            assert_eq!(is_requested(&channel, path, Some("script")), expected, "{path}");
        }
    }
}
