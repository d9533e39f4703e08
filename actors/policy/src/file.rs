//! The policy file: TOML text in, settings or a list of everything that is wrong with it out.
//!
//! Pure but for [`read`], which gets the text. Nothing is skipped or guessed: a
//! key that nobody knows is an error, for it may be a misspelt protection.
//!
//! ```toml
//! [filter]
//! default_action = "permit"      # or "block", or "ask": the user is asked
//! ask_timeout = 60               # seconds that a connection waits for the user's answer, 10 to 999999
//! block_inbound = false          # true: deny what others open, adopted listeners included
//! block_lan = false              # deny the LAN, both ways
//! block_internet = false         # deny the Internet, both ways
//! block_local = false            # deny connections of this machine with itself
//! outgoing_rules = ["- 10.0.0.5 TCP/80", "+ *"]
//! incoming_rules = ["+ LAN TCP/SSH"]
//! permanent_verdicts = true      # decided connections leave the packet queue
//! built_in_profiles = true       # what DNS, DHCP, time and the kernel need passes instead of being blocked or asked about
//! built_in_profiles_off = []     # those of them that don't count, by name
//!
//! [[app]]                        # any number; the first that fits a connection's owner counts
//! name = "curl"                  # what reasons call it; without it, the words of `match`
//! match = { path = "/usr/bin/curl" }  # whom it is about: all that is said has to fit
//! default_action = "block"       # the keys of [filter]; one that isn't said is as there
//! outgoing_rules = ["+ 10.0.0.0/8 TCP/443"]  # looked at before those of [filter]
//! use_parent = false             # true: what isn't said here is as it is said of what started the app
//!
//! [[network]]                    # up to 64; the settings of the first that the machine is in count
//! name = "cafe"                  # what rules call it: network=cafe
//! match = { gateway = "10.0.0.1", subnet = "10.0.0.0/8" }  # what it looks like: all that is said has to be so
//! block_lan = true               # the switches of [filter], and default_action; one that isn't said is as there
//!
//! [service]
//! mode = "open"                  # or "lockdown": new connections drop while Seawall is absent
//! backend = "auto"               # or "nft", "iptables-nft", "iptables-legacy"
//! queue_base = 7300              # first of 30 packet queues
//! mark_shift = 24                # lowest of 8 bits of the packet mark, 0 to 24
//! label_base = 64                # first of 64 connection labels, 0 or 64
//!
//! [metrics]
//! listen = "127.0.0.1:9817"      # or "off"
//! ```
//!
//! `match` knows `path`, `command_line`, `parent` (its path), `tag` (`snap:firefox`,
//! `script:/usr/bin/meld`, `unidentified`), `cgroup` and `sha256` (of the file).
//! But for the hash, a `*` in them stands for any text. That of a network knows
//! `gateway`, `gateway_mac`, `subnet` (of an own address), `interface` (with a `*`
//! for any text) and `ssid` (in which a `*` is a star).
//!
//! `block_inbound` is off by default, other than in Portmaster: there, a first
//! start on a server locks its owner out. Set to `true` it is meant, and beats
//! listeners that were adopted at the first start.

mod app;
mod network;
mod problem;
mod read;
mod section;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seawall_messages::keeper::Layout;
use seawall_messages::network::{NamedNetwork, Surroundings};
use seawall_messages::policy::{
    Adopted, AppFilter, AppPolicy, Mode, PolicyGeneration, Snapshot, lists,
};
use seawall_messages::rule::{Moment, Present, Rules};
use toml::de::{DeTable, DeValue};

use crate::built_in;
use crate::effective::{present, snapshot};
use crate::running::nothing_runs;
use crate::stored::Stored;

use self::problem::Collector;
use self::section::Section;

pub use self::app::{MAX_APPS, fingerprint_problem, is_name, name_expected};
pub use self::network::MAX_NETWORKS;
pub use self::problem::{Problem, Problems};
pub use self::read::{MAX_FILE_BYTES, ReadError, read};

/// Where the policy file lies if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/seawall/seawall.toml";

/// Most rules in one list.
pub const MAX_RULES: usize = 10_000;

/// How long a connection may wait for the user's answer, in seconds: long enough to read the question.
pub const ASK_TIMEOUT_S: RangeInclusive<u32> = 10..=999_999;

/// Port of the metrics listener if nobody says otherwise.
const DEFAULT_METRICS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9817));

