-- Join codes. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- What a machine exchanges for the token of an edge or a name server; at most one of each.
create table join_code (
    -- The SHA-256 of the secret.
    digest      text   not null primary key,
    edge        text,
    name_server text,
    expires     bigint not null,
    -- When it was exchanged, and the public key of the edge that did.
    used        bigint,
    public_key  text
);
