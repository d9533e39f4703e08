//! What the store says, as it is held in memory: settings for all, and profiles. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use seawall_messages::policy::{
    AppFilter, AppMatch, AppPolicy, Fingerprint, KeptNetwork, Profile, Profiles,
};
use seawall_messages::rule::{Present, Rules};
use seawall_messages::setting::{Place, Values};

use crate::layer::{Layer, read};
use crate::store::Edit;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    settings: Values,
    for_all: Layer,
    profiles: BTreeMap<u32, Kept>,
    names: HashMap<Arc<str>, u32>,
    /// Whom they are about; of the same the one that was made first.
    about: HashMap<Fingerprint, u32>,
    networks: Vec<KeptNetwork>,
    /// When apps were seen last that have a profile because of it, in seconds since 1970.
    seen: HashMap<u32, u64>,
    /// Those that say something, as they are read now.
    in_force: Profiles,
}

/// A profile. What it says word for word is in the store alone: who has thousands has one copy.
#[derive(Clone, Debug)]
struct Kept {
    name: Arc<str>,
    matches: Vec<Fingerprint>,
    filter: AppFilter,
    /// Whether nothing is said in it.
    is_empty: bool,
    problems: Vec<String>,
}

impl Stored {
    /// What was read from the store.
    pub fn new(settings: Values, profiles: Vec<Profile>) -> Self {
        let for_all = read(&settings, Place::All);
        let mut stored = Self { settings, for_all, ..Self::default() };
        profiles.iter().for_each(|profile| stored.put(profile));
        stored.in_force = stored.built(None);
        stored
    }

    /// What it says after an edit.
    #[must_use]
    pub fn after(&self, edit: &Edit) -> Self {
        let mut stored = self.clone();
        if let Some(settings) = &edit.settings {
            stored.for_all = read(settings, Place::All);
            stored.settings = settings.clone();
        }
        if let Some(networks) = &edit.networks {
            stored.networks.clone_from(networks);
        }
        edit.removed.iter().for_each(|id| stored.forget(*id));
        stored.note_seen(&edit.seen);
        edit.profiles.iter().for_each(|profile| stored.put(profile));
        if !(edit.removed.is_empty() && edit.profiles.is_empty()) {
            stored.in_force = stored.built(None);
        }
        stored
    }

    /// Puts a profile in, in place of an older state of it. What is in force is not renewed:
    /// for who goes on to name and number others.
    pub fn put(&mut self, profile: &Profile) {
        self.take_out(profile.id);
        let kept = Kept::from(profile);
        self.names.insert(Arc::clone(&kept.name), profile.id);
        for fingerprint in &kept.matches {
            self.about.entry(fingerprint.clone()).or_insert(profile.id);
        }
        self.profiles.insert(profile.id, kept);
    }

    fn take_out(&mut self, id: u32) {
        let Some(kept) = self.profiles.remove(&id) else { return };
        self.names.remove(&kept.name);
        for fingerprint in kept.matches {
            if self.about.get(&fingerprint) != Some(&id) {
                continue;
            }
            // Another that is about the same is found from now on.
            let is_about = |other: &&Kept| other.matches.contains(&fingerprint);
            let other = self.profiles.iter().find(|(_, kept)| is_about(kept)).map(|(id, _)| *id);
            match other {
                Some(other) => self.about.insert(fingerprint, other),
                None => self.about.remove(&fingerprint),
            };
        }
    }

    /// With these networks.
    #[must_use]
    pub fn with_networks(self, networks: Vec<KeptNetwork>) -> Self {
        Self { networks, ..self }
    }

    /// Networks that have a name, in order.
    pub fn networks(&self) -> &[KeptNetwork] {
        &self.networks
    }

    /// Takes one out for good. What is in force is not renewed: for one that says nothing.
    pub fn forget(&mut self, id: u32) {
        self.take_out(id);
        self.seen.remove(&id);
    }

