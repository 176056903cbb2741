//! Lists of sites.

use verge_protocol::api::{Site, SitePage};
use verge_protocol::{ReleaseNumber, SiteName};

use super::test_origin::{TestOrigin, build, error};

fn names(page: &SitePage) -> Vec<&str> {
    page.sites.iter().map(|site| site.name.as_str()).collect()
}

#[tokio::test]
async fn sites_are_listed_in_pages_by_name() {
    let origin = TestOrigin::start().await;
    let empty: SitePage = origin.get("/v1/sites").await;
    assert_eq!(empty, SitePage { sites: vec![], next: None });

    // `-` sorts before letters, and before the `/` that follows a site in the keys of its channels.
    let sorted = ["a", "a-b", "ab", "b", "c"];
    for site in ["c", "ab", "a", "b", "a-b"] {
        origin.create_site(site).await;
        origin.push(site, &build(&[("index.html", site)])).await;
    }
    let all: SitePage = origin.get("/v1/sites").await;
    assert_eq!((names(&all), &all.next), (sorted.to_vec(), &None));
    assert!(all.sites.iter().all(|site| site.channels.len() == 1 && site.channels[0].release == ReleaseNumber(1)));

    let mut pages = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page: SitePage = origin.get(&format!("/v1/sites?{query}")).await;
        pages.push(names(&page).join(" "));
        let Some(next) = page.next else { break };
        query = format!("limit=2&after={next}");
    }
    assert_eq!(pages, ["a a-b", "ab b", "c"]);
    let exact: SitePage = origin.get("/v1/sites?limit=5").await;
    assert_eq!((exact.sites.len(), exact.next), (5, None), "no site follows a full page");
    let after_none: SitePage = origin.get("/v1/sites?after=aa&limit=1").await;
    let next: Option<SiteName> = Some("ab".parse().unwrap());
    assert_eq!((names(&after_none), &after_none.next), (vec!["ab"], &next));
    assert_eq!(names(&origin.get("/v1/sites?after=c").await), [""; 0]);
    origin.stop().await;
}

#[tokio::test]
async fn an_invalid_page_query_is_refused() {
    let origin = TestOrigin::start().await;
    for query in ["limit=0", "limit=1001", "limit=-1", "limit=many", "after=No--pe"] {
        let answer = origin.request(reqwest::Method::GET, &format!("/v1/sites?{query}")).send().await.unwrap();
        let (status, body) = error(answer).await;
        assert_eq!((status, body.code.as_str()), (400, "invalid_query"), "{query}: {}", body.message);
    }
    let widest: SitePage = origin.get("/v1/sites?limit=1000").await;
    assert_eq!(widest.sites, []);
    origin.stop().await;
}

#[tokio::test]
async fn the_rollback_target_of_a_channel_is_only_in_the_answer_for_one_site() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    for text in ["one", "two"] {
        origin.push("demo", &build(&[("index.html", text)])).await;
    }
    let page: SitePage = origin.get("/v1/sites").await;
    let mut site: Site = origin.get("/v1/sites/demo").await;
    assert_eq!((site.channels[0].release, site.channels[0].previous), (ReleaseNumber(2), Some(ReleaseNumber(1))));
    site.channels[0].previous = None;
    assert_eq!(page.sites, [site]);
    origin.stop().await;
}
