//! Tests of the choice.

use super::*;
use crate::project::tests::tree as tree_with;

fn tree(files: &[&str]) -> tempfile::TempDir {
    tree_with(&files.iter().map(|path| (*path, "")).collect::<Vec<_>>())
}

fn configured(file: PathBuf, path: PathBuf) -> Configured {
    Configured { path, file, key: "dir" }
}

#[test]
fn first_usual_directory_with_index_is_chosen_and_others_are_named() {
    let tree = tree(&["build/other.js", "out/index.html", "dist/index.html", "_site/index.html"]);
    let chosen = choose(None, None, tree.path(), false).unwrap();
    assert_eq!(chosen.path, tree.path().join("dist"));
    assert!(chosen.reason.is_some());
    assert_eq!(chosen.others, [tree.path().join("out"), tree.path().join("_site")]);
}

#[test]
fn given_directory_overrides_configured_which_overrides_usual() {
    let tree = tree(&["dist/index.html", "a/x", "b/x"]);
    let (a, b) = (tree.path().join("a"), tree.path().join("b"));
    let settings = configured(tree.path().join("verge.toml"), b.clone());
    let chosen = choose(Some(&a), Some(&settings), tree.path(), false).unwrap();
    assert_eq!(chosen, BuildDir { path: a, reason: None, others: vec![] });
    let chosen = choose(None, Some(&settings), tree.path(), false).unwrap();
    assert_eq!((chosen.path, chosen.reason.as_deref()), (b, Some("set in verge.toml")));
}

#[test]
fn missing_directory_error_has_hint() {
    let tree = tree(&["public/robots.txt", "file"]);
    let path = |name: &str| tree.path().join(name);
    let choose = |given: Option<&Path>, current: &Path| choose(given, None, current, false);
    assert_eq!(choose(Some(&path("no")), tree.path()), Err(BuildDirError::Missing(path("no"))));
    assert_eq!(choose(Some(&path("file")), tree.path()), Err(BuildDirError::NotADirectory(path("file"))));
    let error = choose(None, tree.path()).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "public/ has no index.html: run the build first, or push another directory with `verge push DIR`"
    );
    let error = choose(None, &path("public")).unwrap_err();
    insta::assert_snapshot!(error.hint().unwrap());
    std::fs::write(path("public/index.html"), "").unwrap();
    let hint = choose(None, &path("public")).unwrap_err().hint().unwrap();
    assert!(hint.contains("use `verge push .`"), "{hint}");
}

#[test]
fn sources_are_not_pushed_but_their_output_is() {
    let tree = tree(&["vite.config.js", "index.html", "src/main.ts"]);
    let sources = choose(Some(tree.path()), None, tree.path(), false).unwrap_err();
    assert_eq!(sources, BuildDirError::Sources(tree.path().to_owned()));
    assert!(sources.hint().unwrap().contains("`dir = \".\"` in verge.toml"));
    assert_eq!(choose(Some(tree.path()), None, tree.path(), true).unwrap().path, tree.path());
    std::fs::create_dir(tree.path().join("dist")).unwrap();
    std::fs::write(tree.path().join("dist/index.html"), "").unwrap();
    let chosen = choose(Some(tree.path()), None, tree.path(), false).unwrap();
    assert_eq!(chosen.path, tree.path().join("dist"));
    assert!(chosen.reason.is_some());
}

#[test]
fn configured_directory_of_given_sources_is_meant() {
    let tree = tree(&["vite.config.js", "index.html", "web/x", "dist/index.html"]);
    let settings = |dir: &str| configured(tree.path().join("verge.toml"), tree.path().join(dir));
    let path =
        |dir: &str| choose(Some(tree.path()), Some(&settings(dir)), tree.path(), false).map(|chosen| chosen.path);
    assert_eq!(path("web").unwrap(), tree.path().join("web"));
    assert_eq!(path(".").unwrap(), tree.path());
    assert_eq!(path("no"), Err(BuildDirError::Missing(tree.path().join("no"))));
}

#[test]
fn current_directory_that_is_an_output_is_pushed() {
    for output in ["dist", "dist/shop/browser", "docs/.vitepress/dist", ".output/public"] {
        // Some tools copy their package.json.
        let tree = tree(&["package.json", &format!("{output}/index.html"), &format!("{output}/package.json")]);
        let current = tree.path().join(output);
        assert_eq!(choose(None, None, &current, false).unwrap().path, current, "{output}");
        assert_eq!(choose(Some(&current), None, &current, false).unwrap().path, current, "{output}");
        assert_eq!(output_root(&current), Some(tree.path().canonicalize().unwrap()), "{output}");
    }
    let tree = tree(&["package.json", "src/index.html"]);
    assert!(choose(None, None, &tree.path().join("src"), false).is_err());
}

#[test]
fn configured_directory_outside_of_the_project_is_rejected() {
    let tree = tree(&["private/index.html", "repo/app/x", "repo/dist/index.html"]);
    let settings =
        |dir: &str| configured(tree.path().join("repo/app/verge.toml"), tree.path().join("repo/app").join(dir));
    let choose = |dir: &str| choose(None, Some(&settings(dir)), tree.path(), false);
    assert!(matches!(choose("../dist"), Err(BuildDirError::Outside { key: "dir", .. })));
    // A workspace may have one output directory for all of its projects.
    std::fs::create_dir(tree.path().join("repo/.git")).unwrap();
    assert!(choose("../dist").is_ok());
    assert!(matches!(choose("../../private"), Err(BuildDirError::Outside { .. })));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../../private", tree.path().join("repo/app/link")).unwrap();
        assert!(matches!(choose("link"), Err(BuildDirError::Outside { .. })));
    }
}