    /// Notes when apps were seen.
    pub fn note_seen(&mut self, seen: &[(u32, Option<u64>)]) {
        for (id, last_seen_s) in seen {
            match last_seen_s {
                Some(last_seen_s) => self.seen.insert(*id, *last_seen_s),
                None => self.seen.remove(id),
            };
        }
    }

    /// Profiles that are there because an app was seen, and when that was.
    pub fn of_seen(&self) -> impl Iterator<Item = (u32, u64)> {
        self.seen.iter().map(|(id, last_seen_s)| (*id, *last_seen_s))
    }

    /// When the app of such a profile was seen last.
    pub fn last_seen_s(&self, id: u32) -> Option<u64> {
        self.seen.get(&id).copied()
    }

    /// Whether nothing is said in a profile.
    pub fn says_nothing(&self, id: u32) -> bool {
        self.profiles.get(&id).is_some_and(|kept| kept.is_empty)
    }

    /// What is said for all, word for word.
    pub fn settings(&self) -> &Values {
        &self.settings
    }

    /// What is said for all.
    pub fn for_all(&self) -> &Layer {
        &self.for_all
    }

    /// The profiles that say something, as they are at a moment.
    pub fn profiles_at(&self, at: &Present) -> Profiles {
        let is_so = |rules: &Rules| rules.stays(at);
        let stays = |app: &AppPolicy| {
            is_so(&app.filter.outgoing_rules) && is_so(&app.filter.incoming_rules)
        };
        match self.in_force.iter().all(stays) {
            true => self.in_force.clone(),
            false => self.built(Some(at)),
        }
    }

    /// All lists of rules.
    pub fn lists(&self) -> impl Iterator<Item = &Rules> {
        let filters = std::iter::once(&self.for_all.filter)
            .chain(self.profiles.values().map(|kept| &kept.filter));
        filters.flat_map(|filter| [&filter.outgoing_rules, &filter.incoming_rules])
    }

    /// The profile that is meant: by its name, what it matches, or its id.
    pub fn find(&self, app: &str) -> Option<u32> {
        let wanted = fingerprint_of(&AppMatch::of_text(app));
        let found = self.names.get(app).or_else(|| self.about.get(&wanted)).copied();
        found.or_else(|| app.parse().ok().filter(|id| self.profiles.contains_key(id)))
    }

    /// The profile that is about the very same.
    pub fn about(&self, fingerprint: &Fingerprint) -> Option<u32> {
        self.about.get(fingerprint).copied()
    }

    /// Whether a profile is called that.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whom a profile is about.
    pub fn matches(&self, id: u32) -> &[Fingerprint] {
        self.profiles.get(&id).map_or(&[], |kept| &kept.matches)
    }

    /// What in a profile doesn't count.
    pub fn problems_of(&self, id: u32) -> &[String] {
        self.profiles.get(&id).map_or(&[], |kept| &kept.problems)
    }

    /// How many profiles there are.
    pub fn len(&self) -> usize {
        self.profiles.len()
    }

    /// Whether there is no profile.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }

    /// An id that no profile has.
    pub fn free_id(&self) -> u32 {
        self.profiles.last_key_value().map_or(1, |(last, _)| last.saturating_add(1))
    }

    /// All that is kept and doesn't count.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let of_profile = |kept: &'_ Kept| {
            let name = Arc::clone(&kept.name);
            let told = kept.problems.iter().map(|it| format!("profile \"{name}\": {it}"));
            told.collect::<Vec<_>>()
        };
        let of_profiles = self.profiles.values().flat_map(of_profile);
        self.for_all.problems.iter().cloned().chain(of_profiles)
    }

    fn built(&self, at: Option<&Present>) -> Profiles {
        let says_something = |kept: &&Kept| kept.filter != AppFilter::default();
        let policies = |kept: &Kept| {
            let mut filter = kept.filter.clone();
            if let Some(at) = at {
                filter.outgoing_rules = filter.outgoing_rules.at(at);
                filter.incoming_rules = filter.incoming_rules.at(at);
            }
            let policy = |fingerprint: &Fingerprint| AppPolicy {
                name: Arc::clone(&kept.name),
                fingerprint: fingerprint.clone(),
                filter: filter.clone(),
            };
            kept.matches.iter().map(policy).collect::<Vec<_>>()
        };
        let all: Vec<_> =
            self.profiles.values().filter(says_something).flat_map(policies).collect();
        Profiles::from(all)
    }
}

