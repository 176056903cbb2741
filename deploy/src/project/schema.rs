//! The JSON schema of `verge.toml`, for editors.

/// The schema, as `verge schema` prints it (JSON Schema, draft 7, which editors of TOML support).
pub const SCHEMA: &str = include_str!("../../verge.schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::project::Settings;

    const DOCUMENTATION: &str = include_str!("../../../docs/VERGE_TOML.md");

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// What the parser says that it expects in place of `text`.
    fn expected_instead_of(text: &str) -> BTreeSet<String> {
        let error = Settings::parse(Path::new("verge.toml"), text).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn schema_has_exactly_the_settings() {
        let schema = schema();
        assert_eq!(keys(&schema["properties"]), expected_instead_of("unknown = 1"));
        for table in ["preview", "canary"] {
            let properties = &schema["properties"][table]["properties"];
            assert_eq!(keys(properties), expected_instead_of(&format!("[{table}]\nunknown = 1")), "{table}");
            assert_eq!(schema["properties"][table]["additionalProperties"], false);
        }
        let variants = schema["properties"]["html"]["enum"].as_array().unwrap();
        let variants: BTreeSet<String> = variants.iter().map(|variant| variant.as_str().unwrap().to_owned()).collect();
        assert_eq!(variants, expected_instead_of("html = \"unknown\""));
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn limits_of_the_schema_are_those_of_the_settings() {
        let seconds = &schema()["properties"]["canary"]["properties"]["seconds"];
        assert_eq!(seconds["maximum"], verge_protocol::canary::CanaryPlan::SECONDS_MAX);
        assert_eq!(seconds["default"], verge_protocol::canary::CanaryPlan::SECONDS);
        assert_eq!(schema()["properties"]["site"]["maxLength"], verge_protocol::SiteName::MAX);
    }

    #[test]
    fn examples_of_the_schema_are_valid() {
        fn check(properties: &Value, table: &str) -> usize {
            let mut checked = 0;
            for (key, property) in properties.as_object().unwrap() {
                let examples = property["examples"].as_array().into_iter().flatten();
                for example in examples.chain(property["enum"].as_array().into_iter().flatten()) {
                    // JSON's texts and lists of texts are TOML's.
                    let text = format!("{table}{key} = {example}\n");
                    Settings::parse(Path::new("verge.toml"), &text).unwrap_or_else(|error| panic!("{text}: {error}"));
                    checked += 1;
                }
            }
            checked
        }
        let properties = &schema()["properties"];
        let checked = check(properties, "")
            + check(&properties["preview"]["properties"], "[preview]\n")
            + check(&serde_json::json!({ "edges": properties["canary"]["properties"]["edges"] }), "[canary]\n");
        assert!(checked >= 9, "{checked}");
    }

    #[test]
    fn documentation_has_each_setting_and_valid_examples() {
        let schema = schema();
        for (key, property) in schema["properties"].as_object().unwrap() {
            let names: Vec<String> = match property["properties"].as_object() {
                Some(table) => table.keys().map(|inner| format!("{key}.{inner}")).collect(),
                None => vec![key.clone()],
            };
            for name in names {
                let heading = format!("\n### `{name}`\n");
                let section = DOCUMENTATION.split_once(&heading).unwrap_or_else(|| panic!("no section of {name}")).1;
                let section = section.split_once("\n### ").map_or(section, |(section, _)| section);
                let last = name.rsplit('.').next().unwrap();
                assert!(section.contains("```toml\n") && section.contains(&format!("{last} = ")), "{name}");
                assert!(DOCUMENTATION.contains(&format!("\n| [`{name}`](#{}) |", name.replace('.', ""))), "{name}");
            }
        }
        let examples: Vec<&str> = DOCUMENTATION
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```"))
            .map(|(text, _)| text)
            .collect();
        assert!(examples.len() >= 10);
        for example in examples {
            Settings::parse(Path::new("verge.toml"), example).unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }
}
