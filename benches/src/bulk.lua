-- Requests of 64 small commands each, to BENCH_AGGREGATES aggregates at random. The bodies are made beforehand, so that they
-- cost the client nothing during the measurement.
local LINES, BODIES = 64, 200
local aggregates = tonumber(os.getenv("BENCH_AGGREGATES"))
local headers = { ["Content-Type"] = "application/x-ndjson" }
local line = '{"type":"inventory","id":"sku-%d","command":"update-inventory","body":{"change":1,"reason":"benchmark"}}'

function init(_)
  math.randomseed(os.time())
  requests, sent = {}, 0
  for request = 1, BODIES do
    local lines = {}
    for number = 1, LINES do
      lines[number] = string.format(line, math.random(1, aggregates))
    end
    requests[request] = wrk.format("POST", "/v1/commands", headers, table.concat(lines, "\n"))
  end
end

function request()
  sent = sent + 1
  return requests[sent % BODIES + 1]
end
