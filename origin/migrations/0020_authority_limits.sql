-- Rate limits of authorities. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- The last order that an authority refused because of a limit.
create table authority_limit (
    -- The URL of the authority's directory.
    authority   text   not null primary key,
    -- When it refused it, and the first of those in a row.
    refused     bigint not null,
    since       bigint not null,
    -- It has asked for no order before.
    retry_after bigint not null,
    -- What it said.
    problem     text   not null
);
