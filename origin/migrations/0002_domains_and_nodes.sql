-- Nodes that answer DNS have tokens too, and sites have domains. As before: only `text` and `bigint`, only what SQLite and
-- PostgreSQL share.

-- At most one of `edge` and `node` is set: the administrator's token has neither.
alter table token add column node text;
create unique index token_node on token (node);

-- Domains that are to show sites. `proof` is what a TXT record has to say. `asked` is when somebody last wanted the domain,
-- `proven` when the record was seen (null until then), and `problem` why it was not seen when that was last tried.
create table domain (
    name text primary key,
    site text not null references site (name),
    redirect_to text,
    proof text not null,
    asked bigint not null,
    proven bigint,
    problem text
);
