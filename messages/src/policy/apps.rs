//! Which apps a connection's owner belongs to: a section of the file, a profile of the store, or both.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{AppPolicy, Snapshot};
use crate::process::Attribution;

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
}

impl Profiles {
    /// The first that fits somebody.
    fn position(&self, attribution: &Attribution) -> Option<u32> {
        let Some(process) = &attribution.process else {
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
    /// Those there are, the one that counts first first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a AppPolicy> {
        self.section.into_iter().chain(self.profile)
    }
}

impl<'a> From<Option<&'a AppPolicy>> for AppLayers<'a> {
    fn from(section: Option<&'a AppPolicy>) -> Self {
        Self { section, profile: None }
    }
}

impl Snapshot {
    /// Where the settings of a connection's owner are. A connection that nobody
    /// knows the owner of has only those whose fingerprint says so and no more.
    pub fn app_place(&self, attribution: &Attribution) -> AppPlace {
        let fits = |app: &AppPolicy| match &attribution.process {
            Some(process) => app.fingerprint.fits(process),
            None => app.fingerprint.means_unidentified(),
        };
        AppPlace {
            section: self.apps.iter().position(fits).and_then(|at| u32::try_from(at).ok()),
            profile: self.profiles.position(attribution),
        }
    }

    /// What is at a place of this snapshot.
    pub fn app_layers(&self, place: AppPlace) -> AppLayers<'_> {
        let section = place.section.and_then(|at| usize::try_from(at).ok());
        AppLayers {
            section: section.and_then(|at| self.apps.get(at)),
            profile: place.profile.and_then(|at| self.profiles.at(at)),
        }
    }

    /// The settings of a connection's owner.
    pub fn layers_of(&self, attribution: &Attribution) -> AppLayers<'_> {
        self.app_layers(self.app_place(attribution))
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
    use crate::policy::{AppFilter, Fingerprint, Pattern};
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
            let AppLayers { section: in_file, profile: in_store } =
                snapshot.layers_of(&attribution);
            let name = |app: Option<&AppPolicy>| app.map(|app| app.name.to_string());
            let found = (name(in_file), name(in_store));
            assert_eq!((found.0.as_deref(), found.1.as_deref()), (section, profile));
        }
        assert_eq!(snapshot.all_apps().count(), 8);
        assert!(snapshot.app_place(&attribution("x", "/opt/x")).is_nowhere());
    }
}
