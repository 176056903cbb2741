-- Only `text` and `bigint`, only what SQLite and PostgreSQL share. Digests are hex, times are milliseconds since the Unix epoch.

-- One row. The first statement of every transaction that writes `state` updates it, so that sequence numbers are gap-free and in
-- commit order, and so that SQLite takes its write lock before any read.
create table counter (
    id bigint primary key check (id = 1),
    generation bigint not null,
    seq bigint not null,
    -- Tombstones up to this sequence number were deleted: a subscriber that has read less must start over.
    floor bigint not null
);
-- Generation 0 means none yet: the first start chooses one.
insert into counter (id, generation, seq, floor) values (1, 0, 0, 0);

-- The table that the change feed sends to edges and name servers. A null value is a tombstone.
create table state (
    key text primary key,
    seq bigint not null unique,
    value text
);

create table site (
    name text primary key,
    created bigint not null
);

-- Tokens, by the digest of their text. `edge` is null for the administrator's.
create table token (
    digest text primary key,
    edge text unique,
    created bigint not null
);

-- The site may use the blob, and the blob is durable: a row is inserted only after the file system was synced.
create table blob (
    site text not null references site (name),
    digest text not null,
    size bigint not null,
    primary key (site, digest)
);

-- Contents of several blobs that were read in full and have the digest that they claim. `blobs` is the digest of the list of blobs.
create table content (
    digest text primary key,
    blobs text not null
);

-- Builds being uploaded, and when each was last used, for a future garbage collection.
create table build (
    site text not null references site (name),
    id text not null,
    used bigint not null,
    primary key (site, id)
);

-- The content that holds the bytes of a manifest, as JSON.
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
    git_commit text,
    primary key (site, number)
);

-- Every move of every channel, by its epoch: which release the channel pointed at, and from when on.
create table channel_move (
    site text not null references site (name),
    channel text not null,
    epoch bigint not null,
    release bigint not null,
    manifest text not null,
    moved bigint not null,
    primary key (site, channel, epoch)
);

-- The digest of the bytes that a fingerprinted path of a site was first released with.
create table fingerprint (
    site text not null references site (name),
    path text not null,
    digest text not null,
    primary key (site, path)
);

-- Encodings, each created once. A null content: encoding saved nothing.
create table encoding (
    digest text not null,
    coding text not null,
    level bigint not null,
    content text,
    primary key (digest, coding, level)
);
