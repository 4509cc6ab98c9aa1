-- One small command per request, to one of BENCH_AGGREGATES aggregates at random. If that is 0, the requests go to one
-- aggregate after the other, from BENCH_FIRST on. If BENCH_KEYS is 1, each command has a key of its own. If
-- BENCH_TOKENS names a file, each request has one of the tokens in it.
local keys = os.getenv("BENCH_KEYS") == "1"
local aggregates = tonumber(os.getenv("BENCH_AGGREGATES"))
local first = tonumber(os.getenv("BENCH_FIRST"))
local body = '{"change":1,"reason":"benchmark"}'
local tokens = {}
for token in io.lines(os.getenv("BENCH_TOKENS") ~= "" and os.getenv("BENCH_TOKENS") or "/dev/null") do
  tokens[#tokens + 1] = "Bearer " .. token
end
function request()
  local headers = { ["Content-Type"] = "application/json" }
  if keys then
    headers["Idempotency-Key"] = run .. "-" .. sent
  end
  if #tokens > 0 then
    headers["Authorization"] = tokens[math.random(1, #tokens)]
  end
  local aggregate = aggregates > 0 and math.random(1, aggregates) or first + sent
  sent = sent + 1
  return wrk.format("POST", "/v1/inventory/sku-" .. aggregate .. "/update-inventory", headers, body)
end
