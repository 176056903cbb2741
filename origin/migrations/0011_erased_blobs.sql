-- Removing erased blobs. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- Blobs that a site gave up by an erasure and that may still be in the object store. The origin deletes them, then their rows.
create table erased_blob (
    site   text not null references site (name),
    digest text not null,
    primary key (site, digest)
);

-- Which sites hold a blob.
create index blob_digest on blob (digest);
