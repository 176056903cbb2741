//! The origin over HTTP, as clients, operators, edges and name servers use it.

#![expect(clippy::unwrap_used, reason = "a panic fails the test with its message")]

mod it {
    mod api_certificate;
    mod api_tls;
    mod authorities;
    mod authority_proxy;
    mod certificates;
    mod collection;
    mod damaged_rows;
    mod domains;
    mod edges;
    mod erasures;
    mod errors;
    mod file_formats;
    mod full_disk;
    mod histories;
    mod issuance;
    mod join;
    mod operating;
    mod previews;
    mod process;
    mod purges;
    mod pushes;
    mod rollouts;
    mod secrets;
    mod sites;
    mod test_origin;
    mod verification;
}
