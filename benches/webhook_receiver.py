"""A receiver of webhooks in a process of its own, which counts the events that come.

`python -m benches.webhook_receiver EVENTS` prints its port, and `done` after so many events.
"""

import asyncio
import sys

from aiohttp import web


async def main() -> None:
    """Receive until all events are there."""
    wanted, done, count = int(sys.argv[1]), asyncio.Event(), 0

    async def receive(request: web.Request) -> web.Response:
        nonlocal count
        count += (await request.read()).count(b'"event_id":')
        if count >= wanted:
            done.set()
        return web.Response()

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await done.wait()
    await asyncio.sleep(0.1)  # the last answer
    sys.stdout.write(f"done {count}\n")
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
