//! Profiles that come with Seawall: what a machine's own plumbing needs, so that it is neither cut
//! nor asked about where `default_action` blocks or asks. Pure.
//!
//! They permit and never deny, and only what `default_action` for all would not: whatever else is
//! said, of the app or of the network or for all, comes first. Programs are known by files in
//! folders that only root writes.

use std::sync::{Arc, OnceLock};

use seawall_messages::policy::{
    AppFilter, AppMatch, AppPolicy, BuiltIns, Fingerprint, Pattern, Profile,
};
use seawall_messages::rule::Rules;
use seawall_messages::setting::{Value, Values};

use crate::rule;
use crate::stored::fingerprint_of;

/// A profile that comes with Seawall.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// What it is called.
    pub name: &'static str,
    /// Whom it is about: names of programs in [`FOLDERS`], or whole paths.
    programs: &'static [&'static str],
    /// Or the id of an app.
    app: Option<&'static str>,
    /// What is permitted to them, outbound.
    rules: &'static [&'static str],
}

/// What is said of them as a whole, in the file or in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `built_in_profiles`
    pub on: Option<bool>,
    /// `built_in_profiles_off`
    pub off: Vec<&'static str>,
}

/// Where the system's programs are. A file elsewhere, whatever its name, is somebody else.
const FOLDERS: [&str; 6] =
    ["/usr/bin", "/usr/sbin", "/usr/lib/systemd", "/bin", "/sbin", "/lib/systemd"];

/// All of them.
pub const ALL: [BuiltIn; 7] = [
    BuiltIn {
        name: "DNS clients",
        programs: &["systemd-resolved", "dnsmasq", "unbound", "named", "stubby", "nscd"],
        app: None,
        // Names of the LAN: multicast DNS, and LLMNR.
        rules: &[
            "+ * UDP/53",
            "+ * TCP/53",
            "+ * TCP/853",
            "+ * UDP/853",
            "+ LAN UDP/5353",
            "+ LAN UDP/5355",
            "+ LAN TCP/5355",
        ],
    },
    BuiltIn {
        name: "DNS over HTTPS",
        programs: &["dnscrypt-proxy"],
        app: None,
        rules: &[
            "+ * UDP/53",
            "+ * TCP/53",
            "+ * TCP/853",
            "+ * UDP/853",
            "+ * TCP/443",
            "+ * UDP/443",
        ],
    },
    BuiltIn {
        name: "DHCP clients",
        programs: &["dhclient", "dhcpcd", "systemd-networkd"],
        app: None,
        rules: &["+ * UDP/67", "+ * UDP/547"],
    },
    BuiltIn {
        name: "NetworkManager",
        programs: &["NetworkManager"],
        app: None,
        rules: &["+ * UDP/67", "+ * UDP/547", "+ * UDP/53", "+ * TCP/53", "+ * TCP/853"],
    },
    BuiltIn {
        name: "Time synchronisation",
        programs: &["systemd-timesyncd", "chronyd", "ntpd"],
        app: None,
        // They look their servers up, and not everywhere is there a name server on the machine.
        rules: &["+ * UDP/123", "+ * TCP/4460", "+ * UDP/53", "+ * TCP/53"],
    },
    BuiltIn {
        name: "The kernel",
        programs: &[],
        app: Some("kernel"),
        // Tunnels (WireGuard may use any port), IPsec; NFS with its helpers, SMB, iSCSI, NVMe.
        rules: &[
            "+ * UDP",
            "+ * 4",
            "+ * 41",
            "+ * 47",
            "+ * 50",
            "+ * 51",
            "+ * TCP/111",
            "+ * TCP/445",
            "+ * TCP/2049",
            "+ * TCP/3260",
            "+ * TCP/4420",
            "+ * TCP/20048",
        ],
    },
    BuiltIn {
        name: "Seawall",
        programs: &["seawall", "/usr/local/bin/seawall"],
        app: None,
        // It opens no others of its own accord.
        rules: &["+ Localhost"],
    },
];

/// The key of those that are switched off.
pub const OFF: &str = "built_in_profiles_off";

/// The one that is called so, or that is about that program or app.
pub fn meant(app: &str) -> Option<&'static BuiltIn> {
    let wanted = fingerprint_of(&AppMatch::of_text(app));
    let by_program = || ALL.iter().find(|built_in| built_in.fingerprints().contains(&wanted));
    find(app).or_else(by_program)
}

/// Those that are off when one of them is switched.
pub fn switched(off: &[&'static str], name: &'static str, on: bool) -> Vec<&'static str> {
    let others = off.iter().copied().filter(|other| *other != name);
    others.chain((!on).then_some(name)).collect()
}

/// The one that is called so.
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.name.eq_ignore_ascii_case(name))
}

/// Their names, for people.
pub fn names() -> String {
    ALL.map(|built_in| format!("\"{}\"", built_in.name)).join(", ")
}

/// All but those of these names.
pub fn all_but(off: &[&str]) -> BuiltIns {
    static EVERYTHING: OnceLock<BuiltIns> = OnceLock::new();
    let without = |off: &[&str]| {
        let is_on = |built_in: &&BuiltIn| !off.contains(&built_in.name);
        BuiltIns::from(ALL.iter().filter(is_on).flat_map(BuiltIn::policies).collect::<Vec<_>>())
    };
    if off.is_empty() { EVERYTHING.get_or_init(|| without(&[])).clone() } else { without(off) }
}

impl Choice {
    /// Those that count where this is said, and that where it says nothing.
    pub fn over(&self, kept: &Self) -> BuiltIns {
        match self.on.or(kept.on) {
            Some(false) => BuiltIns::default(),
            Some(true) | None => all_but(&[self.off.as_slice(), &kept.off].concat()),
        }
    }

