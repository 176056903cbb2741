# Name servers side by side: the same names, places and database; one core each in turn; medians of several rounds.
#
# A server is a file in servers/ that defines, for the name NAME:
#
#   NAME_answers                        nearest: it knows distances; country: it sends each country to one data centre;
#                                       alike: it sends everybody to the first, and knows of no client subnet
#   NAME_found                          succeeds if the program is there, after installing it if it may
#   NAME_configure WORLD FOLDER PORT    writes its configuration. WORLD holds world.mmdb and what world.py wrote
#   NAME_start FOLDER                   becomes the server (exec), in the foreground, as one process with one thread that answers

# shellcheck disable=SC2034,SC2154 # bench/run sets the options; servers/ read the zone
zone=bench.example
declare -A pids ports

compare() {
    local server world=$work/world running=()
    need
    mkdir "$world"
    say "making the world of seed $seed"
    # gdnsd reads coordinates only where the type says City.
    cargo run --locked --quiet -p verge-mmdb -- --seed "$seed" --database-type Bench-City --at 127.0.0.0/8=Tokyo \
        --out "$world/world.mmdb" --list "$world/networks.tsv" || die 3 "no database"
    python3 "$bench/dns/world.py" "$world/networks.tsv" "$world" "$seed" || die 3 "no queries"
    for server in $servers; do
        [ -f "$bench/dns/servers/$server.bash" ] || die 2 "there is no server $server"
        # shellcheck source=/dev/null
        . "$bench/dns/servers/$server.bash"
        if "${server}_found"; then
            start "$server" "$world"
            running+=("$server")
        else
            say "$server: skipped"
        fi
    done
    [ ${#running[@]} != 0 ] || die 3 "no server is there to be measured"
    measure_all "$world" "${running[@]}"
    python3 "$bench/dns/table.py" "$work/results.tsv" "$work/memory.tsv"
    [ "$keep" = no ] || say "kept in $work"
}

need() {
    local command core
    have python3 || install python3
    have dnsperf || install dnsperf
    for command in cargo python3 dnsperf taskset; do have $command || die 3 "$command is missing"; done
    for core in "$server_core" "$client_core"; do taskset -c "$core" true 2>/dev/null || die 3 "there is no core $core"; done
    [ "$server_core" != "$client_core" ] || die 2 "servers and client need a core each"
}

# start SERVER WORLD: configured, running, answering, and right.
start() {
    local server=$1 world=$2 folder=$work/$1 port answers=$1_answers
    mkdir "$folder"
    port=$(python3 "$bench/dns/free_port.py")
    "${server}_configure" "$world" "$folder" "$port" || die 1 "$server: no configuration"
    (
        taskset -cp "$server_core" "$BASHPID"
        "${server}_start" "$folder"
    ) >"$folder/log" 2>&1 &
    ports[$server]=$port pids[$server]=$!
    processes+=("${pids[$server]}")
    python3 "$bench/dns/check.py" "$world" "$port" ready "${pids[$server]}" || {
        tail -n 20 "$folder/log" >&2
        die 1 "$server does not answer"
    }
    printf '%s: ' "$server" >&2
    python3 "$bench/dns/check.py" "$world" "$port" "${!answers}" >&2 || die 1 "$server answers wrongly"
}

# measure_all WORLD SERVER…
measure_all() {
    local world=$1 round workload server
    local -A rest
    shift
    for server; do rest[$server]=$(resident "$server"); done
    for workload in $workloads; do
        [ -f "$world/$workload.queries" ] || die 2 "there is no workload $workload"
        for server; do measure "$server" "$world/$workload.queries" 1 >/dev/null; done
    done
    for ((round = 1; round <= rounds; round++)); do
        say "round $round of $rounds"
        for workload in $workloads; do
            for server; do
                wait_for_quiet
                printf '%s\t%s\t' "$workload" "$server"
                measure "$server" "$world/$workload.queries" "$seconds" || die 1 "$server fails under $workload"
            done
        done
    done >"$work/results.tsv"
    for server; do
        printf '%s\t%s\t%s\n' "$server" "${rest[$server]}" "$(resident "$server")"
    done >"$work/memory.tsv"
}

# measure SERVER QUERIES SECONDS: prints queries answered, the seconds it took, the seconds of CPU time of the server and of the
# client, and those that neither used of the time that their two cores were busy, between tabs.
measure() {
    local server=$1 queries=$2 time=$3 served busy used log=$work/dnsperf.log TIMEFORMAT='%U %S'
    served=$(cpu_ticks "$server") busy=$(busy_ticks)
    { time taskset -c "$client_core" dnsperf -s 127.0.0.1 -p "${ports[$server]}" -B -d "$queries" -c 4 -T 1 -q 100 -l "$time" \
        >"$log" 2>&1; } 2>"$work/time" || { cat "$log" >&2; return 1; }
    served=$(($(cpu_ticks "$server") - served)) busy=$(($(busy_ticks) - busy))
    read -r used <"$work/time"
    awk -v served=$served -v busy=$busy -v used="$used" -v hertz="$(getconf CLK_TCK)" '
        /Queries sent:/ { sent = $3 }
        /Queries completed:/ { completed = $3 }
        /NOERROR/ { for (field = 1; field < NF; field++) if ($field == "NOERROR") right = $(field + 1) }
        /Run time/ { time = $4 }
        END {
            split(used, client, " ")
            client_time = client[1] + client[2]
            others = busy / hertz - served / hertz - client_time
            printf "%d\t%.6f\t%.2f\t%.2f\t%.2f\n", completed, time, served / hertz, client_time, others
            exit !(completed > 0 && completed == right && completed >= 0.999 * sent)
        }' "$log" || { cat "$log" >&2; return 1; }
}

# User and system time of a server, all threads, in ticks. What comes before the last parenthesis is its name.
cpu_ticks() {
    local fields
    fields=$(<"/proc/${pids[$1]}/stat")
    read -ra fields <<<"${fields##*) }"
    echo $((fields[11] + fields[12]))
}

# Until both cores have been all but idle for half a second, or patience ends.
wait_for_quiet() {
    local end=$((SECONDS + patience)) before
    while [ $SECONDS -lt $end ]; do
        before=$(busy_ticks)
        sleep 0.5
        [ $((($(busy_ticks) - before) * 10)) -gt "$(getconf CLK_TCK)" ] || return 0
    done
}

# Time that the two cores were not idle, or not ours to use, in ticks.
busy_ticks() {
    awk -v server="cpu$server_core" -v client="cpu$client_core" '
        $1 == server || $1 == client { busy += $2 + $3 + $4 + $7 + $8 + $9 }
        END { print busy }' /proc/stat
}

# Memory of a server, in KiB.
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/${pids[$1]}/status"; }
