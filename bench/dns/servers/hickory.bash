# The UDP loop of hickory-server, on one thread, under a handler that answers everybody alike: what a server on that loop costs
# before it has decided anything. A yardstick, no product: it has no zone, no places, no health, and it reads no client subnet.

# shellcheck disable=SC2034 # compare.bash reads the answers
hickory_answers=alike

hickory_found() {
    if [ ! -f geodns/examples/hickory.rs ]; then
        say 'hickory: not built'
        return 1
    fi
    cargo build --locked --quiet --release -p verge-geodns --example hickory
}

# hickory_configure WORLD FOLDER PORT: its arguments are its configuration.
hickory_configure() {
    local world=$1 folder=$2 port=$3
    { echo "$port" && head -n 1 "$world/centres.tsv" | cut -f 4-7 | tr '\t' '\n'; } >"$folder/arguments"
}

# hickory_start FOLDER: becomes the server.
hickory_start() {
    local arguments
    mapfile -t arguments <"$1/arguments"
    exec "${CARGO_TARGET_DIR:-target}/release/examples/hickory" "${arguments[@]}"
}
