-- Deleting what is not needed. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- Releases that are deleted: what is known of them. Their manifests are gone. Numbers are never used again.
create table deleted_release (
    site       text   not null references site (name),
    number     bigint not null,
    manifest   text   not null,
    files      bigint not null,
    bytes      bigint not null,
    created    bigint not null,
    author     text,
    message    text,
    git_commit text,
    deleted    bigint not null,
    -- Who deleted it; null: it was not to be kept any longer, or the request names nobody.
    deleted_by text,
    primary key (site, number)
);

-- Blobs that may be in the object store and that nothing needed when they were given up. The origin deletes those that nothing needs
-- again, then their rows.
create table unused_blob (
    digest text not null primary key
);
