-- Creates one order per request, with an e-mail address in it. If `persons` is above 0, each order is that of one of so
-- many persons at random; else each order is that of a new person.
local body = '{"customer":"a customer","email":"someone@example.org",'
  .. '"lines":[{"sku":"tea","quantity":1,"unit_price_cents":350}]}'

function request()
  local headers = { ["Content-Type"] = "application/json" }
  if persons > 0 then
    headers["Dormouse-Subject"] = "person-" .. math.random(1, persons)
  end
  sent = sent + 1
  return wrk.format("POST", "/v1/order/" .. run .. "-" .. sent .. "/create-order", headers, body)
end
