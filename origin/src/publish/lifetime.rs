//! How long caches may keep a file, and whether later releases inherit it: decided once, at publishing, from the names in its build and
//! from the history of its path.

use verge_protocol::{Digest, Lifetime, SitePath};

use super::build_output::BuildOutput;
use crate::store::Fingerprint;

/// The decision for one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) lifetime: Lifetime,
    /// Whether later releases inherit it.
    pub(super) fingerprinted: bool,
    /// Whether the digest of its bytes is remembered for the decisions of later releases.
    pub(super) remembered: bool,
    /// What history says against the name, if the client should know.
    pub(super) contradiction: Option<Contradiction>,
}

/// A path whose name is that of its bytes had other bytes in an earlier release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contradiction {
    /// That release marked it immutable: browsers that hold those bytes do not ask again.
    Kept,
    /// That release did not: browsers revalidate what they hold.
    Revalidated,
}

/// Decides for one file. `earlier` is what earlier releases of the site had at its path.
///
/// A path that has had several bytes is not named by them, whatever its name looks like: it is neither immutable nor inherited, in
/// this and all later releases. So no release marks a path immutable that an earlier release served with other bytes. (A rollback
/// serves again what its release had decided; the bytes that it marks immutable are the first ones of the path.)
pub(super) fn decide(
    output: &BuildOutput<'_>,
    path: &SitePath,
    media_type: &str,
    digest: Digest,
    earlier: Option<&Fingerprint>,
) -> Decision {
    let judgement = output.judge(path, media_type);
    let is_contradicted = judgement.remembered && earlier.is_some_and(|first| first.changed || first.digest != digest);
    if is_contradicted {
        let differs = earlier.filter(|first| first.digest != digest);
        let contradiction = differs.and_then(|first| match (first.immutable, judgement.immutable) {
            (true, _) => Some(Contradiction::Kept),
            (false, true) => Some(Contradiction::Revalidated),
            (false, false) => None,
        });
        return Decision { lifetime: Lifetime::Revalidate, fingerprinted: false, remembered: true, contradiction };
    }
    let lifetime = if judgement.immutable { Lifetime::Immutable } else { Lifetime::Revalidate };
    let (fingerprinted, remembered) = (judgement.inheritable, judgement.remembered);
    Decision { lifetime, fingerprinted, remembered, contradiction: None }
}

/// What the client should know about paths that history contradicts: one sentence for each kind.
pub(super) fn warnings(contradicted: &[(SitePath, Contradiction)]) -> Vec<String> {
    let of = |kind, sentence: &str| {
        let mut paths = contradicted.iter().filter(|(_, each)| *each == kind).map(|(path, _)| path);
        let first = paths.next()?;
        let others = match paths.count() {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        Some(format!("{first}{others} {sentence}"))
    };
    let kept = of(
        Contradiction::Kept,
        "looks fingerprinted, but an earlier release had other bytes there: browsers that hold those keep them for up to a year. \
         Rename the file, or let the build tool put a new hash into its name",
    );
    let revalidated = of(
        Contradiction::Revalidated,
        "looks fingerprinted, but an earlier release had other bytes there: browsers will revalidate it",
    );
    kept.into_iter().chain(revalidated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(path: &str, bytes: &str, earlier: Option<(&str, bool, bool)>) -> Decision {
        let path: SitePath = path.parse().unwrap();
        let earlier = earlier.map(|(bytes, immutable, changed)| Fingerprint {
            digest: Digest::of(bytes.as_bytes()),
            immutable,
            changed,
        });
        let output = BuildOutput::of([&path].into_iter());
        let media_type = crate::publish::media_type::by_name(&path).unwrap_or_default();
        super::decide(&output, &path, &media_type, Digest::of(bytes.as_bytes()), earlier.as_ref())
    }

    const CERTAIN: &str = "assets/a-0b1c2d3e.js";

    #[test]
    fn fingerprinted_path_with_the_bytes_of_all_earlier_releases_is_immutable() {
        for earlier in [None, Some(("one", true, false)), Some(("one", false, false))] {
            let decision = decide(CERTAIN, "one", earlier);
            assert_eq!(decision.lifetime, Lifetime::Immutable);
            assert!(decision.fingerprinted && decision.remembered && decision.contradiction.is_none());
        }
    }

    #[test]
    fn fingerprinted_path_with_other_bytes_than_before_is_revalidated_and_not_inherited() {
        for (immutable, contradiction) in [(true, Contradiction::Kept), (false, Contradiction::Revalidated)] {
            let decision = decide(CERTAIN, "two", Some(("one", immutable, false)));
            assert_eq!((decision.lifetime, decision.fingerprinted), (Lifetime::Revalidate, false));
            assert_eq!(decision.contradiction, Some(contradiction));
        }
    }

    #[test]
    fn path_that_has_had_other_bytes_stays_revalidated_when_its_first_bytes_return() {
        let decision = decide(CERTAIN, "one", Some(("one", true, true)));
        assert_eq!((decision.lifetime, decision.fingerprinted), (Lifetime::Revalidate, false));
        assert_eq!(decision.contradiction, None, "browsers hold the right bytes");
    }

    #[test]
    fn word_in_place_of_a_hash_whose_bytes_change_is_not_inherited() {
        assert!(decide("assets/a-settings.js", "one", None).fingerprinted);
        let decision = decide("assets/a-settings.js", "two", Some(("one", false, false)));
        assert_eq!((decision.fingerprinted, decision.contradiction), (false, None));
    }

    #[test]
    fn pages_are_neither_immutable_nor_inherited() {
        let decision = decide("assets/a-0b1c2d3e.html", "one", None);
        assert_eq!((decision.lifetime, decision.fingerprinted), (Lifetime::Revalidate, false));
    }

    #[test]
    fn warnings_say_who_keeps_the_old_bytes_and_what_to_do() {
        let path = |name: &str| -> SitePath { format!("assets/{name}-0b1c2d3e.js").parse().unwrap() };
        let contradicted = [
            (path("a"), Contradiction::Kept),
            (path("b"), Contradiction::Revalidated),
            (path("c"), Contradiction::Kept),
            (path("d"), Contradiction::Kept),
        ];
        insta::assert_snapshot!(warnings(&contradicted).join("\n"));
        assert!(warnings(&[]).is_empty());
    }
}
