//! `seawall network`: where this machine is, and which network of the policy that is; networks of
//! the store named, changed and forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::Method;
use seawall_messages::api::NetworkChanged;
use seawall_messages::network::{
    Gateway, Interface, NetworkAnswer, NetworkMatch, NetworkShown, Surroundings,
};

use seawall_messages::policy::{KeptNetwork, NetworkChange};
use seawall_messages::setting::{self, Value, Values};

use super::Outcome;
use crate::cli::{Common, NetworkArguments, NetworkVerb};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Cell, Style, Table};

pub(super) fn perform(what: Option<NetworkVerb>, common: &Common) -> Result<Outcome, ClientError> {
    match what {
        None | Some(NetworkVerb::Show) => show(common),
        Some(NetworkVerb::Add(asked)) => {
            let network = named(asked, || look(common))?;
            change(&NetworkChange::Add(network), "named", common)
        }
        Some(NetworkVerb::Remove { name }) => {
            change(&NetworkChange::Remove { name }, "forgotten", common)
        }
        Some(NetworkVerb::Set { name, setting, value }) => {
            let known = setting::find(&setting);
            let read = known.map(|known| known.kind.read(std::slice::from_ref(&value)));
            match read {
                Some(Ok(value)) => set(name, setting, Some(value), common),
                Some(Err(problem)) => Err(ClientError::Refused(format!("{setting}: {problem}"))),
                None => Err(ClientError::Refused(format!("there is no setting {setting}"))),
            }
        }
        Some(NetworkVerb::Reset { name, setting }) => set(name, setting, None, common),
    }
}

fn look(common: &Common) -> Result<NetworkAnswer, ClientError> {
    Client::new(&common.run_dir).get("/v1/network")
}

fn set(
    name: String,
    setting: String,
    value: Option<Value>,
    common: &Common,
) -> Result<Outcome, ClientError> {
    let changes = BTreeMap::from([(setting, value)]);
    change(&NetworkChange::Set { name, changes }, "changed", common)
}

/// The network that is meant: as it was said, or the present one.
fn named(
    asked: NetworkArguments,
    look: impl FnOnce() -> Result<NetworkAnswer, ClientError>,
) -> Result<KeptNetwork, ClientError> {
    let NetworkArguments { name, gateway, gateway_mac, subnet, interface, ssid } = asked;
    let said = NetworkMatch { gateway, gateway_mac, subnet, interface, ssid };
    let looks = match said.is_empty() {
        false => said,
        true => present(&look()?.surroundings).ok_or_else(|| {
            let problem = "no gateway is here that has an address: say what the network looks like, by --subnet or --interface";
            ClientError::Refused(problem.to_owned())
        })?,
    };
    Ok(KeptNetwork { name: Arc::from(name), looks, settings: Values::new() })
}

/// The present network, by its gateway; where it isn't known who stands there, by all else that is seen.
fn present(surroundings: &Surroundings) -> Option<NetworkMatch> {
    let all = looks(surroundings)?;
    let NetworkMatch { gateway, gateway_mac, .. } = all;
    let by_gateway = NetworkMatch { gateway, gateway_mac, ..NetworkMatch::default() };
    Some(if gateway_mac.is_some() { by_gateway } else { all })
}

/// Done when live flows follow.
fn change(change: &NetworkChange, done: &str, common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    // Asked again, one that was named is there already, and one that is gone isn't found.
    let answer: NetworkChanged =
        client.send(Method::POST, "/v1/networks", Some(change), SLOW, Repeat::Never)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let (KeptNetwork { name, looks, settings }, policy) = (&answer.network, &answer.policy);
    let settings = settings.iter().map(|(key, value)| format!(", {key} = {value}"));
    let settings: String = settings.collect();
    let generation = policy.generation.0;
    let looks = said(looks);
    output::line(format_args!(
        "network {name} ({looks}{settings}) {done} (generation {generation})"
    ));
    Ok(Outcome::Done)
}

