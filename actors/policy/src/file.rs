//! The policy file: TOML text in, settings or a list of everything that is wrong with it out.
//!
//! Pure but for [`read`], which gets the text. Nothing is skipped or guessed: a
//! key that nobody knows is an error, for it may be a misspelt protection.
//!
//! ```toml
//! [filter]
//! default_action = "permit"      # or "block"
//! block_inbound = false          # true: deny what others open, adopted listeners included
//! block_lan = false              # deny the LAN, both ways
//! block_internet = false         # deny the Internet, both ways
//! block_local = false            # deny connections of this machine with itself
//! outgoing_rules = ["- 10.0.0.5 TCP/80", "+ *"]
//! incoming_rules = ["+ LAN TCP/SSH"]
//! permanent_verdicts = true      # decided connections leave the packet queue
//!
//! [[app]]                        # any number; the first that fits a connection's owner counts
//! name = "curl"                  # what reasons call it; without it, the words of `match`
//! match = { path = "/usr/bin/curl" }  # whom it is about: all that is said has to fit
//! default_action = "block"       # the keys of [filter]; one that isn't said is as there
//! outgoing_rules = ["+ 10.0.0.0/8 TCP/443"]  # looked at before those of [filter]
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
//! for any text) and `ssid`.
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
use std::path::Path;
use std::sync::Arc;

use seawall_messages::keeper::Layout;
use seawall_messages::network::{LOOPBACK, NamedNetwork, Surroundings};
use seawall_messages::policy::{
    Adopted, AppPolicy, DefaultAction, Filter, Mode, PolicyGeneration, Snapshot, lists,
};
use seawall_messages::rule::{Moment, Present, Rules};
use toml::de::{DeTable, DeValue};

use self::problem::Collector;
use self::section::{DEFAULT_ACTIONS, PROMPTS, Section};
use crate::users;

pub use self::app::MAX_APPS;
pub use self::network::MAX_NETWORKS;
pub use self::problem::{Problem, Problems};
pub use self::read::{MAX_FILE_BYTES, ReadError, read};

/// Where the policy file lies if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/seawall/seawall.toml";

/// Most rules in one list.
pub const MAX_RULES: usize = 10_000;

/// Port of the metrics listener if nobody says otherwise.
const DEFAULT_METRICS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9817));

/// A whole policy file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// `[filter]`: what is permitted.
    pub filter: FilterSettings,
    /// `[[app]]`, in the order of the file: what is permitted to single apps.
    pub apps: Vec<AppPolicy>,
    /// `[[network]]`, in the order of the file: networks that have names.
    pub networks: Vec<NamedNetwork>,
    /// `[service]` and `[metrics]`: how Seawall runs.
    pub service: ServiceSettings,
}

/// `[filter]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSettings {
    /// What undecided connections get.
    pub default_action: DefaultAction,
    /// Deny every inbound connection.
    pub block_inbound: bool,
    /// Deny the LAN, both ways.
    pub block_lan: bool,
    /// Deny the Internet, both ways.
    pub block_internet: bool,
    /// Deny connections of this machine with itself.
    pub block_local: bool,
    /// Rules for outbound and forwarded connections.
    pub outgoing_rules: Rules,
    /// Rules for inbound connections.
    pub incoming_rules: Rules,
    /// Whether a decided flow leaves the queue.
    pub permanent_verdicts: bool,
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
    let root = syntax(text, &mut collector);
    let file = root.map(|root| document(root.get_ref(), &mut collector)).unwrap_or_default();
    match collector.finish(path) {
        None => Ok(file),
        Some(problems) => Err(problems),
    }
}

impl PolicyFile {
    /// What is so at that moment there, as far as its rules look at it. Looks users up.
    pub fn present(&self, moment: Moment, surroundings: &Surroundings) -> Present {
        let here = self.networks.iter().filter(|network| network.looks.fits(surroundings));
        Present {
            moment,
            networks: here.map(|network| Arc::clone(&network.name)).collect(),
            users: users::named_by(self.lists().flatten()),
            interfaces: self.interfaces(surroundings),
        }
    }

