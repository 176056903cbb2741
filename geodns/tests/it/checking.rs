//! `check-config`, as an operator runs it.

use std::path::Path;
use std::process::Command;

/// A configuration with one zone, whose file includes another.
fn write(folder: &Path, included: &str, more: &str) {
    let zone =
        "$TTL 60\n@ SOA ns-1 hostmaster 1 7200 900 1209600 60\n@ NS ns-1\nns-1 A 192.0.2.1\n$INCLUDE mail.zone\n";
    std::fs::write(folder.join("example.zone"), zone).unwrap();
    std::fs::write(folder.join("mail.zone"), included).unwrap();
    let data = folder.join("data").display().to_string();
    let config = format!(
        "name = \"ns-1\"\norigins = [\"http://127.0.0.1:1\"]\ntoken = \"vrg_x\"\ndata = \"{data}\"\nlisten = \"127.0.0.1:0\"\n\
         private_listen = \"127.0.0.1:0\"\n{more}\n[[zones]]\nname = \"example.com\"\nfile = \"{}\"\n",
        folder.join("example.zone").display()
    );
    std::fs::write(folder.join("geodns.toml"), config).unwrap();
}

/// The exit code, what is said on standard output, and on standard error.
fn check(folder: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-geodns"));
    let output = command.arg("--config").arg(folder.join("geodns.toml")).arg("check-config").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_good_configuration_is_shown_with_what_it_bounds() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "@ MX 10 mail\nmail A 192.0.2.2\n", "");
    let (code, shown, errors) = check(folder.path());
    assert_eq!(code, Some(0), "{errors}");
    assert!(shown.contains("and its readers are elsewhere after at most: 75s") && !shown.contains("vrg_x"), "{shown}");
    assert!(!folder.path().join("data").exists(), "nothing is made to check a configuration");
}

#[test]
fn mistakes_are_told_with_their_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (included, more, place, wrong) in [
        ("@ MX 10 mail\nmail A 192.0.2.999\n", "", "mail.zone:2: ", "192.0.2.999"),
        ("@ MX 10 mail\n", "wrokers = 2", "line 7", "unknown field `wrokers`"),
        ("@ MX 10 mail\n", "database = \"nowhere.mmdb\"", "nowhere.mmdb", "No such file"),
        ("@ MX 10 mail\n", "drain_seconds = -1", "line 7", "drain_seconds = -1"),
    ] {
        write(folder.path(), included, more);
        let (code, shown, errors) = check(folder.path());
        assert_eq!((code, shown.as_str()), (Some(1), ""), "{errors}");
        assert!(errors.contains(place) && errors.contains(wrong), "{errors}");
    }
}
