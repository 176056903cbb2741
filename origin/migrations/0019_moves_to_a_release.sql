-- `verge log` asks for each move whether it was the first to its release.
create index channel_move_release on channel_move (site, release, epoch);
