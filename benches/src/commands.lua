-- One small command per request, to one of BENCH_AGGREGATES aggregates at random. If that is 0, the requests go to one
-- aggregate after the other, from BENCH_FIRST on. If BENCH_KEYS is 1, each command has a key of its own.
local keys = os.getenv("BENCH_KEYS") == "1"
local aggregates = tonumber(os.getenv("BENCH_AGGREGATES"))
local first = tonumber(os.getenv("BENCH_FIRST"))
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
    headers["Idempotency-Key"] = run .. "-" .. sent
  end
  local aggregate = aggregates > 0 and math.random(1, aggregates) or first + sent
  sent = sent + 1
  return wrk.format("POST", "/v1/inventory/sku-" .. aggregate .. "/update-inventory", headers, body)
end
