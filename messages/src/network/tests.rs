//! Which networks fit where, and what is remembered of gateways.

use super::*;

const MAC: Mac = Mac([0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e]);

fn interface(index: u32, name: &str, up: bool, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|text| text.parse().expect("a network")).collect();
    Interface { index, name: Arc::from(name), up, addresses, ssid: None }
}

fn in_the_air(index: u32, name: &str, up: bool, ssid: &str) -> Interface {
    Interface { ssid: ssid.parse().ok(), ..interface(index, name, up, &["172.20.0.7/16"]) }
}

fn gateway(interface: u32, address: &str, mac: Option<Mac>) -> Gateway {
    let address: IpAddr = address.parse().expect("an address");
    Gateway { interface, address: Some(address), mac, ipv6: address.is_ipv6(), metric: 100 }
}

fn at_home() -> Surroundings {
    Surroundings {
        interfaces: vec![
            interface(2, "eth0", true, &["192.168.1.7/24", "2001:db8::7/64"]),
            interface(3, "wlan0", false, &["10.0.0.7/8"]),
            interface(4, "tun0", true, &["172.16.0.1/32"]),
            in_the_air(5, "wlan1", true, "cafe"),
            in_the_air(6, "wlan2", false, "left"),
        ],
        gateways: vec![gateway(2, "192.168.1.1", Some(MAC)), gateway(2, "fe80::1", None)],
    }
}

#[test]
fn all_that_is_said_fits_one_interface_that_is_up() {
    let all = NetworkMatch::default;
    let address = |text: &str| text.parse::<IpAddr>().ok();
    let net = |text: &str| text.parse::<IpNet>().ok();
    let name = |text: &str| Some(Arc::from(text));
    let ssid = |text: &str| text.parse::<Ssid>().ok();
    let other = Some(Mac([9; 6]));
    let cases = [
        (all(), false, "nothing said"),
        (NetworkMatch { gateway: address("192.168.1.1"), ..all() }, true, "gateway"),
        (NetworkMatch { gateway: address("192.168.1.2"), ..all() }, false, "another"),
        (NetworkMatch { gateway: address("fe80::1"), ..all() }, true, "IPv6"),
        (NetworkMatch { gateway_mac: Some(MAC), ..all() }, true, "Ethernet address"),
        (NetworkMatch { gateway_mac: other, ..all() }, false, "another's"),
        (
            NetworkMatch { gateway: address("fe80::1"), gateway_mac: Some(MAC), ..all() },
            false,
            "of two gateways",
        ),
        (NetworkMatch { subnet: net("192.168.0.0/16"), ..all() }, true, "subnet"),
        (NetworkMatch { subnet: net("192.168.2.0/24"), ..all() }, false, "another subnet"),
        (NetworkMatch { subnet: net("10.0.0.0/8"), ..all() }, false, "of one that is down"),
        (NetworkMatch { interface: name("eth*"), ..all() }, true, "interface"),
        (NetworkMatch { interface: name("eth"), ..all() }, false, "not the whole name"),
        (NetworkMatch { interface: name("wlan0"), ..all() }, false, "down"),
        (
            NetworkMatch { interface: name("tun*"), subnet: net("192.168.1.0/24"), ..all() },
            false,
            "of two interfaces",
        ),
        (NetworkMatch { ssid: ssid("cafe"), ..all() }, true, "a wireless network"),
        (NetworkMatch { ssid: ssid("c*"), ..all() }, false, "a star is a star"),
        (NetworkMatch { ssid: ssid("Cafe"), ..all() }, false, "every letter counts"),
        (NetworkMatch { ssid: ssid("left"), ..all() }, false, "not connected"),
        (NetworkMatch { ssid: ssid("cafe"), interface: name("wl*"), ..all() }, true, "at one"),
        (NetworkMatch { ssid: ssid("cafe"), interface: name("eth*"), ..all() }, false, "of two"),
        (
            NetworkMatch { ssid: ssid("cafe"), gateway_mac: Some(MAC), ..all() },
            false,
            "the gateway stands elsewhere",
        ),
    ];
    for (looks, expected, what) in cases {
        assert_eq!(looks.fits(&at_home()), expected, "{what}");
    }
}

#[test]
fn an_ethernet_address_stays_known_while_its_gateway_is_there() {
    let mut forgotten = at_home();
    forgotten.gateways[0].mac = None;
    let none = Forget::Interfaces(vec![3]);
    assert_eq!(forgotten.clone().remembering(&at_home(), &none), at_home());
    for lost in [Forget::Interfaces(vec![3, 2]), Forget::All] {
        assert_eq!(forgotten.clone().remembering(&at_home(), &lost), forgotten);
    }
    let mut moved = forgotten.clone();
    moved.gateways[0].address = Some([192, 168, 1, 2].into());
    assert_eq!(moved.clone().remembering(&at_home(), &none), moved);
    let mut elsewhere = forgotten.clone();
    elsewhere.gateways[0].interface = 3;
    assert_eq!(elsewhere.clone().remembering(&at_home(), &none), elsewhere);
    let mut renamed = forgotten.clone();
    renamed.interfaces[0].ssid = "cafe".parse().ok();
    assert_eq!(renamed.clone().remembering(&at_home(), &none), renamed);
    let mut other = at_home();
    other.gateways[0].mac = Some(Mac([9; 6]));
    assert_eq!(other.clone().remembering(&at_home(), &none), other);
}

#[test]
fn ethernet_addresses_are_read_as_they_are_printed() {
    assert_eq!("00:1A:2b:3c:4d:5e".parse(), Ok(MAC));
    assert_eq!(MAC.to_string(), "00:1a:2b:3c:4d:5e");
    for wrong in [
        "",
        "00:1a:2b:3c:4d",
        "00:1a:2b:3c:4d:5e:6f",
        "00-1a-2b-3c-4d-5e",
        "0:1:2:3:4:5",
        "+0:1a:2b:3c:4d:5e",
    ] {
        assert_eq!(wrong.parse::<Mac>(), Err(NoMac), "{wrong}");
    }
}

#[test]
fn names_of_networks_are_one_word() {
    for (name, expected) in [
        ("home", true),
        ("Office-2.5_GHz", true),
        ("", false),
        ("-x", false),
        ("two words", false),
        ("a,b", false),
        ("caf\u{e9}", false),
    ] {
        assert_eq!(is_network_name(name), expected, "{name}");
    }
    assert!(!is_network_name(&"x".repeat(MAX_NAME_BYTES + 1)));
}
