//! `[[network]]`: what a network looks like, and what holds there in place of `[filter]`.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use seawall_messages::network::{
    MAX_NAME_BYTES, NamedNetwork, NetworkMatch, is_interface_pattern, is_network_name,
};
use toml::de::{DeTable, DeValue};

use super::app::switches;
use super::describe;
use super::problem::Collector;
use super::section::Section;

/// Most `[[network]]` sections.
pub const MAX_NETWORKS: usize = 64;

/// Longest name of a wireless network, in bytes (IEEE 802.11).
pub const MAX_SSID_BYTES: usize = 32;

/// All `[[network]]` sections. Those that are wrong are noted and left out; rules may name them.
pub(super) fn networks(root: &DeTable<'_>, collector: &mut Collector<'_>) -> Vec<NamedNetwork> {
    const EXPECTED: &str = "a list of sections, each headed [[network]]";
    let Some(value) = root.get("network") else { return Vec::new() };
    let at = value.span().start;
    let DeValue::Array(items) = value.get_ref() else {
        let found = match value.get_ref() {
            DeValue::Table(_) => "a single section [network]".to_owned(),
            other => describe(other),
        };
        collector.note(at, "network", found, EXPECTED);
        return Vec::new();
    };
    if items.len() > MAX_NETWORKS {
        let found = format!("{} sections", items.len());
        collector.note(at, "network", found, format!("at most {MAX_NETWORKS}"));
        return Vec::new();
    }
    let mut networks: Vec<NamedNetwork> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let field = format!("network[{}]", index + 1);
        let at = item.span().start;
        let DeValue::Table(table) = item.get_ref() else {
            let found = describe(item.get_ref());
            collector.note(at, &field, found, "a section: [[network]]");
            continue;
        };
        let (name, found) = network(&mut Section::new(field.clone(), at, Some(table), collector));
        if let Some(name) = name
            && !collector.name_network(&name)
        {
            let at = table.get("name").map_or(at, |value| value.span().start);
            let expected = "a name that no other [[network]] has";
            collector.note(at, &format!("{field}.name"), format!("{name:?} again"), expected);
        }
        networks.extend(found);
    }
    networks
}

/// Its name, and all of it where nothing is wrong.
fn network(section: &mut Section<'_, '_, '_>) -> (Option<Arc<str>>, Option<NamedNetwork>) {
    let expected = format!(
        "a name of 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`, as rules say it: network=home"
    );
    let name = section
        .required_text("name", &expected, |text| is_network_name(text).then(|| Arc::from(text)));
    let looks = looks(section);
    let filter = switches(section);
    const RULES: &str = "them in [filter] or [[app]], with network=NAME behind";
    section.foreign("outgoing_rules", RULES);
    section.foreign("incoming_rules", RULES);
    section.foreign("permanent_verdicts", "it in [filter]: it is one for all networks");
    section.close();
    let whole = name.clone().zip(looks);
    (name, whole.map(|(name, looks)| NamedNetwork { name, looks, filter, is_here: false }))
}

/// `match`. `None` where it says nothing, or something that is wrong.
fn looks(section: &mut Section<'_, '_, '_>) -> Option<NetworkMatch> {
    const KEYS: &str = "at least one of gateway, gateway_mac, subnet, interface, ssid: what the network looks like";
    let mut keys = section.required("match", KEYS)?;
    if keys.is_empty() {
        keys.note_whole("an empty table", KEYS);
        return None;
    }
    let found = NetworkMatch {
        gateway: keys.parsed("gateway", "the address of a gateway", |text| {
            text.parse().ok().map(|address: IpAddr| address.to_canonical())
        }),
        gateway_mac: keys.parsed(
            "gateway_mac",
            "an Ethernet address such as 00:1a:2b:3c:4d:5e",
            |text| text.parse().ok(),
        ),
        subnet: keys.parsed("subnet", "a network such as 192.168.1.0/24", |text| {
            text.parse().ok().map(|network: IpNet| network.trunc())
        }),
        interface: keys.parsed(
            "interface",
            "the name of an interface, of 1 to 15 bytes, such as eth0 or wl*",
            |text| is_interface_pattern(text).then(|| Arc::from(text)),
        ),
        ssid: keys.parsed("ssid", "the name of a wireless network, of 1 to 32 bytes", |text| {
            (1..=MAX_SSID_BYTES).contains(&text.len()).then(|| Arc::from(text))
        }),
    };
    keys.close();
    (!found.is_empty()).then_some(found)
}
