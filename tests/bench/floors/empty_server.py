"""A FastAGI server that does nothing: the least that asyncio costs. `empty_server.py PORT`"""

import asyncio
import sys

ANSWER = b'SET VARIABLE ARRAY(COOVOX_VERDICT,COOVOX_REASON,COOVOX_LIMIT,COOVOX_SETTLED) "pass,,14400,1"\n'


class Session(asyncio.Protocol):
    """Answers the first complete request, closes at the reply."""

    def __init__(self) -> None:
        self.heard = b""
        self.answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.answered:
            self.transport.close()
            return
        self.heard += data
        if b"\n\n" in self.heard:
            self.answered = True
            self.transport.write(ANSWER)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


asyncio.run(serve(int(sys.argv[1])))
