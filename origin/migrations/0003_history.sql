-- Telling histories apart. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- The history after each write to `state`: a digest that continues that of the write before it, 16 hex digits.
create table history (
    seq bigint primary key,
    digest text not null
);

-- Each time this origin found that a subscriber was in another history and therefore took a new generation: the position that it had
-- itself, what the subscriber had read, who that was, and when.
create table divergence (
    generation bigint primary key,
    had text not null,
    seen text not null,
    subscriber text not null,
    noticed bigint not null
);
