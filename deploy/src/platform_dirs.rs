//! The platform's directories for configuration and application data.
//!
//! The crate `etcetera` reads the variables of the process itself; here they are an argument, so that tests and several
//! environments in one process do not share them.

use std::ffi::OsString;
use std::path::PathBuf;

/// The conventions of an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `~/Library/Application Support`.
    MacOs,
    /// `%APPDATA%` and `%LOCALAPPDATA%`.
    Windows,
    /// The XDG base directories.
    Xdg,
}

impl Platform {
    /// The platform that this program was built for.
    pub const CURRENT: Self = if cfg!(target_os = "macos") {
        Self::MacOs
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Xdg
    };

    /// The directory for configuration; `None` without a home directory.
    pub fn config_dir(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let dir = |name: &str| absolute_path(&variable, name);
        match self {
            Self::MacOs => dir("HOME").map(|home| home.join("Library/Application Support")),
            Self::Windows => dir("APPDATA"),
            Self::Xdg => dir("XDG_CONFIG_HOME").or_else(|| dir("HOME").map(|home| home.join(".config"))),
        }
    }

    /// The directory for application data; `None` without a home directory.
    pub fn data_dir(self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let dir = |name: &str| absolute_path(&variable, name);
        match self {
            Self::MacOs => dir("HOME").map(|home| home.join("Library/Application Support")),
            Self::Windows => dir("LOCALAPPDATA"),
            Self::Xdg => dir("XDG_DATA_HOME").or_else(|| dir("HOME").map(|home| home.join(".local/share"))),
        }
    }
}

/// The path in a variable. Relative paths are ignored (XDG Base Directory Specification, 0.8).
fn absolute_path(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(variables: &[(&str, &str)], platform: Platform) -> [Option<String>; 2] {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        [platform.config_dir(variable), platform.data_dir(variable)].map(|dir| dir.map(|dir| dir.display().to_string()))
    }

    #[test]
    fn each_platform_has_its_directories() {
        let home = [("HOME", "/home/ann")];
        let some = |config: &str, data: &str| [Some(config.to_owned()), Some(data.to_owned())];
        assert_eq!(dirs(&home, Platform::Xdg), some("/home/ann/.config", "/home/ann/.local/share"));
        let library = "/home/ann/Library/Application Support";
        assert_eq!(dirs(&home, Platform::MacOs), some(library, library));
        let windows = [("APPDATA", "/roaming"), ("LOCALAPPDATA", "/local")];
        assert_eq!(dirs(&windows, Platform::Windows), some("/roaming", "/local"));
        assert_eq!(dirs(&[], Platform::Xdg), [None, None]);
    }

    #[test]
    fn xdg_variables_override_defaults_unless_relative() {
        let absolute = [("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "/etc/ann"), ("XDG_DATA_HOME", "/var/ann")];
        assert_eq!(dirs(&absolute, Platform::Xdg), ["/etc/ann", "/var/ann"].map(|dir| Some(dir.to_owned())));
        let relative = [("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "ann"), ("XDG_DATA_HOME", "ann")];
        assert_eq!(dirs(&relative, Platform::Xdg), dirs(&[("HOME", "/home/ann")], Platform::Xdg));
    }
}
