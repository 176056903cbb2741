-- What became of orders. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- Orders for the certificate of a domain at one authority.
create table issuance (
    domain        text   not null,
    -- The URL of the authority's directory.
    authority     text   not null,
    -- When the last certificate was issued; 0: never.
    issued        bigint not null,
    -- Failed orders since the last certificate that any authority issued, and when the first and the last one failed.
    failures      bigint not null,
    first_failure bigint not null,
    last_failure  bigint not null,
    -- The authority has asked for no order before.
    retry_after   bigint not null,
    -- Why the last order failed.
    problem       text,
    primary key (domain, authority)
);
