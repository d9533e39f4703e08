//! Which of this machine's addresses a packet would leave from. Only the
//! kernel's routes are looked at: nothing is sent.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Any port will do: no packet ever goes there.
const DISCARD_PORT: u16 = 9;

/// The address that packets to `remote` leave from, in this network namespace.
/// An error where no route leads there.
pub fn source_of(remote: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // Of a datagram socket it only looks the route up: connect(2).
    socket.connect(SocketAddr::new(remote, DISCARD_PORT))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_itself() {
        for address in ["127.0.0.1", "127.1.2.3"] {
            let remote: IpAddr = address.parse().expect("an address");
            let source = source_of(remote).expect("loopback is up");
            assert!(source.is_loopback(), "{source}");
        }
    }

    #[test]
    fn a_link_local_address_without_its_link_leads_nowhere() {
        let remote: IpAddr = "fe80::1".parse().expect("an address");
        assert!(source_of(remote).is_err());
    }
}
