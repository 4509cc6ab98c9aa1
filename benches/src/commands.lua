-- What wrk sends: one small command to one of 5,000 aggregates at random, with a key of its own when asked to.
local keys = os.getenv("BENCH_KEYS") == "1"
local body = '{"change":1,"reason":"benchmark"}'
local thread_number = 0

function setup(thread)
  thread_number = thread_number + 1
  thread:set("number", thread_number)
end

function init(_)
  math.randomseed(os.time() * 1000 + number)
  sent = 0
  run = string.format("%d-%d-%d", os.time(), math.random(1, 1000000000), number)
end

function request()
  local headers = { ["Content-Type"] = "application/json" }
  if keys then
    sent = sent + 1
    headers["Idempotency-Key"] = run .. "-" .. sent
  end
  return wrk.format("POST", "/v1/inventory/sku-" .. math.random(1, 5000) .. "/update-inventory", headers, body)
end

function done(summary, latency, _)
  io.write(string.format(
    "RESULT %d %d %d %d %d\n", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(99)))
end
