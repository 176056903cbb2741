-- For wrk: requests the paths that a file lists, in random order, the same one for each run. Without a file, the URL. Prints its counts.
function init(args)
    if not args[1] then return end
    local requests = {}
    for path in io.lines(args[1]) do requests[#requests + 1] = wrk.format(nil, path) end
    function request() return requests[math.random(#requests)] end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('{"requests": %d, "bytes": %d, "seconds": %f, "p99_ms": %f, "errors": %d, "status_errors": %d}\n',
        summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
