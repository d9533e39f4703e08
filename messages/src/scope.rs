//! How far away an address is, as rules and force-blocks see it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The reach of an address. Everything but `Invalid` belongs to one of the
/// three scopes that rules can name: localhost, LAN and Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Not an address anyone may talk to (documentation ranges, reserved ranges).
    Invalid,
    /// This machine.
    HostLocal,
    /// This link: 169.254/16, fe80::/10.
    LinkLocal,
    /// A private network: RFC 1918, RFC 6598, RFC 4193.
    SiteLocal,
    /// The Internet.
    Global,
    /// Multicast and broadcast that stay near.
    LocalMulticast,
    /// Multicast that may go far.
    GlobalMulticast,
}

impl Scope {
    /// The scope of an address. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    /// Whether rules count it as LAN.
    pub fn is_lan(self) -> bool {
        matches!(self, Self::LinkLocal | Self::SiteLocal | Self::LocalMulticast)
    }

    /// Whether rules count it as Internet.
    pub fn is_internet(self) -> bool {
        matches!(self, Self::Global | Self::GlobalMulticast)
    }

    /// Whether rules count it as localhost.
    pub fn is_localhost(self) -> bool {
        self == Self::HostLocal
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [0, 0, 0, 0] | [255, 255, 255, 255] => Self::LocalMulticast,
            [0, ..] => Self::Invalid,
            [10, ..] | [192, 168, ..] => Self::SiteLocal,
            [100, b, ..] if b & 0xc0 == 64 => Self::SiteLocal,
            [172, b, ..] if b & 0xf0 == 16 => Self::SiteLocal,
            [127, ..] => Self::HostLocal,
            [169, 254, ..] => Self::LinkLocal,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [233, 252, 0, _] => {
                Self::Invalid
            }
            [224 | 239, ..] => Self::LocalMulticast,
            [225..=238, ..] => Self::GlobalMulticast,
            [240..=255, ..] => Self::Invalid,
            _ => Self::Global,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [first, ..] = address.segments();
        if address.is_unspecified() {
            Self::Invalid
        } else if address.is_loopback() {
            Self::HostLocal
        } else if first & 0xfe00 == 0xfc00 {
            Self::SiteLocal
        } else if first & 0xffc0 == 0xfe80 {
            Self::LinkLocal
        } else if first & 0xff00 == 0xff00 {
            match first & 0x000f {
                0..=5 => Self::LocalMulticast,
                _ => Self::GlobalMulticast,
            }
        } else {
            Self::Global
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fall_into_their_scopes() {
        let cases = [
            ("0.0.0.0", Scope::LocalMulticast),
            ("0.1.2.3", Scope::Invalid),
            ("10.0.0.5", Scope::SiteLocal),
            ("100.64.0.1", Scope::SiteLocal),
            ("100.128.0.1", Scope::Global),
            ("127.0.0.53", Scope::HostLocal),
            ("169.254.1.1", Scope::LinkLocal),
            ("172.16.0.1", Scope::SiteLocal),
            ("172.32.0.1", Scope::Global),
            ("192.0.2.1", Scope::Invalid),
            ("192.168.1.1", Scope::SiteLocal),
            ("224.0.0.251", Scope::LocalMulticast),
            ("230.1.1.1", Scope::GlobalMulticast),
            ("240.0.0.1", Scope::Invalid),
            ("255.255.255.255", Scope::LocalMulticast),
            ("8.8.8.8", Scope::Global),
            ("::", Scope::Invalid),
            ("::1", Scope::HostLocal),
            ("::ffff:127.0.0.1", Scope::HostLocal),
            ("fd00::1", Scope::SiteLocal),
            ("fe80::1", Scope::LinkLocal),
            ("ff02::fb", Scope::LocalMulticast),
            ("ff0e::1", Scope::GlobalMulticast),
            ("2606:4700::1", Scope::Global),
        ];
        for (text, expected) in cases {
            assert_eq!(Scope::of(text.parse().expect("an address")), expected, "{text}");
        }
    }
}
