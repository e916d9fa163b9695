"""proxy.py SEED RATE LISTEN=TARGET... - a layer between Protector and real services that breaks connections.

Of the exchanges (what a client sends until it is answered) a share of RATE is, drawn with SEED: `cut` (the connection
ends before the request arrives), `slow` (the answer comes 4 s late), or `after` (the service gets the request and acts,
the client never sees the answer: the connection ends). Works on bytes, so also under TLS. Prints what it did on SIGTERM.
"""
import asyncio
import collections
import random
import signal
import sys

DRAW = random.Random(int(sys.argv[1]))
RATE = float(sys.argv[2])
DONE = collections.Counter()
HELD = set()


def fate():
    return DRAW.choice(["cut", "slow", "after"]) if DRAW.random() < RATE else "pass"


async def serve(reader, writer, target):
    try:
        up_reader, up_writer = await asyncio.open_connection(*target)
    except OSError:
        writer.close()
        return
    state = {"fate": "pass", "asking": False}

    async def requests():
        while data := await reader.read(65536):
            if not state["asking"]:
                state["asking"], state["fate"] = True, fate()
                DONE[state["fate"]] += 1
                if state["fate"] == "cut":
                    return
            up_writer.write(data)
            await up_writer.drain()
        up_writer.write_eof()
        await answers_done.wait()

    async def answers():
        try:
            while data := await up_reader.read(65536):
                state["asking"] = False
                if state["fate"] == "after":
                    return
                if state["fate"] == "slow":
                    await asyncio.sleep(4)
                    state["fate"] = "pass"
                writer.write(data)
                await writer.drain()
        finally:
            answers_done.set()

    answers_done = asyncio.Event()
    tasks = [asyncio.create_task(requests()), asyncio.create_task(answers())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in (writer, up_writer):
            one.close()


def hold(work):
    """The loop knows its tasks only weakly."""
    task = asyncio.get_running_loop().create_task(work)
    HELD.add(task)
    task.add_done_callback(HELD.discard)


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    for pair in sys.argv[3:]:
        listen, target = (address(x) for x in pair.split("="))
        await asyncio.start_server(lambda r, w, t=target: hold(serve(r, w, t)), *listen)
    print("ready", flush=True)
    await end.wait()
    print(dict(DONE), flush=True)


asyncio.run(main())