/// A whole policy file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// `[filter]`: what it says is permitted.
    pub filter: AppFilter,
    /// `permanent_verdicts` of `[filter]`.
    pub permanent_verdicts: Option<bool>,
    /// `ask_timeout` of `[filter]`: how long a connection waits for the user's answer.
    pub ask_timeout: Option<Duration>,
    /// `built_in_profiles` and `built_in_profiles_off` of `[filter]`.
    pub built_in: built_in::Choice,
    /// `[[app]]`, in the order of the file: what is permitted to single apps.
    pub apps: Vec<AppPolicy>,
    /// `[[network]]`, in the order of the file: networks that have names.
    pub networks: Vec<NamedNetwork>,
    /// `[service]` and `[metrics]`: how Seawall runs.
    pub service: ServiceSettings,
}

/// `[service]` and `[metrics]`. All but `mode` are fixed when Seawall starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// What traffic does while Seawall is absent.
    pub mode: Mode,
    /// Which program writes the firewall rules.
    pub backend: BackendChoice,
    /// Number of the first packet queue.
    pub queue_base: u16,
    /// Lowest bit of our eight bits in the packet mark.
    pub mark_shift: u8,
    /// First of our 64 connection labels.
    pub label_base: u8,
    /// Where metrics are served; `None` for nowhere.
    pub metrics_listen: Option<SocketAddr>,
}

/// Which program writes the firewall rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The first that works.
    #[default]
    Auto,
    /// nft.
    Nft,
    /// iptables on top of nftables.
    IptablesNft,
    /// iptables with its own tables.
    IptablesLegacy,
}

/// Reads the text of a policy file. `path` is only for error messages.
pub fn parse(text: &str, path: &Path) -> Result<PolicyFile, Problems> {
    let mut collector = Collector::new(text);
    collector.refuse_restart();
    parse_with(collector, text, path, MAX_APPS)
}

/// The same of a text that somebody says now, to be kept: with so many `[[app]]` sections at most,
/// and where networks of these names are known already.
pub(crate) fn parse_said(
    text: &str,
    path: &Path,
    most_apps: usize,
    networks: &[Arc<str>],
) -> Result<PolicyFile, Problems> {
    let mut collector = Collector::new(text);
    for name in networks {
        collector.know_network(name);
    }
    parse_with(collector, text, path, most_apps)
}

fn parse_with<'t>(
    mut collector: Collector<'t>,
    text: &'t str,
    path: &Path,
    most_apps: usize,
) -> Result<PolicyFile, Problems> {
    let root = syntax(text, &mut collector);
    let file = root.map(|root| document(root.get_ref(), &mut collector, most_apps));
    let file = file.unwrap_or_default();
    match collector.finish(path) {
        None => Ok(file),
        Some(problems) => Err(problems),
    }
}

impl PolicyFile {
    /// What is so at that moment there, as far as its rules look at it. Looks users up.
    pub fn present(&self, moment: Moment, surroundings: &Surroundings) -> Present {
        present(self, &Stored::default(), moment, surroundings, nothing_runs)
    }

    /// The policy that it makes at present, where the store says nothing.
    pub fn snapshot(
        &self,
        generation: PolicyGeneration,
        adopted: Vec<Adopted>,
        at: &Present,
    ) -> Snapshot {
        snapshot(self, &Stored::default(), generation, adopted, at)
    }

    /// All its lists of rules.
    pub fn lists(&self) -> impl Iterator<Item = &Rules> {
        let for_all = [&self.filter.outgoing_rules, &self.filter.incoming_rules];
        lists(for_all, self.apps.iter())
    }
}

impl Default for ServiceSettings {
    fn default() -> Self {
        let layout = Layout::default();
        Self {
            mode: Mode::Open,
            backend: BackendChoice::Auto,
            queue_base: layout.queue_base,
            mark_shift: layout.mark_shift,
            label_base: layout.label_base,
            metrics_listen: Some(DEFAULT_METRICS),
        }
    }
}

impl ServiceSettings {
    /// Queues, mark bits and labels, with the group id that Seawall is built with.
    pub fn layout(&self) -> Layout {
        Layout {
            queue_base: self.queue_base,
            mark_shift: self.mark_shift,
            label_base: self.label_base,
            ..Layout::default()
        }
    }

    /// The settings that differ and only take effect when Seawall starts.
    pub fn restart_needed(&self, running: &Self) -> Vec<String> {
        let fixed = [
            (self.backend != running.backend, "service.backend"),
            (self.queue_base != running.queue_base, "service.queue_base"),
            (self.mark_shift != running.mark_shift, "service.mark_shift"),
            (self.label_base != running.label_base, "service.label_base"),
            (self.metrics_listen != running.metrics_listen, "metrics.listen"),
        ];
        fixed.iter().filter(|(differs, _)| *differs).map(|(_, name)| (*name).to_owned()).collect()
    }
}

