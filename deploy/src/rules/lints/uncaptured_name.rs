//! Names in the target of a redirect rule that the rule does not capture: readers are sent to a `:name`.

use verge_protocol::rules::Redirect;
use verge_protocol::rules::redirect::Fields;

/// Warns about the first such name of `rule`.
pub(super) fn warning(rule: &Redirect) -> Option<String> {
    let Fields { query, to, .. } = rule.clone().into();
    let of_query = query.values().filter_map(|value| value.strip_prefix(':').filter(|name| !name.is_empty()));
    let captured: Vec<&str> = rule.from().names().chain(of_query).collect();
    let is_captured = |text: &str| captured.iter().any(|captured| text.starts_with(captured));
    let (name, _) = names(&to).into_iter().find(|(_, text)| !is_captured(text))?;
    let captured = match &captured[..] {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`:{name}`")).collect::<Vec<_>>().join(", "),
    };
    Some(format!("`{rule}` leads to a literal `:{name}`: the rule captures {captured}"))
}

/// What is meant as a name in a target, each with all that follows the colon: at the start of a segment, also of the fragment, or of a value of
/// the query. A colon elsewhere is part of a word, as in `/w/Help:Contents`, or begins a port.
fn names(to: &str) -> Vec<(&str, &str)> {
    let (to, fragment) = to.split_once('#').unwrap_or((to, ""));
    let (path, query) = to.split_once('?').unwrap_or((to, ""));
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
    path.split('/').chain(values).chain(fragment.split('/')).filter_map(name_at_start).collect()
}

/// A name ends as the words of paths do: a placeholder in a path may have letters of any script and hyphens, and what follows is literal.
fn name_at_start(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix(':')?;
    let is_of_name =
        |character: char| !character.is_ascii() || character.is_ascii_alphanumeric() || "_-%".contains(character);
    let (name, rest) = text.split_at(text.find(|character| !is_of_name(character)).unwrap_or(text.len()));
    // A number is none, and `:smile:` is a word.
    let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    (is_name && !rest.starts_with(':')).then_some((name, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::redirects_file;

    fn warning_of(line: &str) -> Option<String> {
        warning(&redirects_file::parse(line).next().unwrap().1.unwrap())
    }

    #[test]
    fn name_that_is_not_captured_is_named() {
        for (line, name, captured) in [
            ("/a/:x /b/:y", "y", "`:x`"),
            ("/c/* /d/:Splat", "Splat", "`:splat`"),
            ("/e /f/:splat", "splat", "nothing"),
            ("/e/* /f#/:splat/:id", "id", "`:splat`"),
            ("/a/:x /b/:x/:y.html 200", "y", "`:x`"),
            ("/a id=:id /b?id=:id&to=:to 302", "to", "`:id`"),
            ("/a/:x https://b.example:81/:y", "y", "`:x`"),
            ("/x/:b /archiv/:año", "año", "`:b`"),
            ("/posts/:id /blog/:post-id", "post-id", "`:id`"),
            ("/a/:x /b/:émile", "émile", "`:x`"),
            ("/a/:x /b/:日付?d=:x", "日付", "`:x`"),
            ("/a/:x /b/:y-1.html", "y-1", "`:x`"),
            ("/a/:x /b?q=:e\u{301}t&r=1", "e\u{301}t", "`:x`"),
            ("/a/:x /b/:a%C3%B1o#c", "a%C3%B1o", "`:x`"),
            ("/a/:x /b/:y,:x", "y", "`:x`"),
        ] {
            let warning = warning_of(line).unwrap();
            assert!(
                warning.ends_with(&format!("leads to a literal `:{name}`: the rule captures {captured}")),
                "{line}: {warning}"
            );
        }
    }

    #[test]
    fn captured_name_or_colon_that_begins_no_name_is_not_named() {
        for line in [
            "/a/:x /b/:x",
            "/a/:x /b/:xx",
            "/articles/:slug.html /:slug.html",
            "/posts/:post-id /blog/:post-id",
            "/:año /archiv/:año",
            "/a id=:my-id /b/:my-id",
            "/a/:x/* /b/:splat?x=:x",
            "/a/* 200",
            "/a id=:id /b/:id",
            "/a /w/Help:Contents",
            "/a /w/a:b/c?x=1:y",
            "/a https://b.example:81",
            "/a https://b.example:81/c#:~:text=d",
            "/a /at/:8080",
            "/a /emoji/:smile:",
            "/a /emoji/:thumbs-up:/x",
            "/a /emoji/:\u{1f642}",
            "/a /b/:",
            "/a /b?:y",
        ] {
            assert_eq!(warning_of(line), None, "{line}");
        }
    }
}
