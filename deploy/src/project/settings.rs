//! `verge.toml`, which lies beside what it is about.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use verge_protocol::SiteName;

use crate::toml_file::{self, TomlError};

/// What a project says once, so that nobody has to type it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The site that is pushed to.
    pub site: Option<SiteName>,
    /// The folder that is pushed; relative to the settings file.
    pub dir: Option<PathBuf>,
    /// Whether paths that name no file are answered with `index.html`. Unset: found out at each push, and said.
    pub spa: Option<bool>,
}

impl Settings {
    /// Reads `text`, found in `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, TomlError> {
        let mut settings: Self = toml_file::parse(file, text)?;
        let beside = file.parent().unwrap_or(Path::new(""));
        settings.dir = settings.dir.map(|dir| beside.join(dir));
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_optional_and_no_other_is_taken() {
        let parse = |text: &str| Settings::parse(Path::new("app/verge.toml"), text);
        assert_eq!(parse("").unwrap(), Settings::default());
        let settings = parse("site = \"web\"\ndir = \"dist\"\nspa = true\n").unwrap();
        assert_eq!(settings.site.unwrap().as_str(), "web");
        assert_eq!(settings.dir.unwrap(), Path::new("app/dist"));
        assert_eq!(settings.spa, Some(true));
        let error = parse("site = \"web\"\nspaa = true\n").unwrap_err().to_string();
        assert_eq!(error, "app/verge.toml:2: unknown field `spaa`, expected one of `site`, `dir`, `spa`");
    }
}
