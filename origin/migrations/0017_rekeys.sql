-- Certificates that get another private key. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- The certificate of a domain that is to be replaced because of its key, which is named as in the table `secret`, without `key/`.
create table rekey (
    domain text not null primary key,
    key    text not null
);
