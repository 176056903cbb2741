//! `verge-origin verify`: what it finds, what it says that costs, and what it repairs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;
use verge_daemon::DataDir;
use verge_protocol::api::{Domain, Progress, SitePage, Status};
use verge_protocol::feed::FeedEvent;
use verge_protocol::{Digest, Timestamp};
use verge_test_kit::{Answer, FakeDns, copy_directory, on_small_disk, until};

use super::full_disk;
use super::test_origin::{TestBuild, TestOrigin, build, digest, ok};

/// What a run of `verify` came to.
struct Verified {
    code: Option<i32>,
    findings: Vec<Value>,
    summary: Value,
}

fn command(data: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
    command.args(["verify", "--data"]).arg(data).args(flags);
    command
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn verify(data: &Path, flags: &[&str]) -> Verified {
    let output = run(command(data, &[&["--json"], flags].concat())).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("no output: {errors}"));
    assert_eq!((&summary["kind"], summary["findings"].as_u64()), (&json!("summary"), Some(lines.len() as u64)));
    Verified { code: output.status.code(), findings: lines, summary }
}

/// What `verify` prints for people, with the path of the data directory replaced.
async fn text(data: &Path, flags: &[&str]) -> String {
    let output = run(command(data, flags)).await;
    String::from_utf8(output.stdout).unwrap().replace(data.to_str().unwrap(), "DATA")
}

/// Fails if anything is damaged, also while an origin runs.
pub(super) async fn assert_sound(data: &Path, context: &str) {
    verify(data, &[]).await.assert_sound(context);
}

impl Verified {
    fn assert_sound(&self, context: &str) {
        assert_eq!((self.code, &self.findings[..]), (Some(0), &[][..]), "{context}");
    }

    /// The only finding.
    fn one(&self) -> &Value {
        assert_eq!((self.code, self.findings.len()), (Some(1), 1), "{:#?}", self.findings);
        &self.findings[0]
    }
}

/// A site of three releases, of which the last is live.
fn files(release: u32) -> TestBuild {
    let page = format!("<p>release {release}</p>").repeat(20);
    let large = "0123456789".repeat(30_000);
    build(&[
        ("index.html", &page),
        ("assets/app-1a2b3c4d5e6f.js", "let app = 1;\n"),
        ("large.txt", &large),
        (&format!("only-{release}.txt"), &format!("only in release {release}")),
    ])
}

/// An origin with rows in every table.
async fn filled() -> TestOrigin {
    let dns = FakeDns::start().await;
    let origin = TestOrigin::start_with(|config| {
        config.resolver = Some(dns.address);
        config.resolver_timeout = Duration::from_millis(200);
    })
    .await;
    let settings = json!({ "addresses": ["192.0.2.1"], "port": 80, "weight": 1, "regions": ["eu"], "location": null });
    assert!(origin.put("/v1/edges/fra-1", settings).await.status().is_success());
    for site in ["demo", "news"] {
        origin.create_site(site).await;
        let purge = json!({ "scope": "only-1.txt", "author": "ann", "message": "a leak" });
        let purged =
            origin.request(Method::POST, &format!("/v1/sites/{site}/purges")).json(&purge).send().await.unwrap();
        assert!(purged.text().await.unwrap().contains("finished"));
        for release in 1..=3 {
            let events = origin.push(site, &files(release)).await;
            assert!(matches!(events.last(), Some(Progress::Finished { .. })), "{events:?}");
            origin.clock.advance(Duration::from_hours(30));
        }
    }
    assert!(origin.put("/v1/sites/demo/regions", json!({ "regions": ["eu"] })).await.status().is_success());
    let domain: Domain = ok(origin.put("/v1/domains/www.example.com", json!({ "site": "demo" })).await).await;
    let value: &'static str = domain.proof.value.leak();
    dns.set(&domain.proof.name, Answer::Texts(vec![vec![value]]));
    let domain: Domain = ok(origin.put("/v1/domains/www.example.com", json!({ "site": "demo" })).await).await;
    assert!(domain.proven.is_some());
    origin.edge_token("fra-1").await;
    origin.name_server_token("ns-1").await;
    origin
}

/// A copy of the data directory of a filled origin that was stopped.
struct Sound {
    directory: TempDir,
}

