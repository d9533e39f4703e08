//! The words of `seawall network`.

use std::net::IpAddr;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use ipnet::IpNet;
use seawall_messages::network::{Mac, NoMac, NoSsid, Ssid};

/// What may be said of a network.
const SETTINGS: [&str; 5] =
    ["default_action", "block_inbound", "block_lan", "block_internet", "block_local"];

/// What to do with networks.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum NetworkVerb {
    /// Show where this machine is (also without a verb)
    Show,
    /// Name one, for rules that say network=NAME and settings that hold there
    ///
    /// Without an option, the present one: its gateway, with who stands there.
    Add(NetworkArguments),
    /// Forget one
    Remove {
        /// Its name
        name: String,
    },
    /// Say what shall hold there in place of what is said for all
    Set {
        /// Its name
        name: String,
        /// Which setting
        #[arg(value_parser = PossibleValuesParser::new(SETTINGS))]
        setting: String,
        /// What it shall be
        value: String,
    },
    /// Say nothing of a setting there any more: what is said for all holds
    Reset {
        /// Its name
        name: String,
        /// Which setting
        setting: String,
    },
}

/// What a network looks like: all that is said has to be so of one interface.
#[derive(Args, Clone, Debug)]
pub(crate) struct NetworkArguments {
    /// What rules shall call it
    pub(crate) name: String,
    /// A default route leads to that address
    #[arg(long, value_name = "IP")]
    pub(crate) gateway: Option<IpAddr>,
    /// The host there has that Ethernet address
    #[arg(long, value_name = "MAC", value_parser = mac)]
    pub(crate) gateway_mac: Option<Mac>,
    /// An own address is in that network
    #[arg(long, value_name = "NETWORK")]
    pub(crate) subnet: Option<IpNet>,
    /// The interface's name; a * stands for any text
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<Arc<str>>,
    /// The name of the wireless network, letter by letter
    #[arg(long, value_name = "NAME", value_parser = ssid)]
    pub(crate) ssid: Option<Ssid>,
}

fn ssid(text: &str) -> Result<Ssid, String> {
    text.parse().map_err(|problem: NoSsid| problem.to_string())
}

fn mac(text: &str) -> Result<Mac, String> {
    text.parse().map_err(|problem: NoMac| problem.to_string())
}
