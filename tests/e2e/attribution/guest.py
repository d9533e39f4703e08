"""A virtual machine, as far as its host can tell: frames on a tap.

guest.py TAP GATEWAY OWN TO PORT: makes itself known to the gateway, as any
neighbour does (ARP, RFC 826; neighbour solicitation, RFC 4861), and sends a datagram to
TO from port 5000 every half second until its input ends.
"""

import fcntl
import ipaddress
import os
import select
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
MAC = bytes.fromhex("025a5a5a5a5a")
BROADCAST = b"\xff" * 6
SOURCE_PORT = 5000
UDP, ICMPV6 = 17, 58


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def over_v6(kind, source, destination, payload, checksum_at):
    pseudo = source + destination + struct.pack("!II", len(payload), kind)
    value = struct.pack("!H", checksum(pseudo + payload))
    payload = payload[:checksum_at] + value + payload[checksum_at + 2 :]
    return struct.pack("!IHBB", 6 << 28, len(payload), kind, 255) + source + destination + payload


def over_v4(kind, source, destination, payload):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, kind, 0)
    value = checksum(head + source + destination)
    return head[:10] + struct.pack("!H", value) + source + destination + payload


def question(own, gateway):
    if len(own) == 4:
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + MAC + own + b"\0" * 6 + gateway
        return BROADCAST + MAC + b"\x08\x06" + body
    group = bytes.fromhex("ff0200000000000000000001ff") + gateway[-3:]
    body = struct.pack("!BBHI", 135, 0, 0, 0) + gateway + b"\x01\x01" + MAC
    packet = over_v6(ICMPV6, own, group, body, 2)
    return b"\x33\x33" + group[-4:] + MAC + b"\x86\xdd" + packet


def is_answer(frame, own):
    if len(own) == 4:
        return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and frame[38:42] == own
    return frame[12:14] == b"\x86\xdd" and frame[54:55] == b"\x88" and frame[38:54] == own


def datagram(gateway_mac, own, to, port):
    payload = struct.pack("!HHHH", SOURCE_PORT, port, 12, 0) + b"here"
    if len(own) == 4:
        return gateway_mac + MAC + b"\x08\x00" + over_v4(UDP, own, to, payload)
    return gateway_mac + MAC + b"\x86\xdd" + over_v6(UDP, own, to, payload, 6)


def main(tap, gateway, own, to, port):
    gateway, own, to = (ipaddress.ip_address(text).packed for text in (gateway, own, to))
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", tap.encode(), IFF_TAP | IFF_NO_PI))
    gateway_mac = None
    while True:
        frame = datagram(gateway_mac, own, to, int(port)) if gateway_mac else question(own, gateway)
        os.write(device, frame)
        readable, _, _ = select.select([device, sys.stdin], [], [], 0.5)
        if sys.stdin in readable:
            return
        while device in readable:
            frame = os.read(device, 65536)
            if is_answer(frame, own):
                gateway_mac = frame[6:12]
            readable, _, _ = select.select([device], [], [], 0)


main(*sys.argv[1:])