impl Sound {
    async fn new() -> Self {
        let (origin, copy) = filled().await.back_up().await;
        let directory = tempfile::tempdir().unwrap();
        copy_directory(&copy, &directory.path().join("sound"));
        origin.stop().await;
        let sound = Self { directory };
        let mut database = database(&sound.path()).await;
        execute(&mut database, "insert into divergence values (1, '1-1', '1-2-00c0ffee00c0ffee', 'edge fra-1', 1)")
            .await;
        execute(&mut database, "insert into channel_lifetime values ('demo', 'pr-1', 1, 3600)").await;
        execute(&mut database, "insert into channel_deletion values ('demo', 'pr-1', 1, 1, 'ann', 0)").await;
        let gone = digest("gone");
        execute(
            &mut database,
            &format!("insert into erasure values ('demo', '{gone}', 'gone.txt', 'ann', 'a leak', 1)"),
        )
        .await;
        let account = "insert into secret values ('account/https://acme.example/', 'c0ffee', 'c0ffee', 1)";
        execute(&mut database, account).await;
        execute(&mut database, "insert into edge_key values ('fra-1', 'c0ffee', 1)").await;
        let issuance =
            "insert into issuance values ('www.example.com', 'https://acme.example/', 1, 1, 1, 1, 0, 'away')";
        execute(&mut database, issuance).await;
        execute(&mut database, "insert into failed_name values ('www.example.com', 1, 1, 1, 'refused')").await;
        execute(&mut database, "insert into authority_limit values ('https://acme.example/', 1, 1, 2, 'too many')")
            .await;
        execute(
            &mut database,
            &format!(
                "insert into deleted_release values ('demo', 1000, '{gone}', 1, 1, 1, 'ann', null, null, 2, 'bob')"
            ),
        )
        .await;
        execute(&mut database, &format!("insert into unused_blob values ('{gone}')")).await;
        execute(&mut database, &format!("insert into rekey values ('www.example.com', '{gone}')")).await;
        let join_code = format!("insert into join_code values ('{gone}', 'fra-1', null, 1, 1, 'c0ffee')");
        execute(&mut database, &join_code).await;
        execute(&mut database, &format!("insert into erased_blob values ('demo', '{gone}')")).await;
        database.close().await.unwrap();
        sound
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("sound")
    }

    /// A fresh copy of it.
    fn copy(&self) -> PathBuf {
        let copy = self.directory.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        copy_directory(&self.path(), &copy);
        copy
    }
}

async fn database(data: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(data.join("origin.db")).foreign_keys(false);
    options.pragma("ignore_check_constraints", "on").connect().await.unwrap()
}

async fn execute(database: &mut SqliteConnection, sql: &str) -> u64 {
    sqlx::query(AssertSqlSafe(sql)).execute(database).await.unwrap().rows_affected()
}

async fn damage(data: &Path, sql: &str) {
    let mut database = database(data).await;
    assert!(execute(&mut database, sql).await > 0, "{sql}");
    database.close().await.unwrap();
}

fn object(data: &Path, digest: Digest) -> PathBuf {
    let name = digest.to_string();
    data.join("objects/blobs").join(&name[..2]).join(name)
}

