-- The erased contents of each site. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

create table erasure (
    site    text   not null references site (name),
    content text   not null,
    path    text   not null,
    author  text,
    message text,
    made    bigint not null,
    primary key (site, content)
);