/// The document's table. With errors, as much of it as could be made out, so
/// that what else is wrong is found in the same go.
fn syntax<'t>(text: &'t str, collector: &mut Collector<'t>) -> Option<toml::Spanned<DeTable<'t>>> {
    // Every stray byte is an error with a message of its own: memory, so only for small files.
    const RECOVER_BYTES: usize = 64 * 1024;
    match DeTable::parse(text) {
        Ok(root) => Some(root),
        Err(_) if text.len() <= RECOVER_BYTES => {
            let (root, errors) = DeTable::parse_recoverable(text);
            for error in &errors {
                collector.syntax(error);
            }
            Some(root)
        }
        Err(error) => {
            collector.syntax(&error);
            None
        }
    }
}

fn document(root: &DeTable<'_>, collector: &mut Collector<'_>, most_apps: usize) -> PolicyFile {
    const SECTIONS: [&str; 5] = ["filter", "app", "network", "service", "metrics"];
    collector.unknown_keys("", root, &SECTIONS, &[]);
    // Ahead of all rules, which may name them.
    let networks = network::networks(root, collector);
    let mut section = Section::open("filter", root, collector);
    let filter = layer(&mut section);
    let permanent_verdicts = section.boolean("permanent_verdicts");
    let ask_timeout = section.integer("ask_timeout", *ASK_TIMEOUT_S.start(), *ASK_TIMEOUT_S.end());
    let ask_timeout = ask_timeout.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let built_in = built_in::Choice {
        on: section.boolean("built_in_profiles"),
        off: section.built_in_profiles("built_in_profiles_off"),
    };
    section.close();
    let apps = app::apps(root, collector, most_apps);
    let mut service = service(&mut Section::open("service", root, collector));
    service.metrics_listen = metrics(&mut Section::open("metrics", root, collector));
    PolicyFile { filter, permanent_verdicts, ask_timeout, built_in, apps, networks, service }
}

/// The keys that `[filter]` and `[[app]]` have in common.
fn layer(section: &mut Section<'_, '_, '_>) -> AppFilter {
    let mut layer = app::switches(section);
    layer.outgoing_rules = section.rules("outgoing_rules").unwrap_or_default();
    layer.incoming_rules = section.rules("incoming_rules").unwrap_or_default();
    layer
}

fn service(section: &mut Section<'_, '_, '_>) -> ServiceSettings {
    // Thirty queues: see `seawall_messages::keeper::Layout`.
    const LAST_QUEUE_BASE: u16 = u16::MAX - 29;
    let default = ServiceSettings::default();
    let modes = [("open", Mode::Open), ("lockdown", Mode::Lockdown)];
    let backends = [
        ("auto", BackendChoice::Auto),
        ("nft", BackendChoice::Nft),
        ("iptables-nft", BackendChoice::IptablesNft),
        ("iptables-legacy", BackendChoice::IptablesLegacy),
    ];
    let settings = ServiceSettings {
        mode: section.choice("mode", &modes).unwrap_or(default.mode),
        backend: section.choice("backend", &backends).unwrap_or(default.backend),
        queue_base: section.integer("queue_base", 0, LAST_QUEUE_BASE).unwrap_or(default.queue_base),
        mark_shift: section.integer("mark_shift", 0, 24).unwrap_or(default.mark_shift),
        label_base: section.one_of("label_base", [0, 64]).unwrap_or(default.label_base),
        metrics_listen: None,
    };
    section.close();
    settings
}

fn metrics(section: &mut Section<'_, '_, '_>) -> Option<SocketAddr> {
    let listen =
        section.parsed("listen", "an address and port such as 127.0.0.1:9817, or off", |text| {
            if text == "off" { Some(None) } else { text.parse().ok().map(Some) }
        });
    section.close();
    listen.unwrap_or(Some(DEFAULT_METRICS))
}

/// A value as named in an error: `the string "on"`.
fn describe(value: &DeValue<'_>) -> String {
    const LONGEST: usize = 40;
    match value {
        DeValue::String(text) => {
            let mut shown: String = text.chars().take(LONGEST).collect();
            if text.chars().nth(LONGEST).is_some() {
                shown.push('…');
            }
            format!("the string {shown:?}")
        }
        DeValue::Integer(number) => {
            format!("the number {}", number.to_string().chars().take(LONGEST).collect::<String>())
        }
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
