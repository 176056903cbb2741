-- Who moved and deleted channels. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- Of a move to a release that existed; null if it is not known. The author of a push is that of its release.
alter table channel_move add column author text;
-- Null if it is not known, or if the channel's time had ended.
alter table channel_deletion add column author text;
-- 1: the channel's time had ended; 0: somebody deleted it.
alter table channel_deletion add column expired bigint not null default 0;
