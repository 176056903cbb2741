# The UDP loop of hickory-server on one thread, with a handler that gives all clients the same answer: the cost of a server on that loop
# without any decision. A baseline only: it has no zone, locations or health checks, and ignores client subnets.

# shellcheck disable=SC2034 # compare.bash uses the answers
hickory_answers=fixed

hickory_available() {
    if [ ! -f geodns/examples/hickory.rs ]; then
        say 'hickory: no source code'
        return 1
    fi
    cargo build --locked --quiet --release -p verge-geodns --example hickory
}

# hickory_configure WORLD FOLDER PORT: writes its arguments.
hickory_configure() {
    local world=$1 folder=$2 port=$3
    { echo "$port" && head -n 1 "$world/centres.tsv" | cut -f 4-7 | tr '\t' '\n'; } >"$folder/arguments"
}

# hickory_start FOLDER: runs the server.
hickory_start() {
    local arguments
    mapfile -t arguments <"$1/arguments"
    exec "${CARGO_TARGET_DIR:-target}/release/examples/hickory" "${arguments[@]}"
}
