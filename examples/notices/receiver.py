# Receives dirmfa's signed notices and believes only those that are signed, fresh and new. Python 3.9, standard library alone.
# Usage: WEBHOOK_KEY_FILE=key python3 receiver.py PORT. Prints one line for each notice.
# Put a proxy with TLS before it; dirmfa posts to https alone, but for this machine.

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

with open(os.environ["WEBHOOK_KEY_FILE"], encoding="ascii") as file:
    KEY = base64.b64decode(file.read().strip().removeprefix("whsec_"), validate=True)

TOLERANCE_SECONDS = 300  # clocks differ, and a request that was recorded long ago is not taken
LONGEST = 65536
seen = {}  # ids that came in that time: a notice comes at least once


def is_genuine(headers, body):
    notice_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{notice_id}.{timestamp}.".encode() + body
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    # Several signatures may be there while a key is changed.
    given = [one.partition(",")[2] for one in headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
    return any(hmac.compare_digest(one.encode(), wanted.encode()) for one in given)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(min(length, LONGEST))
        if not is_genuine(self.headers, body):
            return self.answer(401)
        now, notice_id = time.time(), self.headers["webhook-id"]
        for old in [key for key, at in seen.items() if now - at > 2 * TOLERANCE_SECONDS]:
            del seen[old]
        if notice_id not in seen:
            notice = json.loads(body)
            print(json.dumps([notice["type"], notice["data"]]), flush=True)
        seen[notice_id] = now
        return self.answer(204)

    def do_HEAD(self):
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(json.dumps(["listening", server.server_port]), flush=True)
    server.serve_forever()
