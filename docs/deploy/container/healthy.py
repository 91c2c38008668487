"""The container's health check: each /healthz must answer 200.

$HEALTH_PORTS names the ports of `[metrics]` on this machine, separated by spaces. It is run by
`python -I -S` every 30 seconds, so it imports little.
"""

import os
from http.client import HTTPConnection

for port in os.environ.get("HEALTH_PORTS", "9464").split():
    connection = HTTPConnection("127.0.0.1", int(port), timeout=4)
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"port {port}: {answer.status} {answer.read().decode()}")
