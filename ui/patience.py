"""How long the server waits for somebody who does not take what it sends: a telephone asleep, a cable pulled.

The HTTP server waits for ever: such a connection keeps its memory, and the server from ending when it is told to.
So the kernel gives it up. It is asked to on the sockets that listen; those that they accept have it from there.
"""

import os
import socket

import psutil
from streamlit import config

USUAL_S = 30  # as long as Streamlit waits for the answer to a ping


def seconds() -> int:
    """As long as a ping may go unanswered; server.websocketPingInterval moves both."""
    return int(config.get_option("server.websocketPingInterval") or USUAL_S)


def limit() -> int:
    """Have connections given up whose other side has taken nothing for so long; of how many sockets.

    Those of this process that listen by now. Of none where the system knows no such limit.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    if option is None:
        return 0
    ours = psutil.Process().net_connections("tcp")
    listening = {one.fd for one in ours if one.status == psutil.CONN_LISTEN}
    for number in listening:
        with socket.socket(fileno=os.dup(number)) as found:
            found.setsockopt(socket.IPPROTO_TCP, option, 1000 * seconds())
    return len(listening)
