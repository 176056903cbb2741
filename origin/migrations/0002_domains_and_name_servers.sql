-- Tokens of name servers, and domains of sites. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- At most one of `edge` and `name_server` is set: the administrator's token has neither.
alter table token add column name_server text;
create unique index token_name_server on token (name_server);

-- Domains claimed for sites. `proof` is the text that a TXT record must have, `claimed` when the domain was last claimed, `proven`
-- when the record was first found (null until then), and `problem` why the last check did not find it.
create table domain (
    name text primary key,
    site text not null references site (name),
    redirect_to text,
    proof text not null,
    claimed bigint not null,
    proven bigint,
    problem text
);
