//! Which apps a connection's owner belongs to: a section of the file, a profile of the store, or both.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{AppPolicy, Snapshot};
use crate::process::{Attribution, Process};
use crate::verdict::Whose;

/// The profiles that say something, most telling fingerprint first, with an
/// index: who has thousands of them has one for each program.
#[derive(Clone, Default)]
pub struct Profiles {
    all: Arc<[AppPolicy]>,
    index: Arc<Index>,
}

/// Positions, each list ascending.
#[derive(Default)]
struct Index {
    paths: HashMap<Arc<str>, Vec<u32>>,
    tags: HashMap<Arc<str>, Vec<u32>>,
    /// Those that name neither, or by a pattern.
    others: Vec<u32>,
}

/// Where in a snapshot somebody's settings are: for who remembers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppPlace {
    own: Layers,
    /// Those of the program that started it.
    parent: Layers,
    /// The profile that comes with Seawall, of whom nothing else is said.
    built_in: Option<u32>,
}

/// What the file and the store say of one app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layers {
    section: Option<u32>,
    profile: Option<u32>,
}

/// Somebody's settings: what the file says of them counts before what the store says.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppLayers<'a> {
    /// The section of the file.
    pub section: Option<&'a AppPolicy>,
    /// The profile of the store.
    pub profile: Option<&'a AppPolicy>,
    /// Where those say `use_parent`: the section of the program that started it.
    pub parent_section: Option<&'a AppPolicy>,
    /// And the profile.
    pub parent_profile: Option<&'a AppPolicy>,
    /// Where there are none of these: the profile that comes with Seawall. Not one of those that
    /// [`iter`](Self::iter) gives, for it counts last.
    pub built_in: Option<&'a AppPolicy>,
}

impl Profiles {
    /// The first that fits somebody.
    fn position(&self, process: Option<&Process>) -> Option<u32> {
        let Some(process) = process else {
            return self.first(|app| app.fingerprint.means_unidentified());
        };
        let fits = |at: &&u32| self.at(**at).is_some_and(|app| app.fingerprint.fits(process));
        let first = |positions: &[u32]| positions.iter().find(fits).copied();
        [
            self.index.paths.get(&process.path).and_then(|of| first(of)),
            self.index.tags.get(&process.app.id).and_then(|of| first(of)),
            first(&self.index.others),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn first(&self, is_it: impl Fn(&AppPolicy) -> bool) -> Option<u32> {
        self.all.iter().position(is_it).and_then(|at| u32::try_from(at).ok())
    }

    fn at(&self, position: u32) -> Option<&AppPolicy> {
        self.all.get(usize::try_from(position).ok()?)
    }

    fn of(&self, layers: Layers) -> Option<&AppPolicy> {
        self.at(layers.profile?)
    }
}

impl From<Vec<AppPolicy>> for Profiles {
    fn from(mut all: Vec<AppPolicy>) -> Self {
        // Stable: of equals the one that was made first counts.
        all.sort_by_key(|app| std::cmp::Reverse(app.fingerprint.weight()));
        let mut index = Index::default();
        for (at, app) in (0..).zip(&all) {
            match app.fingerprint.literal() {
                Literal::Path(path) => index.paths.entry(path).or_default().push(at),
                Literal::Tag(tag) => index.tags.entry(tag).or_default().push(at),
                Literal::None => index.others.push(at),
            }
        }
        Self { all: all.into(), index: Arc::new(index) }
    }
}

/// The text of a fingerprint that only one path or id has.
pub(super) enum Literal {
    /// The path.
    Path(Arc<str>),
    /// The id.
    Tag(Arc<str>),
    /// There is none.
    None,
}

impl Deref for Profiles {
    type Target = [AppPolicy];

    fn deref(&self) -> &[AppPolicy] {
        &self.all
    }
}

impl PartialEq for Profiles {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.all, &other.all) || self.all == other.all
    }
}

impl Eq for Profiles {}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.fmt(f)
    }
}

impl AppPlace {
    /// Whether nothing is said of them.
    pub fn is_nowhere(self) -> bool {
        self == Self::default()
    }
}

impl<'a> AppLayers<'a> {
    /// Whether what isn't said of the app itself is as it is said of what started it.
    pub fn uses_parent(self) -> bool {
        let own = [self.section, self.profile];
        own.into_iter().flatten().find_map(|app| app.filter.use_parent) == Some(true)
    }

    /// Those there are, the one that counts first first, and of whom each is said.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = (Whose, &'a AppPolicy)> {
        let own = self.section.into_iter().chain(self.profile);
        let parents = self.parent_section.into_iter().chain(self.parent_profile);
        own.map(|app| (Whose::Own, app)).chain(parents.map(|app| (Whose::Parent, app)))
    }
}

