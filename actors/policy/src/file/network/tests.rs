//! What a `[[network]]` means, and what is said of one that means nothing.

use std::path::Path;

use seawall_messages::PolicyGeneration;
use seawall_messages::network::{Gateway, Interface, Surroundings};
use seawall_messages::policy::DefaultAction;

use super::super::{PolicyFile, parse};
use super::*;
use crate::rule;

fn good(text: &str) -> PolicyFile {
    parse(text, Path::new("seawall.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problem(text: &str) -> String {
    parse(text, Path::new("seawall.toml")).expect_err(text).to_string()
}

const TWO: &str = r#"
[filter]
outgoing_rules = ["- 10.0.0.5 network=cafe", "- 10.0.0.6 network!=cafe"]

[[network]]
name = "home"
match = { gateway = "192.168.1.1", gateway_mac = "00:1A:2b:3c:4d:5e", subnet = "192.168.1.7/24", interface = "eth*" }

[[network]]
name = "cafe"
match = { subnet = "10.0.0.0/8" }
default_action = "block"
block_inbound = true
"#;

fn surroundings(address: &str) -> Surroundings {
    let addresses = vec![address.parse().expect("a network")];
    let gateway = Gateway {
        interface: 2,
        address: "192.168.1.1".parse().ok(),
        mac: "00:1a:2b:3c:4d:5e".parse().ok(),
        ipv6: false,
        metric: 0,
    };
    Surroundings {
        interfaces: vec![Interface {
            index: 2,
            name: Arc::from("eth0"),
            up: true,
            addresses,
            ssid: None,
        }],
        gateways: vec![gateway],
    }
}

#[test]
fn every_key_is_read() {
    let file = good(TWO);
    let [home, cafe] = &*file.networks else { panic!("two networks") };
    assert_eq!(&*home.name, "home");
    assert_eq!(home.looks.gateway, "192.168.1.1".parse().ok());
    assert_eq!(home.looks.gateway_mac, "00:1a:2b:3c:4d:5e".parse().ok());
    assert_eq!(home.looks.subnet, "192.168.1.0/24".parse().ok());
    assert_eq!(home.looks.interface.as_deref(), Some("eth*"));
    assert_eq!(cafe.filter.default_action, Some(DefaultAction::Block));
    assert_eq!((cafe.filter.block_inbound, cafe.filter.block_lan), (Some(true), None));
}

#[test]
fn where_the_machine_is_decides_which_rules_count_and_whose_settings() {
    let file = good(TWO);
    // Own address, the network that counts, which of the two rules do.
    let cases = [
        ("192.168.1.7/24", Some("home"), [false, true]),
        ("10.1.2.3/8", Some("cafe"), [true, false]),
        ("172.16.0.1/12", None, [false, true]),
    ];
    for (address, network, active) in cases {
        let present = file.present(rule::now(), &surroundings(address));
        let snapshot = file.snapshot(PolicyGeneration(1), Vec::new(), &present);
        let rules = snapshot.filter.outgoing_rules.iter().map(|rule| rule.is_active);
        assert_eq!(snapshot.network().map(|network| &*network.name), network, "{address}");
        assert_eq!(rules.collect::<Vec<_>>(), active, "{address}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let looks = "match = { interface = \"eth0\" }";
    let cases = [
        ("[network]\nname = \"x\"\n".to_owned(), "1:1: network: found a single section [network]"),
        (format!("[[network]]\n{looks}\n"), "1:1: network[1].name: found nothing"),
        (format!("[[network]]\nname = \"two words\"\n{looks}\n"), "2:8: network[1].name"),
        ("[[network]]\nname = \"x\"\n".to_owned(), "1:1: network[1].match: found nothing"),
        (
            "[[network]]\nname = \"x\"\nmatch = {}\n".to_owned(),
            "3:9: network[1].match: found an empty table",
        ),
        (
            "[[network]]\nname = \"x\"\nmatch = { gateway = \"here\" }\n".to_owned(),
            "3:21: network[1].match.gateway",
        ),
        (
            "[[network]]\nname = \"x\"\nmatch = { gateway_mac = \"00:11\" }\n".to_owned(),
            "expected an Ethernet address",
        ),
        (
            "[[network]]\nname = \"x\"\nmatch = { interface = \"a name too long by far\" }\n"
                .to_owned(),
            "1 to 15 bytes",
        ),
        (
            "[[network]]\nname = \"x\"\nmatch = { ssid = 'a\\b' }\n".to_owned(),
            "a backslash in it is written `\\\\`, and a byte that is no text `\\xNN`",
        ),
        (
            "[[network]]\nname = \"x\"\nmatch = { subnet = \"10.0.0.0\" }\n".to_owned(),
            "a network such as",
        ),
        (
            format!("[[network]]\nname = \"x\"\n{looks}\n[[network]]\nname = \"x\"\n{looks}\n"),
            "5:8: network[2].name: found \"x\" again",
        ),
        (
            format!("[[network]]\nname = \"x\"\n{looks}\noutgoing_rules = []\n"),
            "network=NAME behind",
        ),
        (format!("[[network]]\nname = \"x\"\n{looks}\nblock_lann = true\n"), "`block_lan`"),
        (
            format!(
                "[filter]\noutgoing_rules = [\"- * network=hme\"]\n[[network]]\nname = \"home\"\n{looks}\n"
            ),
            "2:32: filter.outgoing_rules[1]: found `hme`, which no [[network]] is called; expected `home`, perhaps",
        ),
    ];
    for (text, expected) in cases {
        let problem = problem(&text);
        assert!(problem.contains(expected), "{text}\n{problem}\nexpected {expected}");
    }
}

#[test]
fn there_is_a_most() {
    let section =
        |number| format!("[[network]]\nname = \"n{number}\"\nmatch = {{ ssid = \"x\" }}\n");
    let text = |count| (0..count).map(section).collect::<String>();
    assert_eq!(good(&text(MAX_NETWORKS)).networks.len(), MAX_NETWORKS);
    assert!(problem(&text(MAX_NETWORKS + 1)).contains("at most 64"));
}

#[test]
fn interfaces_matter_where_a_rule_names_one() {
    let unnamed = good("[filter]\noutgoing_rules = [\"- *\"]\n");
    assert_eq!(unnamed.present(rule::now(), &surroundings("10.0.0.1/8")).interfaces, []);
    let named = good("[filter]\noutgoing_rules = [\"- * interface=e*\"]\n");
    let present = named.present(rule::now(), &surroundings("10.0.0.1/8"));
    let snapshot = named.snapshot(PolicyGeneration(1), Vec::new(), &present);
    let only = snapshot.filter.outgoing_rules[0].only.clone().expect("a condition");
    let interface = only.interface.clone().expect("an interface");
    assert_eq!((&*interface.fitting, &*interface.others), (&[2][..], &[1][..]));
}
