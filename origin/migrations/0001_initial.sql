-- Only `text` and `bigint`, only what SQLite and PostgreSQL share. Digests are hex, times are milliseconds since 1970.

-- One row. Updated first in every transaction that writes `state`, so that sequence numbers are gap-free and in commit order,
-- and so that SQLite takes its write lock before any read.
create table counter (
    id bigint primary key check (id = 1),
    generation bigint not null,
    seq bigint not null,
    -- Tombstones up to here are gone: who has followed less must start over.
    floor bigint not null
);
-- Generation 0 stands for none yet: the first start chooses one.
insert into counter (id, generation, seq, floor) values (1, 0, 0, 0);

-- What edges follow. A null value is a tombstone.
create table state (
    key text primary key,
    seq bigint not null unique,
    value text
);

create table site (
    name text primary key,
    created bigint not null
);

-- Tokens by the digest of their text. `edge` is null for the administrator's.
create table token (
    digest text primary key,
    edge text unique,
    created bigint not null
);

-- A row says that the site may use the blob, and that it is safely stored: it is written after the file system was synced.
create table blob (
    site text not null references site (name),
    digest text not null,
    size bigint not null,
    primary key (site, digest)
);

-- Contents of several blobs that were read whole and found to have the digest they claim. `blobs` is the digest of the list.
create table content (
    digest text primary key,
    blobs text not null
);

-- Builds that were named, and when they were last used: what collection, when there is one, will go by.
create table build (
    site text not null references site (name),
    id text not null,
    used bigint not null,
    primary key (site, id)
);

-- Where the bytes of a manifest are: the JSON of its content.
create table manifest (
    id text primary key,
    content text not null
);

create table release (
    site text not null references site (name),
    number bigint not null,
    manifest text not null references manifest (id),
    files bigint not null,
    bytes bigint not null,
    created bigint not null,
    author text,
    message text,
    revision text,
    primary key (site, number)
);

-- Every move of every channel, by its epoch: what was live, and from when on.
create table channel_move (
    site text not null references site (name),
    channel text not null,
    epoch bigint not null,
    release bigint not null,
    manifest text not null,
    moved bigint not null,
    primary key (site, channel, epoch)
);

-- The bytes that a fingerprinted path of a site had when it was first released.
create table fingerprint (
    site text not null references site (name),
    path text not null,
    digest text not null,
    primary key (site, path)
);

-- Encodings made, never to be made twice. A null content: it saved nothing.
create table encoding (
    digest text not null,
    coding text not null,
    level bigint not null,
    content text,
    primary key (digest, coding, level)
);
