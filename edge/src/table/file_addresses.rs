//! The addresses under which readers know a file.

/// The addresses of the file at `path`, and of what it is a copy of, percent-encoded: a page has one without `.html`, its Markdown twin and
/// what the build has encoded, in whichever case its extension is, have the same text.
pub(crate) fn addresses(path: &str) -> Vec<String> {
    let stripped =
        |path: &str, suffixes: &[&str]| suffixes.iter().find_map(|suffix| path.strip_suffix(suffix)).map(str::to_owned);
    let mut names = vec![path.to_owned()];
    let is_encoded = |extension: &str| ["br", "gz"].into_iter().any(|coding| coding.eq_ignore_ascii_case(extension));
    names.extend(path.rsplit_once('.').filter(|(_, extension)| is_encoded(extension)).map(|(name, _)| name.to_owned()));
    for index in 0..names.len() {
        let Some(name) = stripped(&names[index], &[".html", ".htm", ".md"]) else { continue };
        names.push(
            name.strip_suffix("index")
                .filter(|folder| folder.is_empty() || folder.ends_with('/'))
                .unwrap_or(&name)
                .to_owned(),
        );
        names.extend([".html", ".htm"].map(|suffix| format!("{name}{suffix}")));
        names.push(name);
    }
    names.iter().map(|name| format!("/{}", name.replace('%', "%25"))).collect()
}