impl<'a> From<Option<&'a AppPolicy>> for AppLayers<'a> {
    fn from(section: Option<&'a AppPolicy>) -> Self {
        Self { section, ..Self::default() }
    }
}

impl Snapshot {
    /// Where the settings of a connection's owner are. A connection that nobody
    /// knows the owner of has only those whose fingerprint says so and no more.
    pub fn app_place(&self, attribution: &Attribution) -> AppPlace {
        let own = self.layers_about(attribution.process.as_deref());
        let parent = match &attribution.process {
            Some(process) if self.layers(own, Layers::default()).uses_parent() => {
                self.layers_of_parent(process, own)
            }
            _ => Layers::default(),
        };
        let built_in = match &attribution.process {
            Some(process) if own == Layers::default() => {
                self.built_in.profiles.position(Some(process))
            }
            _ => None,
        };
        AppPlace { own, parent, built_in }
    }

    fn layers_about(&self, process: Option<&Process>) -> Layers {
        let fits = |app: &AppPolicy| match process {
            Some(process) => app.fingerprint.fits(process),
            None => app.fingerprint.means_unidentified(),
        };
        Layers {
            section: self.apps.iter().position(fits).and_then(|at| u32::try_from(at).ok()),
            profile: self.profiles.position(process),
        }
    }

    /// What is said of the nearest program that started a process and that something else is said of.
    fn layers_of_parent(&self, process: &Process, own: Layers) -> Layers {
        let says_something = |layers: &Layers| {
            let said = [self.section(*layers), self.profiles.of(*layers)];
            *layers != own && said.into_iter().flatten().any(|app| app.filter.says_something())
        };
        let layers = process.ancestors.iter().map(|ancestor| self.layers_about(Some(ancestor)));
        layers.into_iter().find(says_something).unwrap_or_default()
    }

    fn section(&self, of: Layers) -> Option<&AppPolicy> {
        self.apps.get(usize::try_from(of.section?).ok()?)
    }

