# gdnsd with plugin_geoip in city-auto-mode, which uses distances. The plugin chooses data centres, not addresses: both addresses of an
# answer are of the same one.

# shellcheck disable=SC2034,SC2154 # compare.bash uses the answers and sets the zone
gdnsd_answers=nearest

gdnsd_available() { have gdnsd || install gdnsd; }

# gdnsd_configure WORLD FOLDER PORT
gdnsd_configure() {
    local world=$1 folder=$2 port=$3
    mkdir -p "$folder/zones" "$folder/run" "$folder/state"
    cat >"$folder/config" <<END
options => {
    listen => 127.0.0.1:$port
    udp_threads => 1
    tcp_threads => 1
    run_dir => $folder/run
    state_dir => $folder/state
    zones_default_ttl => 60
}
plugins => { geoip => {
    maps => { world => {
        geoip2_db => $world/world.mmdb
        datacenters => [$(cut -f 1 "$world/centres.tsv" | paste -sd ,)]
        auto_dc_coords => {
$(awk -F '\t' '{ print "            " $1 " => [" $2 ", " $3 "]" }' "$world/centres.tsv")
        }
    } }
    resources => { site => {
        map => world
        service_types => up
        dcmap => {
$(awk -F '\t' '{
    print "            " $1 " => { addrs_v4 => [" $4 ", " $5 "], addrs_v6 => [" $6 ", " $7 "] }"
}' "$world/centres.tsv")
        }
    } }
} }
END
    {
        echo '@ SOA ns1 hostmaster 1 7200 1800 604800 60'
        echo '@ NS ns1'
        echo 'ns1 A 192.0.2.1'
        awk -F . '{ print $1 " 60 DYNA geoip!site" }' "$world/names"
    } >"$folder/zones/$zone"
}

# gdnsd_start FOLDER: runs the server.
gdnsd_start() { exec gdnsd -c "$1" start; }
