//! `verge.toml`, the settings of a project.

use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use verge_protocol::canary::{CanaryPlan, CanaryShare};
use verge_protocol::nfc::nfc;
use verge_protocol::{HtmlPaths, SiteName, SitePath};

use super::protect::ProtectSettings;
use crate::channel::{ChannelArg, Lifetime};
use crate::toml_file::{self, TomlError};

/// The settings of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The site to push to.
    pub site: Option<SiteName>,
    /// The directory to push; in the file, relative to it.
    pub dir: Option<PathBuf>,
    /// Whether paths that match no file serve `index.html`; `None`: detected at each push.
    pub spa: Option<bool>,
    /// How the addresses of pages relate to their files: `"auto"` or `"keep"`.
    #[serde(default)]
    pub html: HtmlPaths,
    /// The channel to update.
    pub channel: Option<ChannelArg>,
    /// What applies to `verge push --preview`.
    #[serde(default)]
    pub preview: PreviewSettings,
    /// Where the site once had service workers: browsers that ask for one there get one that ends itself. In the file with a leading
    /// slash: `["/sw.js"]`.
    #[serde(default, deserialize_with = "absolute_paths")]
    pub legacy_service_workers: Vec<SitePath>,
    /// How releases of `live` are tried on a few edges first; `None`: they are not.
    pub canary: Option<CanarySettings>,
    /// Users and passwords for the site or its previews; `None`: everybody may read.
    pub protect: Option<ProtectSettings>,
}

/// `[canary]` in `verge.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanarySettings {
    /// On how many edges: a number as text, or a share such as `"5%"`.
    pub edges: CanaryShare,
    /// For how many seconds; `None`: the default.
    #[serde(default, deserialize_with = "canary_seconds")]
    pub seconds: Option<u64>,
}

fn canary_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if (1..=CanaryPlan::SECONDS_MAX).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err(D::Error::custom(format_args!("invalid `seconds` {seconds}: expected 1 to {}", CanaryPlan::SECONDS_MAX)))
    }
}

/// What applies to `verge push --preview`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewSettings {
    /// How long the channel exists after the last push to it.
    pub expires: Option<Lifetime>,
}

fn absolute_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SitePath>, D::Error> {
    let path = |text: String| match text.strip_prefix('/') {
        Some(path) => nfc(path).parse().map_err(D::Error::custom),
        None => Err(D::Error::custom(format_args!("invalid path `{text}`: expected a leading slash"))),
    };
    Vec::<String>::deserialize(deserializer)?.into_iter().map(path).collect()
}

impl Settings {
    /// Parses `text`, the content of `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, TomlError> {
        let mut settings: Self = toml_file::parse(file, text)?;
        let dir_of_file = file.parent().unwrap_or(Path::new(""));
        settings.dir = settings.dir.map(|dir| dir_of_file.join(dir));
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_optional_and_unknown_ones_are_rejected() {
        let parse = |text: &str| Settings::parse(Path::new("app/verge.toml"), text);
        assert_eq!(parse("").unwrap(), Settings::default());
        let settings = parse("site = \"web\"\ndir = \"dist\"\nspa = true\n").unwrap();
        assert_eq!(settings.site.unwrap().as_str(), "web");
        assert_eq!(settings.dir.unwrap(), Path::new("app/dist"));
        assert_eq!((settings.spa, settings.html), (Some(true), HtmlPaths::Auto));
        assert_eq!(parse("html = \"keep\"\n").unwrap().html, HtmlPaths::Keep);
        let error = parse("html = \"clean\"\n").unwrap_err().to_string();
        assert!(error.contains("unknown variant `clean`, expected `auto` or `keep`"), "{error}");
        let settings = parse("legacy_service_workers = [\"/sw.js\", \"/app/sw.js\"]\n").unwrap();
        assert_eq!(settings.legacy_service_workers, ["sw.js".parse().unwrap(), "app/sw.js".parse().unwrap()]);
        let error = parse("site = \"web\"\nspaa = true\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "app/verge.toml:2: unknown field `spaa`, expected one of `site`, `dir`, `spa`, `html`, `channel`, `preview`, \
             `legacy_service_workers`, `canary`, `protect`"
        );
        let canary = parse("[canary]\nedges = \"5%\"\nseconds = 120\n").unwrap().canary.unwrap();
        assert_eq!((canary.edges, canary.seconds), (CanaryShare::Percent(5), Some(120)));
        let error = parse("[canary]\nedges = \"1\"\nseconds = 0\n").unwrap_err().to_string();
        assert!(error.contains("invalid `seconds` 0: expected 1 to 3600"), "{error}");
        let error = parse("legacy_service_workers = [\"sw.js\"]\n").unwrap_err().to_string();
        assert!(error.contains("invalid path `sw.js`: expected a leading slash"), "{error}");
    }

    #[test]
    fn settings_of_channel_and_previews_are_read() {
        let parse = |text: &str| Settings::parse(Path::new("verge.toml"), text);
        let settings = parse("channel = \"staging\"\n[preview]\nexpires = \"14d\"\n").unwrap();
        assert_eq!(settings.channel.unwrap().name.as_str(), "staging");
        assert_eq!(settings.preview.expires.unwrap().seconds(), 14 * 86_400);
        let error = parse("[preview]\nexpires = \"soon\"\n").unwrap_err().to_string();
        assert!(error.starts_with("verge.toml:2: invalid time `soon`: "), "{error}");
    }
}
