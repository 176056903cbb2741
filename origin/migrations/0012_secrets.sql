-- Secrets, and keys of edges. As before: only `text` and `bigint`, only what SQLite and PostgreSQL share.

-- Private keys of certificates (`key/<SHA-256 of the public key>`), the secret of session tickets (`tickets/<SHA-256 of itself>`), and
-- accounts at certificate authorities (`account/<URL>`), encrypted under the master key, which is not in the database.
create table secret (
    name   text   not null primary key,
    -- Which master key encrypted it: the beginning of a digest of that key.
    master text   not null,
    -- Nonce and ciphertext (AES-256-GCM with the name as associated data), in base64.
    sealed text   not null,
    made   bigint not null
);

-- The public key to which secrets are encrypted for an edge.
create table edge_key (
    edge       text   not null primary key,
    public_key text   not null,
    bound      bigint not null
);