    /// Those that rules may name; none where no rule does, so that nothing changes when they do.
    fn interfaces(&self, surroundings: &Surroundings) -> Vec<(u32, Arc<str>)> {
        if !self.lists().any(Rules::looks_at_interfaces) {
            return Vec::new();
        }
        let (index, name) = LOOPBACK;
        let named = surroundings.interfaces.iter().map(|it| (it.index, Arc::clone(&it.name)));
        std::iter::once((index, Arc::from(name))).chain(named).collect()
    }

    /// The policy that it makes at present.
    pub fn snapshot(
        &self,
        generation: PolicyGeneration,
        adopted: Vec<Adopted>,
        at: &Present,
    ) -> Snapshot {
        let mut filter = self.filter.permitted();
        filter.outgoing_rules = filter.outgoing_rules.at(at);
        filter.incoming_rules = filter.incoming_rules.at(at);
        let mut apps = self.apps.clone();
        for app in &mut apps {
            app.filter.outgoing_rules = app.filter.outgoing_rules.at(at);
            app.filter.incoming_rules = app.filter.incoming_rules.at(at);
        }
        let mut networks = self.networks.clone();
        for network in &mut networks {
            network.is_here = at.networks.contains(&network.name);
        }
        Snapshot {
            generation,
            filter,
            apps,
            permanent_verdicts: self.filter.permanent_verdicts,
            mode: self.service.mode,
            adopted,
            paused: false,
            networks,
        }
    }

    /// All its lists of rules.
    pub fn lists(&self) -> impl Iterator<Item = &Rules> {
        lists([&self.filter.outgoing_rules, &self.filter.incoming_rules], &self.apps)
    }
}

impl Default for FilterSettings {
    fn default() -> Self {
        Self {
            default_action: DefaultAction::Permit,
            block_inbound: false,
            block_lan: false,
            block_internet: false,
            block_local: false,
            outgoing_rules: Rules::default(),
            incoming_rules: Rules::default(),
            permanent_verdicts: true,
        }
    }
}

impl FilterSettings {
    /// What is permitted, as `verdict` reads it.
    pub fn permitted(&self) -> Filter {
        Filter {
            default_action: self.default_action,
            block_inbound: self.block_inbound,
            block_lan: self.block_lan,
            block_internet: self.block_internet,
            block_local: self.block_local,
            outgoing_rules: self.outgoing_rules.clone(),
            incoming_rules: self.incoming_rules.clone(),
        }
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

fn document(root: &DeTable<'_>, collector: &mut Collector<'_>) -> PolicyFile {
    const SECTIONS: [&str; 5] = ["filter", "app", "network", "service", "metrics"];
    collector.unknown_keys("", root, &SECTIONS, &[]);
    // Ahead of all rules, which may name them.
    let networks = network::networks(root, collector);
    let filter = filter(&mut Section::open("filter", root, collector));
    let apps = app::apps(root, collector);
    let mut service = service(&mut Section::open("service", root, collector));
    service.metrics_listen = metrics(&mut Section::open("metrics", root, collector));
    PolicyFile { filter, apps, networks, service }
}

fn filter(section: &mut Section<'_, '_, '_>) -> FilterSettings {
    let default = FilterSettings::default();
    let mut settings = FilterSettings {
        default_action: section
            .choice("default_action", &DEFAULT_ACTIONS, Some(PROMPTS))
            .unwrap_or(default.default_action),
        ..default
    };
    for (key, value) in [
        ("block_inbound", &mut settings.block_inbound),
        ("block_lan", &mut settings.block_lan),
        ("block_internet", &mut settings.block_internet),
        ("block_local", &mut settings.block_local),
        ("permanent_verdicts", &mut settings.permanent_verdicts),
    ] {
        *value = section.boolean(key).unwrap_or(*value);
    }
    settings.outgoing_rules = section.rules("outgoing_rules").unwrap_or_default();
    settings.incoming_rules = section.rules("incoming_rules").unwrap_or_default();
    section.close();
    settings
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
        mode: section.choice("mode", &modes, None).unwrap_or(default.mode),
        backend: section.choice("backend", &backends, None).unwrap_or(default.backend),
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
