-- What a push said about how long its channel exists after its last move, in seconds; 0: until it is deleted. Of the releases that the
-- channel has pointed at, the one with the highest number counts: a push that failed says nothing.
create table channel_lifetime (
    site text not null references site (name),
    channel text not null,
    release bigint not null,
    seconds bigint not null,
    primary key (site, channel, release)
);

-- Every deletion of a channel, by its sequence number. Moves before it are history: nothing is inherited from them, and a rollback does not
-- go back to them.
create table channel_deletion (
    site text not null references site (name),
    channel text not null,
    seq bigint not null,
    deleted bigint not null,
    primary key (site, channel, seq)
);
