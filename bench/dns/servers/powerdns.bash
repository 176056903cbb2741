# PowerDNS with the geoip backend: names are expanded by country, else by continent. Packet and query caches have their defaults.

# shellcheck disable=SC2034,SC2154 # compare.bash uses the answers and sets the zone
powerdns_answers=country

powerdns_available() {
    { have pdns_server && compgen -G '/usr/lib/*/pdns/libgeoipbackend.so' >/dev/null; } ||
        install pdns-server pdns-backend-geoip
}

# powerdns_configure WORLD FOLDER PORT
powerdns_configure() {
    local world=$1 folder=$2 port=$3
    mkdir -p "$folder/run"
    cat >"$folder/pdns.conf" <<END
daemon=no
guardian=no
launch=geoip
geoip-database-files=mmdb:$world/world.mmdb
geoip-zones-file=$folder/zones.yaml
edns-subnet-processing=yes
local-address=127.0.0.1
local-port=$port
socket-dir=$folder/run
receiver-threads=1
distributor-threads=1
signing-threads=1
reuseport=no
loglevel=3
security-poll-suffix=
version-string=anonymous
END
    awk -F '\t' -v zone="$zone" '
        function records(name, centre) {
            printf "    %s.%s:\n%s", name, zone, addresses[centre]
        }
        FILENAME ~ /centres/ {
            addresses[$1] = "      - a: " $4 "\n      - a: " $5 "\n      - aaaa: " $6 "\n      - aaaa: " $7 "\n"
            next
        }
        FNR == 1 && FILENAME ~ /regions/ {
            print "domains:\n- domain: " zone "\n  ttl: 60\n  records:\n    " zone ":"
            print "      - soa: ns1." zone " hostmaster." zone " 1 7200 1800 604800 60\n      - ns: ns1." zone
        }
        FILENAME ~ /regions/ && $2 != "*" { records(tolower($2) ".country", $3) }
        FILENAME ~ /regions/ && $2 == "*" && $1 != "*" { records(tolower($1) ".continent", $3) }
        FILENAME ~ /regions/ && $1 == "*" { records("any", $3) }
        FNR == 1 && FILENAME ~ /names/ { print "  services:" }
        FILENAME ~ /names/ {
            printf "    %s: [ \"%%cc.country.%s\", \"%%cn.continent.%s\", \"any.%s\" ]\n", $1, zone, zone, zone
        }
    ' "$world/centres.tsv" "$world/regions.tsv" "$world/names" >"$folder/zones.yaml"
}

# powerdns_start FOLDER: runs the server.
powerdns_start() { exec pdns_server --config-dir="$1"; }
