//! Where the machine is: its interfaces and gateways, as `network` publishes
//! them, and the networks that the policy names by what they look like.

mod ssid;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::policy::AppFilter;
use crate::setting::Origin;

pub use self::ssid::{MAX_SSID_BYTES, NoSsid, Ssid};

/// Interfaces that are told of. Container hosts have hundreds; their gateways are few.
pub const MAX_INTERFACES: usize = 1_024;
/// Addresses of one interface that are told of.
pub const MAX_ADDRESSES: usize = 64;
/// Default routes that are told of.
pub const MAX_GATEWAYS: usize = 64;
/// Longest name of a network, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Whether a network may be called that: rules name it in one word.
pub fn is_network_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(is_letter)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Longest name of an interface, in bytes (IFNAMSIZ, less the zero at its end).
const MAX_INTERFACE_BYTES: usize = 15;

/// Loopback is the first interface of every network namespace.
pub const LOOPBACK: (u32, &str) = (1, "lo");

/// Whether an interface may be called that; a `*` stands for any text.
pub fn is_interface_pattern(text: &str) -> bool {
    (1..=MAX_INTERFACE_BYTES).contains(&text.len())
        && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        && !text.contains(['/', ':'])
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// Why a text is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMac;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name: `eth0`.
    pub name: Arc<str>,
    /// Whether it is switched on and has a link.
    pub up: bool,
    /// Its own addresses, each with the size of its network.
    pub addresses: Vec<IpNet>,
    /// The name of the wireless network that it is connected to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ssid: Option<Ssid>,
}

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The number of the interface that leads there.
    pub interface: u32,
    /// The next host; `None` where the interface itself is the way, as in tunnels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<IpAddr>,
    /// Its Ethernet address, once the machine has talked to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac: Option<Mac>,
    /// Whether it is of IPv6.
    pub ipv6: bool,
    /// The smaller it is, the rather the route is taken.
    pub metric: u32,
}

/// Where the machine is. Published as a whole; loopback is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// By number.
    pub interfaces: Vec<Interface>,
    /// The default routes of the main table, those that are taken first ahead, IPv4 before IPv6.
    pub gateways: Vec<Gateway>,
}

/// What a network looks like: the words of `match`. All that is said has to be
/// so of one interface that is up; nothing said fits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkMatch {
    /// The address of a gateway there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gateway: Option<IpAddr>,
    /// The Ethernet address of that gateway.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gateway_mac: Option<Mac>,
    /// A network that an own address is in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subnet: Option<IpNet>,
    /// The interface's name; a `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interface: Option<Arc<str>>,
    /// The name of the wireless network that the interface is connected to, letter by letter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ssid: Option<Ssid>,
}

/// `[[network]]`: a network that has a name, and what holds there in place of `[filter]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedNetwork {
    /// Its name, as rules call it.
    pub name: Arc<str>,
    /// What it looks like.
    pub looks: NetworkMatch,
    /// What is otherwise there than in `[filter]`. It has no rules of its own.
    pub filter: AppFilter,
    /// Whether the machine is in it.
    pub is_here: bool,
}

/// A named network as shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkShown {
    /// Its name.
    pub name: Arc<str>,
    /// What it looks like.
    #[serde(rename = "match")]
    pub looks: NetworkMatch,
    /// Whether the machine is in it.
    pub is_here: bool,
    /// Whether its settings hold: it is the first that the machine is in.
    pub counts: bool,
    /// Which layer names it: the policy file, or the store.
    pub origin: Origin,
}

/// Where the machine is, for people: `GET /v1/network`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAnswer {
    /// What `network` saw.
    #[serde(flatten)]
    pub surroundings: Surroundings,
    /// The networks that the policy names, in its order.
    pub networks: Vec<NetworkShown>,
}

/// What `network` is told.
#[derive(Debug)]
pub enum Message {
    /// From its own watcher: look again. Telling again is safe.
    Changed {
        /// What was known that counts no more.
        forget: Forget,
    },
}

/// Gateways whose Ethernet addresses have to be learnt anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Those of these interfaces, which lost their link.
    Interfaces(Vec<u32>),
    /// All: something was missed.
    All,
}

impl Surroundings {
    /// The interface of that number.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }

    /// What was seen before and still is so: Ethernet addresses of gateways that the kernel
    /// has forgotten meanwhile, as it does with hosts that nobody talks to. In another wireless
    /// network it may be anybody who has the same address.
    pub fn remembering(mut self, before: &Self, forget: &Forget) -> Self {
        let ssid = |at: &Self, index| at.interface(index).and_then(|it| it.ssid.clone());
        let elsewhere: Vec<u32> = self
            .interfaces
            .iter()
            .map(|interface| interface.index)
            .filter(|index| ssid(&self, *index) != ssid(before, *index))
            .collect();
        let is_forgotten = |interface: u32| match forget {
            Forget::Interfaces(lost) => lost.contains(&interface) || elsewhere.contains(&interface),
            Forget::All => true,
        };
        let unknown = self.gateways.iter_mut().filter(|gateway| gateway.mac.is_none());
        for gateway in unknown.filter(|gateway| !is_forgotten(gateway.interface)) {
            let same = |old: &&Gateway| {
                old.address == gateway.address && old.interface == gateway.interface
            };
            gateway.mac = before.gateways.iter().find(same).and_then(|old| old.mac);
        }
        self
    }
}

impl NetworkMatch {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the machine is in such a network.
    pub fn fits(&self, surroundings: &Surroundings) -> bool {
        !self.is_empty()
            && surroundings
                .interfaces
                .iter()
                .any(|interface| interface.up && self.fits_at(interface, surroundings))
    }

    fn fits_at(&self, interface: &Interface, surroundings: &Surroundings) -> bool {
        let fits_name =
            self.interface.as_ref().is_none_or(|pattern| fits_pattern(pattern, &interface.name));
        let fits_subnet = self.subnet.is_none_or(|subnet| {
            interface.addresses.iter().any(|own| subnet.contains(&own.addr()))
        });
        let fits_gateway = (self.gateway.is_none() && self.gateway_mac.is_none())
            || surroundings.gateways.iter().any(|gateway| {
                gateway.interface == interface.index
                    && self.gateway.is_none_or(|wanted| gateway.address == Some(wanted))
                    && self.gateway_mac.is_none_or(|wanted| gateway.mac == Some(wanted))
            });
        let fits_ssid =
            self.ssid.as_ref().is_none_or(|wanted| interface.ssid.as_ref() == Some(wanted));
        fits_name && fits_subnet && fits_gateway && fits_ssid
    }
}

/// Whether a name fits a text in which `*` stands for any text.
fn fits_pattern(pattern: &str, name: &str) -> bool {
    crate::policy::Pattern::new(pattern).fits(name)
}

impl std::str::FromStr for Mac {
    type Err = NoMac;

    fn from_str(text: &str) -> Result<Self, NoMac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(NoMac)?;
            let is_hex = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = is_hex.then(|| u8::from_str_radix(part, 16).ok()).flatten().ok_or(NoMac)?;
        }
        if parts.next().is_none() { Ok(Self(bytes)) } else { Err(NoMac) }
    }
}

impl TryFrom<String> for Mac {
    type Error = NoMac;

    fn try_from(text: String) -> Result<Self, NoMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for NoMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an Ethernet address such as 00:1a:2b:3c:4d:5e")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