fn show(common: &Common) -> Result<Outcome, ClientError> {
    let answer = look(common)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    interfaces(&answer.surroundings).print();
    output::line("");
    if answer.networks.is_empty() {
        output::line("The policy names no network.");
    } else {
        networks(&answer.networks).print();
    }
    let is_named = answer.networks.iter().any(|network| network.is_here);
    if let Some(words) = words(&answer.surroundings).filter(|_| !is_named) {
        output::line("");
        output::line(
            "`seawall network add NAME` names the present one, or these lines of the policy file:",
        );
        output::line("");
        output::line("[[network]]");
        output::line("name = \"here\"");
        output::line(words);
    }
    Ok(Outcome::Done)
}

fn interfaces(surroundings: &Surroundings) -> Table<5> {
    let headers = ["INTERFACE", "STATE", "SSID", "ADDRESSES", "GATEWAYS"];
    let mut table = Table::new(headers).flowing();
    for interface in &surroundings.interfaces {
        let (style, state) = match interface.up {
            true => (Style::Good, "up"),
            false => (Style::Faint, "down"),
        };
        let gateways = gateways_of(interface, surroundings).map(gateway);
        table.row([
            Cell::from(&*interface.name),
            Cell::styled(style, state),
            Cell::from(list(interface.ssid.iter().map(ToString::to_string))),
            Cell::from(list(interface.addresses.iter().map(ToString::to_string))),
            Cell::from(list(gateways)),
        ]);
    }
    table
}

fn gateways_of<'a>(
    interface: &Interface,
    surroundings: &'a Surroundings,
) -> impl Iterator<Item = &'a Gateway> {
    let index = interface.index;
    surroundings.gateways.iter().filter(move |gateway| gateway.interface == index)
}

