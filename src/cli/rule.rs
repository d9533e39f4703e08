//! The words of `seawall rule`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use seawall_messages::Protocol;

use super::ConfigFile;
use crate::verbs::{explain, rule};

/// What to do with rules.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RuleVerb {
    /// Put one before all others of its list in the store; those of the policy file come before
    ///
    /// A rule of an app may end with it: "+ * until=exit" counts until the oldest of the app's processes that
    /// run now has ended.
    Add {
        /// Whose rule: the name of a profile, the path of a program, or the id that `seawall ps --json` shows [default: everybody's]
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
        /// A rule for connections that others open to this machine
        #[arg(long)]
        incoming: bool,
        /// The rule, such as "- 10.0.0.1 TCP/80"
        #[arg(allow_hyphen_values = true)]
        rule: String,
    },
    /// Take one out of the store
    Remove(WhichRule),
    /// Switch one off: it stays in the store, and doesn't count
    Disable(WhichRule),
    /// Switch one on that was off
    Enable(WhichRule),
    /// Show the rules in force with the connections that each decided since the worker started
    List {
        /// Only those for one app: its name in the policy, or the path or id that it is known by
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
    },
    /// Say whether a line is a rule, and what it says of something
    ///
    /// Needs no running Seawall. Exit code 0: it is a rule, whether it matches
    /// or not; 2: it is none.
    Check(RuleCheck),
    /// Try a policy file against what you expect of it
    ///
    /// FILE has sections such as
    ///
    ///   [[expect]]
    ///   app = "/usr/bin/curl"     # or an app's id; nobody, if left out
    ///   target = "9.9.9.9:443"    # port 443, if left out
    ///   protocol = "tcp"          # that, if left out
    ///   inbound = false           # that, if left out
    ///   uid = 1000                # whose it is; nobody knows, if left out
    ///   interface = "eth0"        # which way it goes; nobody knows, if left out
    ///   network = "home"          # the [[network]] this machine is in; none, if left out
    ///   result = "permit"         # or "deny", or "ask"
    ///   rule = "+ 9.9.9.9"        # the rule that decides; any, if left out
    ///
    /// Needs no running Seawall. Exit code 0: all are met; 1: they are not.
    #[command(verbatim_doc_comment)]
    Test {
        /// The file of expectations
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// A rule that is in the store.
#[derive(Args, Clone, Debug)]
pub(crate) struct WhichRule {
    /// Whose rule: the name of an app in the policy, or the path or id that it is known by [default: everybody's]
    #[arg(long, value_name = "NAME|PATH|TAG")]
    pub(crate) app: Option<String>,
    /// A rule for connections that others open to this machine
    #[arg(long)]
    pub(crate) incoming: bool,
    /// The rule, as `seawall rule list` shows it
    #[arg(allow_hyphen_values = true)]
    pub(crate) rule: String,
}

/// What `seawall rule check` is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct RuleCheck {
    /// The rule, such as "- .example.com TCP/443"
    #[arg(allow_hyphen_values = true)]
    pub(crate) rule: String,
    /// The name that is called
    #[arg(long, value_parser = rule::domain)]
    pub(crate) domain: Option<String>,
    /// The address that is called
    #[arg(long)]
    pub(crate) ip: Option<IpAddr>,
    /// The protocol: a name, such as udp or icmp, or a number
    #[arg(long, value_parser = explain::protocol)]
    pub(crate) protocol: Option<Protocol>,
    /// The port that is called
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The number of the user whose connection it is
    #[arg(long)]
    pub(crate) uid: Option<u32>,
    /// The interface that leads to the other end
    #[arg(long)]
    pub(crate) interface: Option<String>,
    /// A [[network]] that this machine is in
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
}
