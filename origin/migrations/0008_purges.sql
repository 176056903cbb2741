-- The purges of each site. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

create table purge (
    site    text   not null references site (name),
    seq     bigint not null,
    scope   text   not null,
    author  text,
    message text,
    made    bigint not null,
    primary key (site, seq)
);