    /// What is at a place of this snapshot.
    pub fn app_layers(&self, AppPlace { own, parent, built_in }: AppPlace) -> AppLayers<'_> {
        let built_in = built_in.and_then(|at| self.built_in.profiles.at(at));
        AppLayers { built_in, ..self.layers(own, parent) }
    }

    fn layers(&self, own: Layers, parent: Layers) -> AppLayers<'_> {
        AppLayers {
            section: self.section(own),
            profile: self.profiles.of(own),
            parent_section: self.section(parent),
            parent_profile: self.profiles.of(parent),
            built_in: None,
        }
    }

    /// The settings of a connection's owner.
    pub fn layers_of(&self, attribution: &Attribution) -> AppLayers<'_> {
        self.app_layers(self.app_place(attribution))
    }

    /// The profile that counts for a process.
    pub fn profile_of(&self, process: &Process) -> Option<&AppPolicy> {
        self.profiles.at(self.profiles.position(Some(process))?)
    }

    /// All sections and profiles.
    pub fn all_apps(&self) -> impl Iterator<Item = &AppPolicy> {
        self.apps.iter().chain(self.profiles.iter())
    }

    /// Whether the hash of a file may matter.
    pub fn asks_for_hashes(&self) -> bool {
        self.all_apps().any(|app| app.fingerprint.sha256.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{AppFilter, BuiltIns, Fingerprint, Pattern};
    use crate::process::{App, AppKind, Method, Process};

    fn app(name: &str, fingerprint: Fingerprint) -> AppPolicy {
        AppPolicy { name: Arc::from(name), fingerprint, filter: AppFilter::default() }
    }

    fn path(text: &str) -> Fingerprint {
        Fingerprint { path: Some(Pattern::new(text)), ..Fingerprint::default() }
    }

    fn tag(text: &str) -> Fingerprint {
        Fingerprint { tag: Some(Pattern::new(text)), ..Fingerprint::default() }
    }

    fn attribution(id: &str, path: &str) -> Attribution {
        let app = App { id: Arc::from(id), kind: AppKind::Path, name: Arc::from(id), icon: None };
        let process = Some(Arc::new(Process::made_up(app, path)));
        Attribution { method: Method::OpenFiles, process }
    }

    #[test]
    fn the_most_telling_profile_counts_and_the_section_before_it() {
        let with_parent = Fingerprint { parent: Some(Pattern::new("")), ..path("/usr/bin/curl") };
        let profiles = Profiles::from(vec![
            app("bin", path("/usr/bin/*")),
            app("curl", path("/usr/bin/curl")),
            app("orphan", with_parent),
            app("snap", tag("snap:x")),
            app("nobody", tag("unidentified")),
            app("second", path("/usr/bin/wget")),
            app("third", path("/usr/bin/wget")),
        ]);
        let apps = vec![app("section", path("/usr/bin/curl"))];
        let snapshot = Snapshot { apps, profiles, ..Snapshot::unloaded() };
        let cases = [
            (attribution("path:/usr/bin/curl", "/usr/bin/curl"), Some("section"), Some("orphan")),
            (attribution("path:/usr/bin/wget", "/usr/bin/wget"), None, Some("second")),
            (attribution("path:/usr/bin/nc", "/usr/bin/nc"), None, Some("bin")),
            (attribution("snap:x", "/snap/x/1/x"), None, Some("snap")),
            (attribution("path:/opt/x", "/opt/x"), None, None),
            (Attribution::unidentified(), None, Some("nobody")),
        ];
        for (attribution, section, profile) in cases {
            let AppLayers { section: in_file, profile: in_store, .. } =
                snapshot.layers_of(&attribution);
            let name = |app: Option<&AppPolicy>| app.map(|app| app.name.to_string());
            let found = (name(in_file), name(in_store));
            assert_eq!((found.0.as_deref(), found.1.as_deref()), (section, profile));
        }
        assert_eq!(snapshot.all_apps().count(), 8);
        assert!(snapshot.app_place(&attribution("x", "/opt/x")).is_nowhere());
    }

    #[test]
    fn an_app_that_says_so_has_what_is_said_of_the_nearest_that_started_it() {
        let says = |name: &str, use_parent: Option<bool>, block_lan: Option<bool>| AppPolicy {
            filter: AppFilter { use_parent, block_lan, ..AppFilter::default() },
            ..app(name, path(&format!("/bin/{name}")))
        };
        let [yes, no] = [Some(true), Some(false)];
        let snapshot = Snapshot {
            apps: vec![says("make", None, no), says("both", yes, no)],
            profiles: Profiles::from(vec![
                says("sh", yes, None),
                says("alone", no, no),
                says("term", None, yes),
                says("make", None, yes),
                says("both", no, no),
            ]),
            ..Snapshot::unloaded()
        };
        let process = |name: &str, parents: &[&str]| {
            let of = |name: &str| {
                let id = format!("path:/bin/{name}");
                attribution(&id, &format!("/bin/{name}")).process.expect("one")
            };
            let ancestors = parents.iter().map(|parent| of(parent)).collect();
            let process = Some(Arc::new(Process { ancestors, ..Process::clone(&of(name)) }));
            Attribution { method: Method::OpenFiles, process }
        };
        let cases: [(_, &[&str]); 7] = [
            (process("sh", &["term"]), &["sh", "term of parent"]),
            // What says nothing else is looked through, and so is the app itself.
            (process("sh", &["none", "sh", "term"]), &["sh", "term of parent"]),
            (process("sh", &["make", "term"]), &["sh", "make of parent", "make of parent"]),
            (process("sh", &["none"]), &["sh"]),
            (process("alone", &["term"]), &["alone"]),
            (process("none", &["term"]), &[]),
            // The section says it before the profile.
            (process("both", &["term"]), &["both", "both", "term of parent"]),
        ];
        for (attribution, expected) in cases {
            let layers = snapshot.layers_of(&attribution).iter();
            let told = layers.map(|(whose, app)| match whose {
                Whose::Own => app.name.to_string(),
                Whose::Parent => format!("{} of parent", app.name),
            });
            assert_eq!(told.collect::<Vec<_>>(), expected);
        }
        assert!(snapshot.asks_for_parents());
    }

    #[test]
    fn what_comes_with_seawall_is_for_whom_nothing_else_is_said_of() {
        let built_in = BuiltIns::from(vec![
            app("names", path("/usr/bin/named")),
            app("kernel", tag("kernel")),
            app("time", path("/nix/store/*/bin/ntpd")),
        ]);
        let apps = vec![app("section", path("/usr/bin/ntpd"))];
        let profiles = Profiles::from(vec![app("profile", tag("kernel"))]);
        let snapshot = Snapshot { apps, profiles, built_in, ..Snapshot::unloaded() };
        let cases = [
            (attribution("path:/usr/bin/named", "/usr/bin/named"), Some("names")),
            (attribution("path:/opt/named", "/opt/named"), None),
            (attribution("x", "docker:web:/usr/bin/named"), None),
            (attribution("nix:ntp", "/nix/store/x-ntp-1/bin/ntpd"), Some("time")),
            (attribution("kernel", ""), None),
            (Attribution::unidentified(), None),
        ];
        for (attribution, expected) in cases {
            let found = snapshot.layers_of(&attribution).built_in.map(|app| app.name.to_string());
            assert_eq!(found.as_deref(), expected, "{attribution:?}");
        }
    }
}
