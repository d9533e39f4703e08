"""One end of a tunnel without keys: packets of a TUN device in datagrams that carry a mark,
so that the rules of routing keep them out of the tunnel themselves.

Arguments: name of the device, own address, the other end's address, port, mark."""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001

name, own, other, port, mark = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5], 0)
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
datagrams.bind((own, port))
print("ready", flush=True)
while True:
    for ready in select.select([device, datagrams], [], [])[0]:
        try:
            if ready is device:
                datagrams.sendto(os.read(device, 65536), (other, port))
            else:
                os.write(device, datagrams.recv(65536))
        except OSError:
            pass  # As a packet that is lost: the device is down, or a rule refused it.
