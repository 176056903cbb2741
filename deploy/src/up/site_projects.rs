//! From which project each site of a data directory was last pushed. Two projects may have the same name, and `verge up` writes no
//! `verge.toml` that would tell them apart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SiteName;

/// The name of the file in the data directory.
const FILE: &str = "projects.json";

/// The directory of the project that each site was last pushed from.
#[derive(Debug)]
pub struct SiteProjects {
    file: PathBuf,
    by_site: BTreeMap<SiteName, String>,
}

impl SiteProjects {
    /// What is known in this data directory. Nothing if the file is missing or cannot be read: then a question more is asked.
    pub fn load(data: &Path) -> Self {
        let file = data.join(FILE);
        let read = std::fs::read(&file).ok();
        let by_site = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file, by_site }
    }

    /// The project of a site.
    pub fn get(&self, site: &SiteName) -> Option<&str> {
        self.by_site.get(site).map(String::as_str)
    }

    /// Remembers the project of a site. The file is replaced as a whole, or not at all.
    pub fn set(&mut self, site: &SiteName, project: &str) -> io::Result<()> {
        if self.get(site) == Some(project) {
            return Ok(());
        }
        self.by_site.insert(site.clone(), project.to_owned());
        let mut temporary = tempfile::NamedTempFile::new_in(self.file.parent().unwrap_or(Path::new("")))?;
        serde_json::to_writer(&mut temporary, &self.by_site)?;
        temporary.persist(&self.file)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_of_a_site_is_known_at_the_next_start() {
        let data = tempfile::tempdir().unwrap();
        let (shop, blog): (SiteName, SiteName) = ("shop".parse().unwrap(), "blog".parse().unwrap());
        let mut projects = SiteProjects::load(data.path());
        projects.set(&shop, "/a").unwrap();
        projects.set(&blog, "/b").unwrap();
        projects.set(&shop, "/c").unwrap();
        let projects = SiteProjects::load(data.path());
        assert_eq!((projects.get(&shop), projects.get(&blog)), (Some("/c"), Some("/b")));
        std::fs::write(data.path().join(FILE), "{").unwrap();
        assert_eq!(SiteProjects::load(data.path()).get(&shop), None);
    }
}
