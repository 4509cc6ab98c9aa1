-- What wrk sends: a read of one of BENCH_AGGREGATES documents at random.
local documents = tonumber(os.getenv("BENCH_AGGREGATES"))

function init(_)
  math.randomseed(os.time() * 1000)
end

function request()
  return wrk.format("GET", "/v1/views/inventory/sku-" .. math.random(1, documents))
end

function done(summary, latency, _)
  io.write(string.format(
    "RESULT %d %d %d %d %d\n", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(99)))
end