impl From<&Profile> for Kept {
    fn from(profile: &Profile) -> Self {
        let Layer { filter, problems, .. } = read(&profile.settings, Place::App);
        let is_empty = profile.settings.is_empty();
        let (name, matches) = (Arc::clone(&profile.name), profile.matches.clone());
        Self { name, matches, filter, is_empty, problems }
    }
}

/// What is meant by one word for an app.
pub fn fingerprint_of(app: &AppMatch) -> Fingerprint {
    let pattern = Some(seawall_messages::policy::Pattern::new(app.text()));
    match app {
        AppMatch::Path(_) => Fingerprint { path: pattern, ..Fingerprint::default() },
        AppMatch::Tag(_) => Fingerprint { tag: pattern, ..Fingerprint::default() },
    }
}

#[cfg(test)]
mod tests {
    use seawall_messages::setting::Value;

    use super::*;
    use crate::rule;

    fn profile(id: u32, path: &str, settings: &[(&str, Value)]) -> Profile {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        Profile {
            id,
            name: Arc::from(path.rsplit('/').next().unwrap_or(path)),
            matches: vec![fingerprint_of(&AppMatch::Path(path.to_owned()))],
            settings: settings.collect(),
            problems: Vec::new(),
            created_s: 0,
        }
    }

    #[test]
    fn only_profiles_that_say_something_are_in_force() {
        let rules = Value::Rules(vec!["- * off".to_owned()]);
        let stored = Stored::new(
            Values::new(),
            vec![
                profile(1, "/usr/bin/curl", &[("block_lan", Value::Switch(true))]),
                profile(2, "/usr/bin/wget", &[]),
                profile(3, "/usr/bin/nc", &[("outgoing_rules", rules)]),
                profile(4, "/usr/bin/x", &[("block_moon", Value::Switch(true))]),
            ],
        );
        let names: Vec<_> = stored
            .profiles_at(&rule::now().into())
            .iter()
            .map(|app| app.name.to_string())
            .collect();
        assert_eq!(names, ["curl", "nc"]);
        let problems: Vec<_> = stored.problems().collect();
        assert!(problems[0].starts_with("profile \"x\": block_moon"), "{problems:?}");
        assert_eq!((stored.len(), stored.free_id()), (4, 5));
    }

    #[test]
    fn a_profile_is_found_by_its_name_what_it_matches_or_its_id() {
        let stored = Stored::new(Values::new(), vec![profile(7, "/usr/bin/curl", &[])]);
        for app in ["curl", "/usr/bin/curl", "7"] {
            assert_eq!(stored.find(app), Some(7), "{app}");
        }
        for app in ["wget", "/usr/bin/cur", "8", ""] {
            assert_eq!(stored.find(app), None, "{app}");
        }
    }

    #[test]
    fn an_edit_changes_what_it_names() {
        let stored = Stored::new(
            Values::new(),
            vec![profile(1, "/a", &[("block_lan", Value::Switch(true))]), profile(2, "/b", &[])],
        );
        let settings: Values = [("block_lan".to_owned(), Value::Switch(true))].into();
        let edit = Edit {
            settings: Some(settings.clone()),
            profiles: vec![profile(3, "/c", &[("block_local", Value::Switch(true))])],
            removed: vec![1],
            seen: vec![(2, Some(7))],
            ..Edit::default()
        };
        let after = stored.after(&edit);
        assert_eq!(after.settings(), &settings);
        assert_eq!(after.for_all().filter.block_lan, Some(true));
        assert_eq!((after.find("a"), after.find("b"), after.find("c")), (None, Some(2), Some(3)));
        let in_force = after.profiles_at(&rule::now().into());
        assert_eq!(in_force.iter().map(|app| &*app.name).collect::<Vec<_>>(), ["c"]);
    }
}
