//! What an answer is about, and what that makes it cover. Pure: `prompt` takes answers by it, and whoever
//! asks people offers them no others.
//!
//! - The name of a connection is often known by one of many addresses. A prompt about a name
//!   may have several of them; an answer about an address then says too little.
//! - A zone is what somebody has registered, by the Public Suffix List: of `www.example.co.uk`
//!   it is `example.co.uk`, never `co.uk`, below which are the names of others.

use serde::{Deserialize, Serialize};

use super::{Covers, Target};
use crate::rule::written_name;

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// The app's connections with this address at this port.
    AddressPort,
    /// The app's connections with this address.
    Address,
    /// The app's connections with this name, whatever its address.
    Domain,
    /// The app's connections with names of what was registered: `example.com` and all below it.
    Zone,
    /// The app's connections at this port, whatever the address.
    Port,
    /// All connections of the app in that direction.
    App,
}

impl Extent {
    /// All of them, the least first.
    pub const ALL: [Self; 6] =
        [Self::AddressPort, Self::Address, Self::Domain, Self::Zone, Self::Port, Self::App];

    /// The extent as it is said on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressPort => "address-port",
            Self::Address => "address",
            Self::Domain => "domain",
            Self::Zone => "zone",
            Self::Port => "port",
            Self::App => "app",
        }
    }
}

/// What an answer covers to a prompt with these targets; or why it makes no sense.
pub fn covered(extent: Extent, whole_app: bool, targets: &[Target]) -> Result<Covers, String> {
    let target = match (whole_app, targets.first()) {
        _ if extent == Extent::App => return Ok(Covers::App),
        (false, Some(target)) => target,
        _ => return Err("the prompt is about the whole app, and so is its answer".to_owned()),
    };
    match extent {
        Extent::App => Ok(Covers::App),
        Extent::Address => Ok(Covers::Address(one_address(targets, target)?)),
        Extent::AddressPort => Ok(Covers::AddressPort(one_address(targets, target)?, target.port)),
        Extent::Port => match target.port {
            Some(port) => Ok(Covers::Port(port)),
            None => Err(format!("{} has no ports", target.protocol)),
        },
        Extent::Domain => match &target.name {
            Some(name) => Ok(Covers::Domain(name.clone())),
            None => Err(nameless(target)),
        },
        Extent::Zone => match (target.zone(), &target.name) {
            (Some(zone), _) => Ok(Covers::Zone(zone.into())),
            (None, Some(name)) => Err(format!(
                "{} is in no zone that somebody has registered: answer for the domain",
                written_name(name)
            )),
            (None, None) => Err(nameless(target)),
        },
    }
}

/// The address, where there is one and no other.
fn one_address(targets: &[Target], first: &Target) -> Result<std::net::IpAddr, String> {
    match targets.iter().all(|target| target.address == first.address) {
        true => Ok(first.address),
        false => Err(format!(
            "{} has several addresses here: answer for the domain, its zone, the port or the app",
            first.name.as_deref().map_or("the prompt", written_name)
        )),
    }
}

fn nameless(target: &Target) -> String {
    format!(
        "nobody knows the name of {}: answer for the address, the port or the app",
        target.address
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::flow::Protocol;

    fn target(host: u8, name: Option<&str>) -> Target {
        let name = name.map(Arc::from);
        Target { protocol: Protocol::TCP, address: [9, 9, 9, host].into(), port: Some(443), name }
    }

    #[test]
    fn an_answer_covers_what_its_extent_says() {
        use Extent::{Address, AddressPort, App, Domain, Port, Zone};
        let bare = vec![target(1, None)];
        let named = vec![target(1, Some("www.example.co.uk."))];
        let many = vec![target(1, Some("www.example.com.")), target(2, Some("www.example.com."))];
        let suffix = vec![target(1, Some("co.uk."))];
        let echo = vec![Target { protocol: Protocol::ICMP, port: None, ..target(1, None) }];
        let one = [9, 9, 9, 1].into();
        // What the prompt is about, the extent, and what it covers or a word of why not.
        let cases = [
            (&bare, AddressPort, Ok(Covers::AddressPort(one, Some(443)))),
            (&bare, Address, Ok(Covers::Address(one))),
            (&bare, Port, Ok(Covers::Port(443))),
            (&bare, App, Ok(Covers::App)),
            (&bare, Domain, Err("nobody knows the name of 9.9.9.1")),
            (&bare, Zone, Err("nobody knows the name of 9.9.9.1")),
            (&named, AddressPort, Ok(Covers::AddressPort(one, Some(443)))),
            (&named, Domain, Ok(Covers::Domain("www.example.co.uk.".into()))),
            (&named, Zone, Ok(Covers::Zone("example.co.uk.".into()))),
            (&many, AddressPort, Err("www.example.com has several addresses")),
            (&many, Address, Err("www.example.com has several addresses")),
            (&many, Domain, Ok(Covers::Domain("www.example.com.".into()))),
            (&many, Port, Ok(Covers::Port(443))),
            (&suffix, Domain, Ok(Covers::Domain("co.uk.".into()))),
            (&suffix, Zone, Err("co.uk is in no zone")),
            (&echo, Port, Err("ICMP has no ports")),
            (&echo, AddressPort, Ok(Covers::AddressPort(one, None))),
        ];
        for (targets, extent, expected) in cases {
            let found = covered(extent, false, targets);
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{targets:?} {extent:?}"),
                (Err(why), Err(word)) => assert!(why.contains(word), "{extent:?}: {why}"),
                _ => panic!("{targets:?} {extent:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_about_the_whole_app_has_no_smaller_answer() {
        let targets = vec![target(1, Some("www.example.com."))];
        for extent in Extent::ALL {
            let found = covered(extent, true, &targets);
            assert_eq!(found.is_ok(), extent == Extent::App, "{extent:?}: {found:?}");
            assert_eq!(serde_json::to_value(extent).expect("JSON"), extent.as_str());
        }
    }

    #[test]
    fn connections_share_a_prompt_by_name_or_else_by_address() {
        let (web, cdn) = (Some("www.example.com."), Some("cdn.example.com."));
        let cases = [
            (target(1, None), target(1, None), true),
            (target(1, None), target(2, None), false),
            (target(1, web), target(2, web), true),
            (target(1, web), target(1, cdn), false),
            (target(1, web), target(1, None), false),
            (target(1, web), Target { port: Some(80), ..target(1, web) }, false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(one.shares_prompt(&other), expected, "{one} {other}");
            assert_eq!(other.shares_prompt(&one), expected, "{other} {one}");
        }
        assert_eq!(target(1, web).to_string(), "www.example.com 9.9.9.1:443 TCP");
    }
}
