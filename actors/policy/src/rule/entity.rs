//! Whom a rule is about: `*`, an address, a network, scopes. In this order;
//! the first form that recognises the word decides, and its errors are final.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use seawall_messages::rule::{Entity, ScopeSet};

use super::names::{NOT_YET, nearest};
use super::{Fault, quoted};

const SCOPES: [&str; 3] = ["localhost", "lan", "internet"];

const EXPECTED: &str =
    "*, an address, a network such as 10.0.0.0/8, or scopes of localhost, lan, internet";

/// The canonical form of an entity.
pub fn print_entity(entity: &Entity) -> String {
    match entity {
        Entity::Any => "*".to_owned(),
        Entity::Address(address) => address.to_string(),
        Entity::Network(network) => network.to_string(),
        Entity::Scopes(set) => {
            let named =
                [(set.localhost, "Localhost"), (set.lan, "LAN"), (set.internet, "Internet")];
            let names: Vec<&str> =
                named.into_iter().filter_map(|(is_set, name)| is_set.then_some(name)).collect();
            names.join(",")
        }
    }
}

pub(super) fn parse_entity(text: &str) -> Result<Entity, Fault> {
    if text == "*" {
        return Ok(Entity::Any);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Entity::Address(address.to_canonical()));
    }
    if text.contains('/') {
        return parse_network(text);
    }
    if let Some(form) = not_yet(text) {
        return Err(Fault::new(0..text.len(), format!("{form} {}", quoted(text)), NOT_YET));
    }
    if looks_like_address(text) {
        return Err(Fault::new(
            0..text.len(),
            quoted(text),
            "a whole address, or a network such as 10.0.0.0/24",
        ));
    }
    if text.contains(',') || is_scope(text) {
        return parse_scopes(text);
    }
    if looks_like_domain(text) {
        let expected = match nearest(text, SCOPES.into_iter()) {
            Some(scope) => format!("the scope {scope}, perhaps; {NOT_YET}"),
            None => NOT_YET.to_owned(),
        };
        return Err(Fault::new(0..text.len(), format!("the domain {}", quoted(text)), expected));
    }
    Err(Fault::new(0..text.len(), quoted(text), EXPECTED))
}

fn parse_network(text: &str) -> Result<Entity, Fault> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let Ok(address_value) = address.parse::<IpAddr>() else {
        return Err(Fault::new(0..address.len(), quoted(address), "an address before the /"));
    };
    let longest: u8 = if address_value.is_ipv4() { 32 } else { 128 };
    let at = address.len() + 1;
    let length = (!prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| prefix.parse::<u8>().ok())
        .flatten()
        .filter(|length| *length <= longest);
    let Some(length) = length else {
        return Err(Fault::new(
            at..text.len(),
            if prefix.is_empty() { "nothing after the /".to_owned() } else { quoted(prefix) },
            format!("a prefix length of 0 to {longest}"),
        ));
    };
    let network = IpNet::new(address_value, length)
        .map_err(|_| Fault::new(0..text.len(), quoted(text), "a network"))?;
    Ok(Entity::Network(unmapped(network.trunc())))
}

/// A network of IPv4-mapped addresses (RFC 4291, 2.5.5.2) is that of the IPv4 addresses.
fn unmapped(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED_BITS)) {
        (Some(address), Some(length)) => Ipv4Net::new(address, length).map_or(network, IpNet::V4),
        _ => network,
    }
}

fn parse_scopes(text: &str) -> Result<Entity, Fault> {
    let mut set = ScopeSet::default();
    let mut at = 0;
    for word in text.split(',') {
        let span = at..at + word.len();
        at = span.end + 1;
        let flag = match SCOPES.iter().position(|scope| word.eq_ignore_ascii_case(scope)) {
            Some(0) => &mut set.localhost,
            Some(1) => &mut set.lan,
            Some(_) => &mut set.internet,
            None => {
                let found =
                    if word.is_empty() { "an empty scope".to_owned() } else { quoted(word) };
                return Err(Fault::new(span, found, "localhost, lan or internet"));
            }
        };
        if std::mem::replace(flag, true) {
            return Err(Fault::new(span, format!("{} again", quoted(word)), "each scope once"));
        }
    }
    Ok(Entity::Scopes(set))
}

/// The name of the form, if the word has one that is not available yet.
fn not_yet(text: &str) -> Option<&'static str> {
    let upper = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if upper(text) {
        Some("the country")
    } else if text.strip_prefix("C:").is_some_and(upper) {
        Some("the continent")
    } else if text.strip_prefix("AS").is_some_and(digits) {
        Some("the AS number")
    } else if text.strip_prefix("L:").is_some_and(|lists| !lists.is_empty()) {
        Some("the filter list")
    } else {
        None
    }
}

fn is_scope(text: &str) -> bool {
    SCOPES.iter().any(|scope| text.eq_ignore_ascii_case(scope))
}

fn looks_like_address(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'*'))
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether the word has one of the domain forms: exact, zone (`.example.com`),
/// or with `*` at either end.
fn looks_like_domain(text: &str) -> bool {
    let name = text.strip_prefix('*').unwrap_or(text);
    let name = name.strip_suffix('*').unwrap_or(name);
    name.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}
