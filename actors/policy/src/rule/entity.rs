//! Whom a rule is about: `*`, an address, a network, a country, a continent, an
//! AS, scopes, filter lists, names. In this order; the first form that
//! recognises the word decides, and its errors are final.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use seawall_messages::rule::{Continent, Country, Entity, ScopeSet};

use super::domain::parse_domain;
use super::names::nearest;
use super::{Fault, quoted};

const SCOPES: [&str; 3] = ["localhost", "lan", "internet"];

/// Most filter lists in one rule.
const MAX_LISTS: usize = 32;

/// Longest id of a filter list, in bytes.
const MAX_LIST_BYTES: usize = 64;

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
        Entity::Domain(pattern) => pattern.written.to_string(),
        Entity::Country(country) => country.code().to_owned(),
        Entity::Continent(continent) => format!("C:{}", continent.code()),
        Entity::AutonomousSystem(number) => format!("AS{number}"),
        Entity::FilterLists(lists) => format!("L:{}", lists.join(",")),
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
    if let Some(place) = parse_place(text) {
        return place;
    }
    if let Some(lists) = text.strip_prefix("L:") {
        return parse_lists(lists).map_err(|fault| fault.moved(2));
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
    if let Some(scope) = nearest(text, SCOPES.into_iter())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        let expected = format!("the scope {scope}, perhaps; a name has a dot: {text}.");
        return Err(Fault::new(0..text.len(), quoted(text), expected));
    }
    parse_domain(text)
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

/// A country, a continent or an AS, if the word has the form of one.
fn parse_place(text: &str) -> Option<Result<Entity, Fault>> {
    let is_code =
        |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let whole = 0..text.len();
    if is_code(text) {
        let expected = match text {
            "UK" => "the code of a country as ISO 3166 has it: GB, perhaps",
            "EU" => "the code of a country, or C:EU for the continent",
            _ => "the code of a country as ISO 3166 has it, such as AT; names in lower case",
        };
        let country = Country::of_code(text).map(Entity::Country);
        return Some(country.ok_or_else(|| Fault::new(whole, quoted(text), expected)));
    }
    if let Some(code) = text.strip_prefix("C:") {
        let continent = Continent::of_code(code).map(Entity::Continent);
        let expected = "one of the continents AF, AN, AS, EU, NA, OC, SA";
        return Some(continent.ok_or_else(|| Fault::new(2..text.len(), quoted(code), expected)));
    }
    let digits = text.strip_prefix("AS")?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().map(Entity::AutonomousSystem);
    let expected = "the number of an AS, of 0 to 4294967295";
    Some(number.map_err(|_| Fault::new(2..text.len(), quoted(digits), expected)))
}

/// Ids of filter lists and categories, between commas.
fn parse_lists(text: &str) -> Result<Entity, Fault> {
    let mut lists: Vec<Arc<str>> = Vec::new();
    let mut at = 0;
    for word in text.split(',') {
        let span = at..at + word.len();
        at = span.end + 1;
        let is_id = (1..=MAX_LIST_BYTES).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_id {
            let found = if word.is_empty() { "no filter list".to_owned() } else { quoted(word) };
            return Err(Fault::new(span, found, "the id of a filter list, such as TRAC or 17-MAL"));
        }
        if lists.iter().any(|known| **known == *word) {
            return Err(Fault::new(span, format!("{} again", quoted(word)), "each list once"));
        }
        lists.push(Arc::from(word));
    }
    if lists.len() > MAX_LISTS {
        let expected = format!("at most {MAX_LISTS}");
        return Err(Fault::new(0..text.len(), format!("{} filter lists", lists.len()), expected));
    }
    Ok(Entity::FilterLists(lists.into()))
}

fn is_scope(text: &str) -> bool {
    SCOPES.iter().any(|scope| text.eq_ignore_ascii_case(scope))
}

fn looks_like_address(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'*'))
        && text.bytes().any(|byte| byte.is_ascii_digit())
}
