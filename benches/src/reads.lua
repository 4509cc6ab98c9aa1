-- Each request reads one of BENCH_AGGREGATES documents at random.
local documents = tonumber(os.getenv("BENCH_AGGREGATES"))

function init(_)
  math.randomseed(os.time() * 1000)
end

function request()
  return wrk.format("GET", "/v1/views/inventory/sku-" .. math.random(1, documents))
end
