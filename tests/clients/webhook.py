"""Receives an event by a webhook, and checks its signature with the library of Standard Webhooks."""

import json
import os
import queue
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

received = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.put((body, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def post(path, document):
    request = urllib.request.Request(
        os.environ["DORMOUSE_URL"] + path,
        data=json.dumps(document).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


receiver = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
added = post("/admin/webhooks", {"url": f"http://127.0.0.1:{receiver.server_port}/", "filter": {"types": ["inventory"]}})
post("/v1/inventory/from-webhook/update-inventory", {"change": 1, "reason": "delivery"})

subject = None
# Events of other clients of the server may come first.
while subject != "inventory/from-webhook":
    body, headers = received.get(timeout=30)
    event = Webhook(added["secret"]).verify(body, headers)
    assert event["id"] == headers["webhook-id"], headers
    subject = event["subject"]
for secret, content in [("whsec_" + "A" * 32, body), (added["secret"], body + b" ")]:
    try:
        Webhook(secret).verify(content, headers)
    except WebhookVerificationError:
        continue
    raise AssertionError("a wrong signature was accepted")
