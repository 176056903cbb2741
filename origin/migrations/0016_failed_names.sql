-- Names that orders failed for. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- A name of a certificate whose control an authority could not verify, since a certificate with the name was last issued.
create table failed_name (
    -- As in the certificate: a domain, or `*.` before a domain.
    name          text   not null primary key,
    -- Failed orders, and when the first and the last one failed.
    failures      bigint not null,
    first_failure bigint not null,
    last_failure  bigint not null,
    -- Why the last one did.
    problem       text   not null
);
