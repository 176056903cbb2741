# Verge's own server. It knows distances; with two edges in each data centre, the two nearest are those of the nearest one. In place
# of an origin, feed.py tells it of edges and sites.

# shellcheck disable=SC2034,SC2154 # compare.bash reads the answers and sets the zone
verge_answers=nearest

verge_found() {
    if [ ! -d geodns ]; then
        say 'verge-geodns: not built'
        return 1
    fi
    cargo build --locked --quiet --release -p verge-geodns
}

# verge_configure WORLD FOLDER PORT
verge_configure() {
    local world=$1 folder=$2 port=$3 origin private
    origin=$(python3 "$bench/dns/free_port.py")
    private=$(python3 "$bench/dns/free_port.py")
    helper python3 "$bench/dns/feed.py" "$world" "$origin"
    cat >"$folder/geodns.toml" <<END
name = "bench"
origins = ["http://127.0.0.1:$origin"]
token = "any"
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

# verge_start FOLDER: becomes the server.
verge_start() { exec "${CARGO_TARGET_DIR:-target}/release/verge-geodns" --config "$1/geodns.toml" --log warn; }
