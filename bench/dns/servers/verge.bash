# verge-geodns, which uses distances. There are two edges in each data centre, so the two nearest edges are those of the nearest data
# centre. feed.py serves the change feed in place of an origin.

# shellcheck disable=SC2034,SC2154 # compare.bash uses the answers and sets the zone
verge_answers=nearest

verge_available() {
    if [ ! -d geodns ]; then
        say 'verge-geodns: no source code'
        return 1
    fi
    cargo build --locked --quiet --release -p verge-geodns
}

# verge_configure WORLD FOLDER PORT
verge_configure() {
    local world=$1 folder=$2 port=$3 origin private
    origin=$(python3 "$bench/dns/free_port.py")
    private=$(python3 "$bench/dns/free_port.py")
    start_helper python3 "$bench/dns/feed.py" "$world" "$origin"
    cat >"$folder/geodns.toml" <<END
name = "bench"
origins = ["http://127.0.0.1:$origin"]
token = "vrg_00000000000000000000000000000000000000009692e67b"
data = "$folder/data"
listen = "127.0.0.1:$port"
private_listen = "127.0.0.1:$private"
workers = 1
database = "$world/world.mmdb"
[[zones]]
name = "$zone"
file = "$folder/zone"
sites = true
[health]
interval_seconds = 600
END
    cat >"$folder/zone" <<END
\$TTL 60
@ IN SOA ns-1.$zone. hostmaster.$zone. ( 1 7200 1800 604800 60 )
@ IN NS ns-1.$zone.
ns-1 IN A 192.0.2.1
END
}

# verge_start FOLDER: runs the server.
verge_start() { exec "${CARGO_TARGET_DIR:-target}/release/verge-geodns" --config "$1/geodns.toml" --log warn; }
