// Places, confirms and lists an order with the client that openapi-typescript makes of the server's description.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { env: Record<string, string | undefined> };

const server = createClient<paths>({ baseUrl: process.env.DORMOUSE_URL });
const id = "from-typescript";

function expect<T>(what: string, actual: T, expected: T): void {
  if (actual !== expected) throw new Error(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
}

// A command that is not carried out at once is answered without its outcome (`Prefer: respond-async`).
function outcome<T extends object>(answer: T | undefined): Extract<T, { reply: unknown }> | undefined {
  return answer && "reply" in answer ? (answer as Extract<T, { reply: unknown }>) : undefined;
}

const delivered = await server.POST("/v1/inventory/{id}/update-inventory", {
  params: { path: { id: "tea" } },
  body: { change: 2, reason: "delivery" },
});
expect("the status of a delivery", delivered.response.status, 200);

const placed = await server.POST("/v1/order/{id}/create-order", {
  params: { path: { id }, header: { "Idempotency-Key": "typescript-1" } },
  body: { customer: "Ada", email: "ada@example.org", lines: [{ sku: "tea", quantity: 2, unit_price_cents: 450 }] },
});
expect("the status of a new order", outcome(placed.data)?.reply.status, "open");
const confirmed = await server.POST("/v1/order/{id}/confirm-order", { params: { path: { id } }, body: {} });
expect("the status of a confirmed order", outcome(confirmed.data)?.reply.status, "confirmed");

const state = await server.GET("/v1/order/{id}", { params: { path: { id } } });
expect("the total of the state", state.data?.state.total_cents, 900);
const history = await server.GET("/v1/order/{id}/events", { params: { path: { id } } });
// The same address streams, as text, if asked for that.
const page = typeof history.data === "string" ? undefined : history.data;
expect("the key in the metadata", page?.events[0]?.metadata.command?.key, "typescript-1");

const position = confirmed.response.headers.get("Dormouse-Position") ?? "";
const listed = await server.GET("/v1/views/orders", {
  params: { query: { "filter[status]": "confirmed", limit: 10 }, header: { "Dormouse-Min-Position": position } },
});
expect("the customer in the list", listed.data?.items.find((item) => item.key === id)?.document.customer, "Ada");

const refused = await server.POST("/v1/order/{id}/confirm-order", { params: { path: { id } }, body: {} });
expect("the type of a refusal", refused.error?.type, "urn:dormouse:problem:rejected");