    /// Those that are switched off one by one, where some are.
    pub fn names(&self) -> Option<Value> {
        let names = || Value::Rules(self.off.iter().map(|name| (*name).to_owned()).collect());
        (!self.off.is_empty()).then(names)
    }

    /// All of them, as they are shown.
    pub fn profiles(&self, kept: &Self) -> Vec<Profile> {
        let all_off = self.on.or(kept.on) == Some(false);
        let is_off = |name: &&str| all_off || self.off.contains(name) || kept.off.contains(name);
        ALL.iter().map(|built_in| built_in.profile(is_off(&built_in.name))).collect()
    }
}

impl BuiltIn {
    /// As it is shown. `is_off`: it doesn't count.
    pub fn profile(&self, is_off: bool) -> Profile {
        let rules = self.rules.iter().map(|rule| (*rule).to_owned()).collect();
        let problem = is_off.then(|| "it is switched off".to_owned());
        Profile {
            id: 0,
            name: Arc::from(self.name),
            matches: self.fingerprints(),
            settings: Values::from([("outgoing_rules".to_owned(), Value::Rules(rules))]),
            problems: problem.into_iter().collect(),
            created_s: 0,
        }
    }

    /// Whom it is about: any of these.
    fn fingerprints(&self) -> Vec<Fingerprint> {
        let of_path =
            |path: &str| Fingerprint { path: Some(Pattern::new(path)), ..Fingerprint::default() };
        let of_program = |program: &&'static str| match program.starts_with('/') {
            true => vec![of_path(program)],
            false => FOLDERS.map(|folder| of_path(&format!("{folder}/{program}"))).to_vec(),
        };
        let of_app = self
            .app
            .map(|app| Fingerprint { tag: Some(Pattern::new(app)), ..Fingerprint::default() });
        self.programs.iter().flat_map(of_program).chain(of_app).collect()
    }

    fn policies(&self) -> Vec<AppPolicy> {
        let outgoing_rules: Rules =
            self.rules.iter().filter_map(|line| rule::parse(line).ok()).collect();
        let filter = AppFilter { outgoing_rules, ..AppFilter::default() };
        let name: Arc<str> = Arc::from(self.name);
        let policy = |fingerprint| AppPolicy {
            name: Arc::clone(&name),
            fingerprint,
            filter: filter.clone(),
        };
        self.fingerprints().into_iter().map(policy).collect()
    }
}

#[cfg(test)]
mod tests {
    use seawall_messages::rule::Permission;

    use super::*;
    use crate::file::{fingerprint_problem, is_name};

    #[test]
    fn each_of_them_is_as_a_user_could_have_said_it_and_permits_outbound_alone() {
        for built_in in ALL {
            assert!(is_name(built_in.name));
            let policies = built_in.policies();
            for AppPolicy { fingerprint, filter, .. } in &policies {
                assert_eq!(fingerprint_problem(fingerprint), None, "{}", built_in.name);
                assert_eq!(filter.outgoing_rules.len(), built_in.rules.len(), "{}", built_in.name);
                let is_permit = |rule: &seawall_messages::rule::Rule| {
                    rule.permission == Permission::Permit && rule.only.is_none()
                };
                assert!(filter.outgoing_rules.iter().all(is_permit), "{}", built_in.name);
            }
            assert!(!policies.is_empty());
            assert_eq!(find(&built_in.name.to_uppercase()).map(|it| it.name), Some(built_in.name));
        }
    }

    #[test]
    fn no_program_is_in_two_of_them() {
        let mut programs: Vec<_> = ALL.iter().flat_map(|built_in| built_in.programs).collect();
        let count = programs.len();
        programs.sort_unstable();
        programs.dedup();
        assert_eq!(programs.len(), count);
    }

    #[test]
    fn those_that_are_off_are_not_there() {
        let everything = all_but(&[]);
        let without = all_but(&["DNS clients"]);
        assert_ne!(everything, without);
        assert_eq!(everything, all_but(&[]));
        let all: Vec<_> = ALL.map(|built_in| built_in.name).into();
        assert!(all_but(&all).is_empty());
        let off = switched(&["Seawall"], "The kernel", false);
        assert_eq!(off, ["Seawall", "The kernel"]);
        assert_eq!(switched(&off, "Seawall", true), ["The kernel"]);
    }

    #[test]
    fn one_is_meant_by_its_name_or_a_program() {
        let cases = [
            ("dns clients", Some("DNS clients")),
            ("/usr/sbin/dnsmasq", Some("DNS clients")),
            ("/usr/local/sbin/dnsmasq", None),
            ("/usr/local/bin/seawall", Some("Seawall")),
            ("kernel", Some("The kernel")),
            ("x", None),
        ];
        for (app, name) in cases {
            assert_eq!(meant(app).map(|built_in| built_in.name), name, "{app}");
        }
    }

    #[test]
    fn what_is_said_of_all_switches_them_off() {
        let said = |on, off: &[&'static str]| Choice { on, off: off.to_vec() };
        let cases = [
            (said(None, &[]), said(None, &[]), 0),
            (said(None, &["Seawall"]), said(None, &["The kernel"]), 2),
            (said(None, &[]), said(Some(false), &[]), ALL.len()),
            (said(Some(true), &[]), said(Some(false), &["Seawall"]), 1),
            (said(Some(false), &[]), said(Some(true), &[]), ALL.len()),
        ];
        for (file, kept, off) in cases {
            let shown = file.profiles(&kept);
            let told = shown.iter().filter(|profile| !profile.problems.is_empty()).count();
            assert_eq!((told, file.over(&kept).is_empty()), (off, off == ALL.len()));
        }
    }
}
