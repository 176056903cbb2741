//! The files that joining writes, each readable by its owner only.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use verge_protocol::JoinCode;
use verge_protocol::api::TokenOwner;

use crate::atomic_file::{self, Durability};
use crate::origins::OriginUrl;

/// Where the files are, and what was written.
#[derive(Debug)]
pub struct JoinFiles {
    /// The configuration file.
    pub config: PathBuf,
    /// The file with the token.
    pub token: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    pub(super) written: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

impl JoinFiles {
    pub(super) fn new(config: &Path, token: &str, data: PathBuf) -> Self {
        // The daemon may be started in another directory.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let config = absolute(config.to_owned());
        Self {
            token: config.with_file_name(token),
            config,
            data: absolute(data),
            written: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a line to what is printed.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Writes a file, creating its directory if needed.
    pub fn write(&mut self, path: PathBuf, text: &str) -> anyhow::Result<()> {
        let write = || {
            let directory = path.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
            // The data directory is for the daemon only.
            let mode = if directory.starts_with(&self.data) { 0o700 } else { 0o755 };
            DirBuilder::new().recursive(true).mode(mode).create(directory)?;
            atomic_file::write(directory, &path, text.as_bytes(), Durability::WithName)
        };
        write().with_context(|| format!("failed to write {}", path.display()))?;
        self.written.push(path);
        Ok(())
    }

    /// Checks that token and configuration can be written, creating their directories if needed.
    pub(super) fn check_writable(&self) -> anyhow::Result<()> {
        for directory in [&self.token, &self.config].into_iter().filter_map(|path| path.parent()) {
            let checked = std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory));
            checked.with_context(|| format!("cannot write to {}", directory.display()))?;
        }
        Ok(())
    }

    pub(super) fn write_token(&mut self, token: &str) -> anyhow::Result<()> {
        self.write(self.token.clone(), &format!("{token}\n"))
    }

    pub(super) fn write_settings(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(self.config.clone(), text)
    }

    /// The settings that all daemons have, as lines of TOML.
    pub(super) fn settings(&self, code: &JoinCode, urls: &[OriginUrl], program: &str) -> String {
        let name = match &code.owner {
            TokenOwner::Edge(name) => name.to_string(),
            TokenOwner::NameServer(name) => name.to_string(),
            TokenOwner::Admin => String::new(),
        };
        let origins: Vec<String> = urls.iter().map(quoted).collect();
        let mut lines = vec![
            format!("# Written by `{program} join`. The sample of the configuration explains every setting."),
            format!("name = {}", quoted(&name)),
            format!("origins = [{}]", origins.join(", ")),
        ];
        lines.extend(code.pin.map(|pin| format!("origin_pin = {}", quoted(&pin))));
        if urls.iter().any(|url| url.to_string().parse::<OriginUrl>().is_err()) {
            lines.push("insecure = true".to_owned());
        }
        lines.push(format!("token_file = {}", quoted(&self.token.display())));
        lines.push(format!("data = {}", quoted(&self.data.display())));
        lines.join("\n") + "\n"
    }
}

/// A text as a string of TOML.
pub fn quoted(text: &impl ToString) -> String {
    toml::Value::String(text.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use verge_protocol::{Digest, JoinSecret, KeyPin};

    use super::*;

    #[test]
    fn settings_have_pin_and_insecure_only_where_needed() {
        let code = |pin| JoinCode {
            owner: TokenOwner::Edge("fra-1".parse().unwrap()),
            origins: Vec::new(),
            pin,
            secret: JoinSecret::new([0; 32]),
        };
        let files = JoinFiles::new(Path::new("/etc/verge/verge-edge.toml"), "edge.token", "/var/lib/verge-edge".into());
        let secured = ["https://203.0.113.1:7443".parse().unwrap()];
        let pinned = files.settings(&code(Some(KeyPin::new(Digest::of(b"key")))), &secured, "verge-edge");
        let expected = [
            "# Written by `verge-edge join`. The sample of the configuration explains every setting.",
            "name = \"fra-1\"",
            "origins = [\"https://203.0.113.1:7443\"]",
            &format!("origin_pin = \"{}\"", KeyPin::new(Digest::of(b"key"))),
            "token_file = \"/etc/verge/edge.token\"",
            "data = \"/var/lib/verge-edge\"",
            "",
        ];
        assert_eq!(pinned, expected.join("\n"));
        let plain = [OriginUrl::insecure("http://192.0.2.1:7400").unwrap()];
        let insecure = files.settings(&code(None), &plain, "verge-edge");
        assert!(insecure.contains("\ninsecure = true\n") && !insecure.contains("origin_pin"), "{insecure}");
    }

    #[test]
    fn data_directory_is_made_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (config, data) = (folder.path().join("etc/verge-edge.toml"), folder.path().join("lib/verge-edge"));
        let mut files = JoinFiles::new(&config, "edge.token", data.clone());
        files.write(data.join("edge.key"), "key").unwrap();
        files.write_token("token").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(&data.join("edge.key")), mode(&files.token)), (0o700, 0o600, 0o600));
        crate::DataDir::open(&data).unwrap();
    }
}
