# Knot DNS with mod-geoip in geodb mode: rules by continent and country, of which the most specific match is used.

# shellcheck disable=SC2034,SC2154 # compare.bash uses the answers and sets the zone
knot_answers=country

knot_available() {
    { have knotd && compgen -G '/usr/lib/*/knot/modules-*/geoip.so' >/dev/null; } || install knot knot-module-geoip
}

# knot_configure WORLD FOLDER PORT
knot_configure() {
    local world=$1 folder=$2 port=$3
    mkdir -p "$folder/run" "$folder/storage"
    cat >"$folder/knot.conf" <<END
server:
    rundir: $folder/run
    listen: 127.0.0.1@$port
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
database:
    storage: $folder/storage
log:
  - target: stderr
    any: warning
mod-geoip:
  - id: sites
    config-file: $folder/geo.conf
    ttl: 60
    mode: geodb
    geodb-file: $world/world.mmdb
    geodb-key: [ continent/code, country/iso_code ]
zone:
  - domain: $zone
    storage: $folder
    file: zone
    zonefile-sync: -1
    journal-content: none
    module: mod-geoip/sites
END
    cat >"$folder/zone" <<END
$zone. 60 SOA ns1 hostmaster 1 7200 1800 604800 60
$zone. 60 NS ns1
ns1 60 A 192.0.2.1
END
    # The module has no rules for several names, so each name repeats them.
    awk -F '\t' '
        FILENAME ~ /centres/ { a[$1] = "    A: [ " $4 ", " $5 " ]\n    AAAA: [ " $6 ", " $7 " ]" }
        FILENAME ~ /regions/ { rules = rules "  - geo: \"" $1 ";" $2 "\"\n" a[$3] "\n" }
        FILENAME ~ /names/ { printf "%s.:\n%s", $1, rules }
    ' "$world/centres.tsv" "$world/regions.tsv" "$world/names" >"$folder/geo.conf"
}

# knot_start FOLDER: runs the server.
knot_start() { exec knotd -c "$1/knot.conf"; }
