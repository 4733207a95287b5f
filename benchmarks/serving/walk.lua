-- wrk walks through prepared requests, each a line with its length and then its bytes; at the end it prints JSON.
local requests, at = {}, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local size = file:read("*n")
   while size do
      file:read(1)
      requests[#requests + 1] = file:read(size)
      size = file:read("*n")
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "max_ms": %.4f, "not_2xx": %d, "broken": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      latency.max / 1e3, e.status, e.connect + e.read + e.write + e.timeout))
end
