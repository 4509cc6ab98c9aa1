"""Places, confirms and lists an order with the client that openapi-python-client makes of the server's description."""

import os

from api import Client, models
from api.api.inventory import inventory_update_inventory
from api.api.order import order_confirm_order, order_create_order, order_events, order_state
from api.api.views import views_orders_list

server = Client(base_url=os.environ["DORMOUSE_URL"])
ID = "from-python"

delivered = inventory_update_inventory.sync_detailed(
    "tea", client=server, body=models.InventoryUpdateInventoryBody(change=2, reason="delivery")
)
assert delivered.status_code == 200, delivered

placed = order_create_order.sync_detailed(
    ID,
    client=server,
    idempotency_key="python-1",
    body=models.OrderCreateOrderBody(
        customer="Grace",
        email="grace@example.org",
        lines=[models.NewLine(sku="tea", quantity=2, unit_price_cents=450)],
    ),
)
assert placed.status_code == 200, placed
assert placed.parsed.reply.status == models.OrderStatus.OPEN, placed.parsed

confirmed = order_confirm_order.sync_detailed(ID, client=server, body=models.OrderConfirmOrderBody())
assert confirmed.parsed.reply.status == models.OrderStatus.CONFIRMED, confirmed

state = order_state.sync(ID, client=server)
assert state.state.total_cents == 900, state
history = order_events.sync(ID, client=server)
assert history.events[0].metadata.command.key == "python-1", history

listed = views_orders_list.sync(
    client=server,
    filterstatus="confirmed",
    limit=10,
    dormouse_min_position=confirmed.headers["Dormouse-Position"],
)
assert [item.document.customer for item in listed.items if item.key == ID] == ["Grace"], listed

refused = order_confirm_order.sync(ID, client=server, body=models.OrderConfirmOrderBody())
assert isinstance(refused, models.DormouseProblem), refused
assert refused.type_ == models.DormouseProblemType.URNDORMOUSEPROBLEMREJECTED, refused
