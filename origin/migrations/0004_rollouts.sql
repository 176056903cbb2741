-- Publishing that can be repeated. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- The key of the request that created the release, or that moved the channel; null if it had none.
alter table release add column idempotency_key text;
alter table channel_move add column idempotency_key text;
create index release_idempotency_key on release (site, idempotency_key);

-- What the publisher should know about accepted files, as a JSON list of texts; null if nothing.
alter table release add column warnings text;