fn gateway(gateway: &Gateway) -> String {
    let address =
        gateway.address.map_or_else(|| "the interface".to_owned(), |address| address.to_string());
    match gateway.mac {
        Some(mac) => format!("{address} ({mac})"),
        None => address,
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let text = items.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".to_owned() } else { text }
}

fn networks(networks: &[NetworkShown]) -> Table<4> {
    let mut table = Table::new(["NETWORK", "HERE", "FROM", "MATCH"]).flowing();
    for NetworkShown { name, looks, is_here, counts, origin } in networks {
        let (style, here) = match (is_here, counts) {
            (true, true) => (Style::Good, "yes, and its settings count"),
            (true, false) => (Style::Good, "yes"),
            (false, _) => (Style::Faint, "no"),
        };
        let (here, from) = (Cell::styled(style, here), Cell::from(origin.as_str()));
        table.row([Cell::from(&**name), here, from, Cell::from(said(looks))]);
    }
    table
}

/// What a network looks like, as `match` says it.
fn said(looks: &NetworkMatch) -> String {
    let NetworkMatch { gateway, gateway_mac, subnet, interface, ssid } = looks;
    let said = [
        ("gateway", gateway.map(|address| address.to_string())),
        ("gateway_mac", gateway_mac.map(|mac| mac.to_string())),
        ("subnet", subnet.map(|subnet| subnet.to_string())),
        ("interface", interface.as_ref().map(ToString::to_string)),
        ("ssid", ssid.as_ref().map(ToString::to_string)),
    ];
    let quoted = toml::Value::String;
    let pairs =
        said.into_iter().filter_map(|(key, text)| Some(format!("{key} = {}", quoted(text?))));
    pairs.collect::<Vec<_>>().join(", ")
}

/// The `match` of the present network, as the policy file says it.
fn words(surroundings: &Surroundings) -> Option<String> {
    Some(format!("match = {{ {} }}", said(&looks(surroundings)?)))
}

/// The network behind the first gateway that has an address, if there is one.
fn looks(surroundings: &Surroundings) -> Option<NetworkMatch> {
    let is_up = |gateway: &&Gateway| {
        surroundings.interface(gateway.interface).is_some_and(|interface| interface.up)
    };
    let first = surroundings.gateways.iter().filter(is_up).find(|it| it.address.is_some())?;
    let interface = surroundings.interface(first.interface)?;
    let subnet = first.address.and_then(|address| {
        interface.addresses.iter().find(|own| own.contains(&address)).map(|own| own.trunc())
    });
    Some(NetworkMatch {
        gateway: first.address,
        gateway_mac: first.mac,
        subnet,
        ssid: interface.ssid.clone(),
        ..NetworkMatch::default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use seawall_messages::network::Ssid;

    use super::*;

    fn surroundings() -> Surroundings {
        let interface = |index, name: &str, up, addresses: &[&str]| Interface {
            index,
            name: Arc::from(name),
            up,
            addresses: addresses.iter().map(|text| text.parse().expect("a network")).collect(),
            ssid: None,
        };
        let gateway = |interface, address: &str| Gateway {
            interface,
            address: address.parse().ok(),
            mac: "00:1a:2b:3c:4d:5e".parse().ok(),
            ipv6: false,
            metric: 0,
        };
        Surroundings {
            interfaces: vec![
                interface(2, "eth0", false, &["10.0.0.7/8"]),
                interface(3, "wlan0", true, &["172.16.0.1/12", "192.168.1.7/24"]),
            ],
            gateways: vec![gateway(2, "10.0.0.1"), gateway(3, "192.168.1.1")],
        }
    }

    #[test]
    fn the_words_for_the_present_network_are_good_and_mean_it() {
        let cable = "gateway = \"192.168.1.1\", gateway_mac = \"00:1a:2b:3c:4d:5e\", subnet = \"192.168.1.0/24\"";
        let cases: [(&[u8], &str); 4] = [
            (b"", ""),
            (b"cafe *", ", ssid = \"cafe *\""),
            (b"caf\xe9\\", ", ssid = 'caf\\xe9\\\\'"),
            (b"'e\xcc\x81\"\n\xff'", ", ssid = ''''e\u{301}\"\\x0a\\xff''''"),
        ];
        for (ssid, expected) in cases {
            let mut here = surroundings();
            here.interfaces[1].ssid = Ssid::new(ssid);
            let words = words(&here).expect("there is a gateway");
            assert_eq!(words, format!("match = {{ {cable}{expected} }}"));
            let text = format!("[[network]]\nname = \"here\"\n{words}\n");
            let file = seawall_policy::file::parse(&text, Path::new("x")).expect("a policy");
            assert!(file.networks[0].looks.fits(&here), "{words}");
        }
        assert_eq!(super::words(&Surroundings::default()), None);
    }

    #[test]
    fn the_present_network_is_named_by_its_gateway_unless_something_is_said() {
        let asked = |interface: Option<&str>| NetworkArguments {
            name: "home".to_owned(),
            gateway: None,
            gateway_mac: None,
            subnet: None,
            interface: interface.map(Arc::from),
            ssid: None,
        };
        let look = |surroundings| move || Ok(NetworkAnswer { surroundings, networks: Vec::new() });
        let looks =
            |asked, surroundings| named(asked, look(surroundings)).map(|it| said(&it.looks));
        let found = looks(asked(None), surroundings()).expect("there is a gateway");
        assert_eq!(found, "gateway = \"192.168.1.1\", gateway_mac = \"00:1a:2b:3c:4d:5e\"");
        let mut unknown = surroundings();
        unknown.gateways[1].mac = None;
        unknown.interfaces[1].ssid = "cafe".parse().ok();
        let found = looks(asked(None), unknown).expect("there is a gateway");
        let expected = "gateway = \"192.168.1.1\", subnet = \"192.168.1.0/24\", ssid = \"cafe\"";
        assert_eq!(found, expected);
        assert!(looks(asked(None), Surroundings::default()).is_err());
        let found = looks(asked(Some("wg*")), Surroundings::default()).expect("it is said");
        assert_eq!(found, "interface = \"wg*\"");
    }

    #[test]
    fn gateways_are_named_with_who_stands_there() {
        let here = surroundings();
        let of = |place: usize| list(gateways_of(&here.interfaces[place], &here).map(gateway));
        assert_eq!(of(1), "192.168.1.1 (00:1a:2b:3c:4d:5e)");
        assert_eq!(list(std::iter::empty()), "-");
    }
}
