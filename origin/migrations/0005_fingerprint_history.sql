-- What releases made of a fingerprinted path. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- 1 if a release marked the path immutable. Of older rows that is not known, so it is assumed.
alter table fingerprint add column immutable bigint not null default 1;
-- 1 if a release had other bytes there than the first.
alter table fingerprint add column changed bigint not null default 0;