fn text_of(finding: &Value, field: &str) -> String {
    finding[field].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn sound_directory_has_no_findings_and_is_not_changed() {
    let sound = Sound::new().await;
    let data = sound.copy();
    let verified = verify(&data, &[]).await;
    verified.assert_sound("stopped");
    assert!(verified.summary["rows"].as_u64() > Some(40), "{}", verified.summary);
    assert_eq!(verified.summary["releases"], 6);
    let database_before = std::fs::read(data.join("origin.db")).unwrap();
    verify(&data, &["--repair"]).await.assert_sound("nothing to repair");
    assert_eq!(std::fs::read(data.join("origin.db")).unwrap(), database_before);
    let lines = text(&data, &[]).await;
    assert!(lines.starts_with("DATA: read ") && lines.ends_with(" rows: all is sound\n"), "{lines}");
}

#[tokio::test]
async fn damaged_objects_are_named_with_what_needs_them() {
    let sound = Sound::new().await;
    let data = sound.copy();
    let digest = |text: &str| Digest::of(text.as_bytes());
    let (app, old) = (digest("let app = 1;\n"), digest("only in release 1"));
    let live = digest("only in release 3");
    std::fs::write(object(&data, app), "let App = 1;\n").unwrap();
    std::fs::write(object(&data, old), "").unwrap();
    std::fs::remove_file(object(&data, live)).unwrap();
    let stray = digest("nothing needs this");
    std::fs::create_dir_all(object(&data, stray).parent().unwrap()).unwrap();
    std::fs::write(object(&data, stray), "changed").unwrap();
    std::fs::write(data.join("objects/blobs/notes.txt"), "mine").unwrap();
    for entry in std::fs::read_dir(data.join("objects/builds/demo")).unwrap().take(1) {
        std::fs::write(entry.unwrap().path(), "half").unwrap();
    }
    let lines = text(&data, &[]).await;
    let lines = std::fs::read_dir(data.join("objects/builds/demo"))
        .unwrap()
        .fold(lines, |lines, build| lines.replace(build.unwrap().file_name().to_str().unwrap(), "BUILD"));
    insta::with_settings!({ filters => vec![(r"\d+ objects \([^)]*\)", "N objects (SIZE)"), (r"\d+ rows", "N rows")] }, {
        insta::assert_snapshot!(lines);
    });
}

#[tokio::test]
async fn corrupt_blobs_are_set_aside_and_the_next_push_heals_them() {
    let (origin, copy) = filled().await.back_up().await;
    let mut manifest = None;
    let origin = origin
        .restore_with(&copy, async |data| {
            let mut blobs = Vec::new();
            for prefix in std::fs::read_dir(data.join("objects/blobs")).unwrap() {
                blobs.extend(std::fs::read_dir(prefix.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
            }
            // Every blob: of files, encodings and manifests.
            for blob in &blobs {
                std::fs::write(blob, "corrupt").unwrap();
            }
            manifest = Some(data.to_owned());
        })
        .await;
    let data = manifest.unwrap();
    let found = verify(&data, &[]).await;
    assert!(found.findings.len() > 10 && found.findings.iter().all(|finding| finding["problem"] == "corrupt on disk"));
    // Beside the running origin: nothing that edges follow is changed.
    let repaired = verify(&data, &["--repair"]).await;
    assert!(
        repaired.findings.iter().all(|finding| finding["outcome"]["result"] == "repaired"),
        "{:#?}",
        repaired.findings
    );
    for site in ["demo", "news"] {
        for release in 1..=3 {
            let events = origin.push(site, &files(release)).await;
            assert!(matches!(events.last(), Some(Progress::Finished { .. })), "{events:?}");
        }
    }
    let healed = verify(&data, &[]).await;
    // What is left are manifests and encodings of releases that were made otherwise.
    for finding in &healed.findings {
        assert!(text_of(finding, "cost").contains("manifest"), "{finding}");
    }
    assert!(healed.summary["quarantined_files"].as_u64() > Some(10));
    origin.stop().await;
}

#[tokio::test]
async fn verify_beside_an_origin_finds_nothing_while_releases_are_pushed() {
    let origin = filled().await;
    let data = origin.directory.path().join("origin");
    let mut verifications = 0;
    let pushes = async {
        for release in 4..=16 {
            let events = origin.push("demo", &files(release)).await;
            assert!(matches!(events.last(), Some(Progress::Finished { .. })), "{events:?}");
        }
    };
    let mut pushes = Box::pin(pushes);
    loop {
        let flags: &[&str] = if verifications % 2 == 0 { &[] } else { &["--repair"] };
        let mut verification = std::pin::pin!(verify(&data, flags));
        let are_done = tokio::select! {
            () = &mut pushes => true,
            verified = &mut verification => {
                verified.assert_sound("during pushes");
                verifications += 1;
                continue;
            }
        };
        verification.await.assert_sound("after the pushes");
        assert!(are_done && verifications > 1, "{verifications}");
        break;
    }
    drop(pushes);
    origin.stop().await;
}

/// Every table, its columns, and its first and last row.
async fn cells(data: &Path) -> Vec<(String, String, i64)> {
    let mut database = database(data).await;
    let tables: Vec<(String,)> = sqlx::query_as(
        "select name from sqlite_schema where type = 'table' and name not like '\\_%' escape '\\' order by name",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let mut cells = Vec::new();
    for (table,) in tables {
        let columns: Vec<(String,)> = sqlx::query_as("select name from pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut database)
            .await
            .unwrap();
        let rows = format!("select min(rowid), max(rowid) from {table}");
        let (first, last): (i64, i64) = sqlx::query_as(AssertSqlSafe(rows)).fetch_one(&mut database).await.unwrap();
        for (column,) in columns {
            cells.extend([first, last].map(|row| (table.clone(), column.clone(), row)));
        }
    }
    cells.dedup();
    database.close().await.unwrap();
    cells
}

#[tokio::test]
async fn damage_of_any_column_of_any_table_is_named_and_repaired_or_explained() {
    let sound = Sound::new().await;
    let cells = cells(&sound.path()).await;
    assert!(cells.len() >= 100, "{}", cells.len());
    let mut explained = std::collections::BTreeSet::new();
    for (index, (table, column, row)) in cells.into_iter().enumerate() {
        // The first row of a table, and the last one.
        let value = if index % 2 == 0 { "x'00ff'" } else { "cast(x'61ff62' as text)" };
        let data = sound.copy();
        let context = format!("{table}.{column} of row {row} is {value}");
        damage(&data, &format!("update {table} set {column} = {value} where rowid = {row}")).await;
        let found = verify(&data, &[]).await;
        assert_eq!(found.code, Some(1), "{context}");
        assert!(found.findings.iter().all(|finding| !text_of(finding, "cost").is_empty()), "{context}");
        for _ in 0..2 {
            verify(&data, &["--repair"]).await;
        }
        let left = verify(&data, &[]).await;
        for finding in &left.findings {
            assert!(finding["advice"].is_string(), "{context}: {finding}");
            explained.insert(format!("{table}.{column}: {}", text_of(finding, "subject")));
        }
        if left.findings.is_empty() {
            Box::pin(starts_and_takes_pushes(&data, &context)).await;
        }
    }
    insta::assert_debug_snapshot!(explained);
}

/// An origin on this directory has no problem, lists both sites, and takes pushes.
async fn starts_and_takes_pushes(data: &Path, context: &str) {
    let origin = TestOrigin::start_on(data).await;
    let problems = origin.get::<Status>("/v1/status").await.problems;
    assert!(!format!("{problems:?}").contains("DamagedRows"), "{context}: {problems:?}");
    let page: SitePage = origin.get("/v1/sites").await;
    assert!(page.sites.len() == 2 && page.sites.iter().all(|site| site.channels.len() == 1), "{context}: {page:?}");
    for site in ["demo", "news"] {
        let events = origin.push(site, &files(1)).await;
        assert!(matches!(events.last(), Some(Progress::Finished { .. })), "{context}: {events:?}");
    }
    origin.stop().await;
    assert_sound(data, context).await;
}

#[tokio::test]
async fn damaged_name_of_a_blob_of_an_encoding_is_restored_and_all_encodings_stay() {
    let sound = Sound::new().await;
    let encodings = async |data: &Path| {
        let mut database = database(data).await;
        let names = sqlx::query_as("select digest, content from encoding_blob order by digest, content");
        let names: Vec<(String, String)> = names.fetch_all(&mut database).await.unwrap();
        let rows: (i64,) = sqlx::query_as("select count(*) from encoding").fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        (names, rows)
    };
    let before = encodings(&sound.path()).await;
    let page = &files(1).blobs[0];
    let of_page = before.0.iter().filter(|(_, content)| *content == page.digest().to_string());
    assert_eq!(of_page.count(), 2, "an encoding for each coding");
    for column in ["digest", "content"] {
        let data = sound.copy();
        let row = format!("(select rowid from encoding_blob where content = '{}' limit 1)", page.digest());
        damage(&data, &format!("update encoding_blob set {column} = 'odd' where rowid = {row}")).await;
        let repaired = verify(&data, &["--repair"]).await;
        assert_eq!(repaired.one()["outcome"]["result"], "repaired");
        assert_eq!(encodings(&data).await, before, "{column}");
        verify(&data, &[]).await.assert_sound(column);
    }
}

#[tokio::test]
async fn release_that_refers_to_erased_bytes_is_sound() {
    let origin = filled().await;
    for site in ["demo", "news"] {
        let erasure = json!({ "path": "only-1.txt" });
        let erased =
            origin.request(Method::POST, &format!("/v1/sites/{site}/erasures")).json(&erasure).send().await.unwrap();
        assert!(erased.text().await.unwrap().contains("finished"));
    }
    let (origin, copy) = origin.back_up().await;
    assert!(!object(&copy, digest("only in release 1")).exists());
    verify(&copy, &[]).await.assert_sound("erased");
    origin.stop().await;
}

#[tokio::test]
async fn contradictions_between_rows_are_found_and_repaired() {
    let sound = Sound::new().await;
    let seq = "(select seq from state where key = 'channel/demo/live')";
    for (sql, subject) in [
        ("delete from site where name = 'demo'".to_owned(), "site demo"),
        ("delete from release where site = 'demo' and number = 2".to_owned(), "release demo v2"),
        ("delete from release where site = 'demo' and number = 3".to_owned(), "release demo v3"),
        ("update release set files = files + 64 where number = 1 and site = 'demo'".to_owned(), "release demo v1"),
        (
            "update release set site = 'news', number = 9 where number = 1 and site = 'demo'".to_owned(),
            "release news v9",
        ),
        (format!("delete from channel_move where epoch = {seq}"), "channel/demo/live"),
        (format!("update channel_move set release = 1 where epoch = {seq}"), "channel/demo/live"),
        ("delete from state where key = 'channel/demo/live'".to_owned(), "state row channel/demo/live"),
        (
            "update state set value = replace(value, 'v3', 'v2') where key = 'channel/demo/live'".to_owned(),
            "state row channel/demo/live",
        ),
        (
            "update state set key = 'channel/deno/live' where key = 'channel/demo/live'".to_owned(),
            "state row channel/demo/live",
        ),
        (
            "update state set value = replace(value, 'demo', 'news') where key like 'domain/%'".to_owned(),
            "state row domain/www.example.com",
        ),
        ("delete from state where key like 'domain/%'".to_owned(), "state row domain/www.example.com"),
        ("update domain set site = 'news'".to_owned(), "row of domain with name `www.example.com`"),
        ("update history set digest = 'ffffffffffffffff' where seq = (select seq from state where key = 'channel/news/live')".to_owned(), "history after write"),
        ("update counter set seq = seq - 2".to_owned(), "counter of writes"),
        ("update counter set seq = seq + 64".to_owned(), "counter of writes"),
        ("delete from counter".to_owned(), "counter of writes"),
        ("update blob set size = size + 64 where rowid = 1".to_owned(), "row of blob with"),
        ("update blob set site = 'deno' where rowid = 1".to_owned(), "rows of blob with site `deno`"),
        ("update content set blobs = (select digest from blob limit 1)".to_owned(), "row of content with"),
        ("delete from manifest where id = (select manifest from release limit 1)".to_owned(), "manifest "),
    ] {
        let data = sound.copy();
        damage(&data, &sql).await;
        let found = verify(&data, &[]).await;
        let subjects: Vec<String> = found.findings.iter().map(|finding| text_of(finding, "subject")).collect();
        assert!(subjects.iter().any(|found| found.starts_with(subject)), "{sql}: {subjects:?}");
        let repaired = verify(&data, &["--repair"]).await;
        let left = verify(&data, &[]).await;
        assert_eq!((left.code, &left.findings[..]), (Some(0), &[][..]), "{sql}: {:#?}", repaired.findings);
        Box::pin(starts_and_takes_pushes(&data, &sql)).await;
    }
}

#[tokio::test]
async fn damaged_pages_of_the_database_file_are_findings() {
    let sound = Sound::new().await;
    let file = |data: &Path| data.join("origin.db");
    let bytes = std::fs::read(file(&sound.path())).unwrap();
    for (start, end) in [
        (0, 16),
        (0, 4096),
        (4096, 20_000),
        (bytes.len() / 2, bytes.len() / 2 + 9000),
        (bytes.len() - 4096, bytes.len()),
    ] {
        let data = sound.copy();
        let mut damaged = bytes.clone();
        damaged[start..end].fill(0xa5);
        std::fs::write(file(&data), damaged).unwrap();
        let found = verify(&data, &[]).await;
        assert_eq!(found.code, Some(1), "{start}..{end}");
        assert!(
            found.findings.iter().any(|finding| text_of(finding, "subject") == "origin.db"),
            "{start}..{end}: {:?}",
            found.findings
        );
        verify(&data, &["--repair"]).await;
    }
}

#[tokio::test]
async fn feed_rows_are_repaired_only_while_the_origin_is_stopped() {
    let (origin, copy) = filled().await.back_up().await;
    let origin = origin
        .restore_with(&copy, async |data| {
            damage(data, "update state set value = replace(value, 'v3', 'v2') where key = 'channel/demo/live'").await;
        })
        .await;
    let data = origin.directory.path().join("origin");
    // The other site inherits a release whose day is over: the origin writes its row again.
    let mut feed = origin.subscribe(&origin.edge_token("fra-1").await, None).await;
    until("the inheritance to end", async || {
        let FeedEvent::Row(row) = feed.next().await.unwrap().event else { return false };
        row.key == "channel/news/live" && row.value.unwrap().as_str().contains("\"inherits\":[]")
    })
    .await;
    let before = origin.get::<Status>("/v1/status").await.position;
    let lines = text(&data, &["--repair"]).await;
    assert!(lines.contains("\n    stop the origin to repair: --repair writes it anew"), "{lines}");
    assert_eq!(origin.get::<Status>("/v1/status").await.position, before);
    origin.stop().await;
}

#[tokio::test]
async fn unfinished_files_are_counted_when_they_are_old_and_deleted_by_repair() {
    let sound = Sound::new().await;
    let data = sound.copy();
    // As a running origin has it.
    let lock = DataDir::open(&data).unwrap();
    let [new, old] = ["new#1", "old#2"].map(|name| data.join("objects/blobs").join(name));
    for path in [&new, &old] {
        std::fs::write(path, "half").unwrap();
    }
    let file = std::fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(Timestamp(1).0)).unwrap();
    let verified = verify(&data, &[]).await;
    verified.assert_sound("unfinished files cost nothing");
    assert_eq!(verified.summary["unfinished_files"], 1);
    verify(&data, &["--repair"]).await.assert_sound("running");
    assert!(new.exists() && !old.exists());
    drop(lock);
    verify(&data, &["--repair"]).await.assert_sound("stopped");
    assert!(!new.exists());
}

#[tokio::test]
async fn verify_reads_a_directory_on_a_read_only_file_system() {
    let sound = Sound::new().await;
    let data = sound.copy();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 99; exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c", mount]).arg(&data);
    unshare.arg(env!("CARGO_BIN_EXE_verge-origin")).args(["verify", "--data"]).arg(&data);
    let output = run(unshare).await;
    if output.status.code() == Some(99) {
        // Bypasses the capture of output by the test harness. `tests/run` counts these lines.
        let line = "skipped: it::verification::verify_reads_a_directory_on_a_read_only_file_system: needs user and mount namespaces\n";
        return drop(std::io::stderr().write_all(line.as_bytes()));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    assert!(lines.ends_with("all is sound\n"), "{lines}{}", String::from_utf8_lossy(&output.stderr));
}

async fn verify_on_a_full_disk(disk: &Path) {
    let origin = filled().await;
    let data = origin.directory.path().join("origin");
    full_disk::fill(disk, 0);
    verify(&data, &[]).await.assert_sound("beside the origin");
    origin.daemon.shutdown().await.unwrap();
    verify(&data, &[]).await.assert_sound("stopped");
}

#[test]
fn verify_reads_a_directory_on_a_full_disk() {
    let name = "it::verification::verify_reads_a_directory_on_a_full_disk";
    on_small_disk(name, 16 << 20, |disk| full_disk::runtime().block_on(verify_on_a_full_disk(disk)));
}

#[tokio::test]
async fn verify_exits_with_2_if_it_cannot_verify() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (vec!["--data", folder.path().to_str().unwrap()], "error: no data directory of an origin: "),
        (vec!["--config", "/none.toml"], "error: failed to read /none.toml"),
        (vec!["--data"], "error: a value is required"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
        command.arg("verify").args(&arguments);
        let output = run(command).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {errors}");
        assert!(errors.starts_with(expected), "{errors}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn verify_takes_the_data_directory_from_the_configuration() {
    let sound = Sound::new().await;
    let config = sound.directory.path().join("origin.toml");
    let text = format!("data = {:?}\nsites_url = \"https://verge.test\"\n", sound.path());
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
    command.arg("verify").arg("--config").arg(&config);
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let one = sound.copy();
    damage(&one, "update token set digest = 'odd' where edge = 'fra-1'").await;
    let verified = verify(&one, &[]).await;
    assert_eq!(verified.one()["subject"], "token of edge fra-1");
}
