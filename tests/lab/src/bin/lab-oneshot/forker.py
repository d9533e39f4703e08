"""Forks a program that is gone at once for each line of input: DEED ADDRESS PORT.

Prints `shot PID PORT OUTCOME`, and `parent-gone` when the process between has ended.
"""
import os
import select
import socket
import sys

PAYLOAD = b"gone at once"
CONNECTS_S = 20


def perform(deed, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if deed in ("connect", "connect-and-go"):
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        begun = made.connect_ex((address, port))
        source = made.getsockname()[1]
        if begun not in (0, 115):  # EINPROGRESS
            return source, os.strerror(begun)
        if deed == "connect":
            watched = select.poll()
            watched.register(made, select.POLLOUT)
            if not watched.poll(CONNECTS_S * 1000):
                return source, "timed out"
            error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return source, os.strerror(error)
        return source, "ok"
    made = socket.socket(family, socket.SOCK_DGRAM)
    if deed == "connect-and-send":
        made.connect((address, port))
        made.send(PAYLOAD)
    else:
        made.sendto(PAYLOAD, (address, port))
    return made.getsockname()[1], "ok"


def shoot(deed, address, port):
    try:
        source, outcome = perform(deed, address, int(port))
    except OSError as error:
        source, outcome = 0, str(error)
    os.write(1, f"shot {os.getpid()} {source} {outcome}\n".encode())


for line in sys.stdin:
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            shoot(*line.split())
        os._exit(0)
    os.waitpid(between, 0)
    os.write(1, b"parent-gone\n")
