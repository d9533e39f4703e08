//! Changes of what the store says, and questions about it. Durable first, then in force.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use seawall_messages::policy::{
    AddedRule, AppFilter, ChangeRule, ChangedRule, Difference, Import, KeptNetwork, NetworkChange,
    NewProfile, NewRule, PolicyRefusal, PolicyStatus, Profile, ProfileChange, RuleList,
    SettingsChange, SettingsStatus,
};
use seawall_messages::rule::Rules;
use seawall_messages::setting::{Place, Value, Values};

use super::Policy;
use crate::built_in;
use crate::changes;
use crate::effective;
use crate::error::{Error, chain};
use crate::events;
use crate::layer;
use crate::networks;
use crate::rule::{self, this_boot};
use crate::store::{Edit, Store};
use crate::stored::fingerprint_of;
use crate::transfer;

/// What a question or a change may come to: an error of the component's own, or a refusal.
pub(super) type Answer<T> = Result<Result<T, PolicyRefusal>, Error>;

impl Policy {
    /// Puts a rule before all others of its list in the store.
    pub(super) fn add_rule(&mut self, new: &NewRule) -> Answer<(AddedRule, PolicyStatus)> {
        let app = new.app.as_ref().map(|app| app.text().to_owned());
        let (profile, values) = match self.said_of(app.as_deref())? {
            Ok(said) => said,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let kept = match self.said_now(&new.rule, profile.as_ref()) {
            Ok(rule) => NewRule { rule, ..new.clone() },
            Err(refusal) => return Ok(Err(refusal)),
        };
        let after = match changes::add_rule(&values, &kept, &self.networks()) {
            Ok(after) => after,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let added = AddedRule {
            rule: new.rule.clone(),
            list: list_name(profile.as_ref(), new.list),
            was_there: after.is_none(),
            behind: self.rules_of_the_file(app.as_deref(), new.list),
        };
        if let Some(values) = after
            && let Err(refusal) = self.store_said(profile, values)?
        {
            return Ok(Err(refusal));
        }
        events::RuleAdded { rule: new, added: &added }.emit();
        Ok(Ok((added, self.status())))
    }

    /// Takes a rule out of the store, or switches it.
    pub(super) fn change_rule(
        &mut self,
        asked: &ChangeRule,
    ) -> Answer<(ChangedRule, PolicyStatus)> {
        let (profile, values) = match self.said_of(asked.app.as_deref())? {
            Ok(said) => said,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let list = list_name(profile.as_ref(), asked.list);
        let (values, rule) = match changes::change_rule(&values, asked) {
            Ok(Some(changed)) => changed,
            Ok(None) => return Ok(Err(self.no_such_rule(asked, &list))),
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.store_said(profile, values)? {
            return Ok(Err(refusal));
        }
        let changed = ChangedRule { rule: rule::as_written(&rule, this_boot()), list };
        events::RuleChanged { asked, changed: &changed }.emit();
        Ok(Ok((changed, self.status())))
    }

    /// How the settings for all stand, or those of an app.
    pub(super) fn settings(&mut self, app: Option<&str>) -> Answer<SettingsStatus> {
        let file = &self.choice.settings;
        let Some(app) = app else {
            return Ok(Ok(SettingsStatus {
                profile: None,
                settings: effective::for_all(
                    file,
                    &layer::as_written(self.stored.settings(), this_boot()),
                ),
                problems: self.stored.for_all().problems.clone(),
            }));
        };
        let section = self.section_of(app);
        let profile = match self.stored.find(app) {
            Some(id) => self.store.with(|store| store.profile(id))??,
            None => None,
        };
        if profile.is_none() && section.is_none() {
            let problem =
                format!("there is no profile or [[app]] that is named or matches {app:?}");
            return Ok(Err(PolicyRefusal::Failed(problem)));
        }
        let kept = profile.as_ref().map(|it| layer::as_written(&it.settings, this_boot()));
        let kept = kept.unwrap_or_default();
        let problems = profile.as_ref().map(|profile| self.stored.problems_of(profile.id));
        Ok(Ok(SettingsStatus {
            settings: effective::for_app(section, &kept),
            problems: problems.unwrap_or_default().to_vec(),
            profile: profile.map(|profile| profile.name),
        }))
    }

    /// Changes settings in the store.
    pub(super) fn change_settings(&mut self, asked: &SettingsChange) -> Answer<PolicyStatus> {
        let asked = &changes::said_in(asked, this_boot());
        let (profile, values) = match self.said_of(asked.app.as_deref())? {
            Ok(said) => said,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let place = if profile.is_some() { Place::App } else { Place::All };
        let changed = match changes::change_settings(&values, asked, place, &self.networks()) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let file = &self.choice.settings;
        let section = asked.app.as_deref().and_then(|app| self.section_of(app));
        let locked = asked.changes.iter().find(|(key, value)| {
            let status = match &profile {
                Some(_) => effective::for_app(section, &Values::new()),
                None => effective::for_all(file, &Values::new()),
            };
            value.is_some() && effective::is_locked(&status, key)
        });
        if let Some((key, _)) = locked {
            let file = self.arguments.file.display();
            let problem = format!("{key} is said in {file}, which locks it: change it there");
            return Ok(Err(PolicyRefusal::Failed(problem)));
        }
        Ok(self.store_said(profile, changed)?.map(|()| {
            events::SettingsChanged { asked }.emit();
            self.status()
        }))
    }

    /// All profiles, by name; then those that come with Seawall.
    pub(super) fn profiles(&mut self) -> Answer<Vec<Profile>> {
        let mut profiles = self.store.with(Store::profiles)??;
        for profile in &mut profiles {
            profile.problems = self.stored.problems_of(profile.id).to_vec();
            profile.settings = layer::as_written(&profile.settings, this_boot());
        }
        profiles.sort_by(|one, other| one.name.cmp(&other.name));
        let built_in = &self.choice.settings.built_in;
        profiles.extend(built_in.profiles(&self.stored.for_all().built_in));
        Ok(Ok(profiles))
    }

    /// Makes, removes or renames a profile.
    pub(super) fn change_profile(
        &mut self,
        asked: &ProfileChange,
    ) -> Answer<(Profile, PolicyStatus)> {
        let (edit, profile) = match self.profile_edit(asked)? {
            Ok(edit) => edit,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(self.write(edit)?.map(|()| {
            events::ProfileChanged { asked, profile: &profile }.emit();
            let settings = layer::as_written(&profile.settings, this_boot());
            (Profile { settings, ..profile }, self.status())
        }))
    }

    fn profile_edit(&mut self, asked: &ProfileChange) -> Answer<(Edit, Profile)> {
        let app = match asked {
            ProfileChange::Make(new) => {
                let settings = layer::said_in(&new.settings, this_boot());
                let new = &NewProfile { settings, ..new.clone() };
                let profile = changes::new_profile(&self.stored, new, &self.networks(), now_s());
                let edit = |profile: Profile| {
                    (Edit { profiles: vec![profile.clone()], ..Edit::default() }, profile)
                };
                return Ok(profile.map(edit));
            }
            ProfileChange::Disable { app } => return Ok(self.switch_built_in(app, false)),
            ProfileChange::Enable { app } => return Ok(self.switch_built_in(app, true)),
            ProfileChange::Remove { app } | ProfileChange::Rename { app, .. } => app,
        };
        let Some(profile) = self.profile_of(app)? else {
            let hint = match built_in::find(app) {
                Some(_) => {
                    "; that one comes with Seawall: `seawall profile disable` switches it off"
                }
                None => "",
            };
            let problem = format!("there is no profile that is named or matches {app:?}{hint}");
            return Ok(Err(PolicyRefusal::Failed(problem)));
        };
        Ok(match asked {
            ProfileChange::Rename { name, .. } => {
                changes::free_name(&self.stored, name).map(|name| {
                    let profile = Profile { name, ..profile };
                    // Somebody's own from now on, that is not tidied away.
                    let seen = vec![(profile.id, None)];
                    (Edit { profiles: vec![profile.clone()], seen, ..Edit::default() }, profile)
                })
            }
            _ => Ok((Edit { removed: vec![profile.id], ..Edit::default() }, profile)),
        })
    }

    /// A profile that comes with Seawall, switched off or on.
    fn switch_built_in(&self, app: &str, on: bool) -> Result<(Edit, Profile), PolicyRefusal> {
        let Some(built_in) = built_in::meant(app) else {
            let known = built_in::names();
            let problem = format!(
                "there is no built-in profile that is named or matches {app:?}; expected one of {known}"
            );
            return Err(PolicyRefusal::Failed(problem));
        };
        if on && self.choice.settings.built_in.off.contains(&built_in.name) {
            let file = self.arguments.file.display();
            let problem = format!("built_in_profiles_off is said in {file}: change it there");
            return Err(PolicyRefusal::Failed(problem));
        }
        let off = built_in::switched(&self.stored.for_all().built_in.off, built_in.name, on);
        let mut settings = self.stored.settings().clone();
        let kept = off.iter().map(|name| (*name).to_owned()).collect();
        match off.is_empty() {
            true => settings.remove(built_in::OFF),
            false => settings.insert(built_in::OFF.to_owned(), Value::Rules(kept)),
        };
        let edit = Edit { settings: Some(settings), ..Edit::default() };
        Ok((edit, built_in.profile(!on)))
    }

    /// Names, changes or forgets a network of the store.
    pub(super) fn change_network(
        &mut self,
        asked: &NetworkChange,
    ) -> Answer<(KeptNetwork, PolicyStatus)> {
        let (file, kept) = (&self.choice.settings.networks, self.stored.networks());
        let (kept, network) = match networks::changed(file, kept, asked, self.stored.lists()) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let edit = Edit { networks: Some(kept), ..Edit::default() };
        Ok(self.write(edit)?.map(|()| {
            events::NetworkChanged { asked, network: &network }.emit();
            (network, self.status())
        }))
    }

    /// What the store says, or one profile of it.
    pub(super) fn export(&mut self, app: Option<&str>) -> Answer<String> {
        let Some(app) = app else {
            let mut profiles = self.store.with(Store::profiles)??;
            for profile in &mut profiles {
                profile.settings = layer::still_written(&profile.settings, this_boot());
            }
            profiles.retain(|profile| !profile.settings.is_empty());
            profiles.sort_by(|one, other| one.name.cmp(&other.name));
            let settings = layer::still_written(self.stored.settings(), this_boot());
            return Ok(Ok(transfer::export(&settings, self.stored.networks(), &profiles)));
        };
        Ok(match self.profile_of(app)? {
            Some(profile) => {
                let settings = layer::still_written(&profile.settings, this_boot());
                Ok(transfer::export(&Values::new(), &[], &[Profile { settings, ..profile }]))
            }
            None => {
                let problem = format!("there is no profile that is named or matches {app:?}");
                Err(PolicyRefusal::Failed(problem))
            }
        })
    }

    /// Takes a text into the store, or says what that would change.
    pub(super) fn import(&mut self, asked: &Import) -> Answer<(Difference, PolicyStatus)> {
        let profiles = self.store.with(Store::profiles)??;
        let (stored, networks) = (&self.stored, self.networks());
        let imported = transfer::import(stored, &profiles, asked, &networks, this_boot(), now_s());
        let (edit, difference) = match imported {
            Ok(imported) => imported,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !asked.dry_run && edit != Edit::default() {
            if let Err(refusal) = self.write(edit)? {
                return Ok(Err(refusal));
            }
            events::Imported { lines: difference.lines.len() }.emit();
        }
        Ok(Ok((difference, self.status())))
    }

    /// Names of networks that rules may say.
    pub(super) fn networks(&self) -> Vec<Arc<str>> {
        let all = networks::all(&self.choice.settings.networks, self.stored.networks());
        all.into_iter().map(|network| network.name).collect()
    }

    /// The profile of an app and what it says, or what is said for all. An app without a
    /// profile has one that says nothing, and is not stored.
    fn said_of(&mut self, app: Option<&str>) -> Answer<(Option<Profile>, Values)> {
        let Some(app) = app else { return Ok(Ok((None, self.stored.settings().clone()))) };
        let profile = match self.profile_of(app)? {
            Some(profile) => profile,
            None => match self.new_profile_for(app) {
                Ok(profile) => profile,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let values = profile.settings.clone();
        Ok(Ok((Some(profile), values)))
    }

    fn new_profile_for(&self, app: &str) -> Result<Profile, PolicyRefusal> {
        let looks_like_an_app = app.contains(['/', ':']) || app == "unidentified";
        if !looks_like_an_app {
            return Err(PolicyRefusal::Failed(format!(
                "there is no profile that is named {app:?}; expected that, a path such as /usr/bin/curl, or an app's id such as snap:firefox"
            )));
        }
        let new: NewProfile = changes::profile_for(app);
        changes::new_profile(&self.stored, &new, &[], now_s())
    }

    fn profile_of(&mut self, app: &str) -> Result<Option<Profile>, Error> {
        let Some(id) = self.stored.find(app) else { return Ok(None) };
        Ok(self.store.with(|store| store.profile(id))??)
    }

    /// What the file says of an app.
    fn section_of(&self, app: &str) -> Option<&AppFilter> {
        let wanted = fingerprint_of(&seawall_messages::policy::AppMatch::of_text(app));
        let of_profile =
            self.stored.find(app).map(|id| self.stored.matches(id)).unwrap_or_default();
        let sections = &self.choice.settings.apps;
        let is_meant = |section: &&seawall_messages::policy::AppPolicy| {
            *section.name == *app
                || section.fingerprint == wanted
                || of_profile.contains(&section.fingerprint)
        };
        sections.iter().find(is_meant).map(|section| &section.filter)
    }

    /// Stores what is said of an app, or for all.
    fn store_said(&mut self, profile: Option<Profile>, values: Values) -> Answer<()> {
        let edit = match profile {
            Some(profile) => {
                Edit { profiles: vec![Profile { settings: values, ..profile }], ..Edit::default() }
            }
            None => Edit { settings: Some(values), ..Edit::default() },
        };
        self.write(edit)
    }

    /// Durable first, then in force.
    fn write(&mut self, edit: Edit) -> Answer<()> {
        if let Err(error) = self.keep(|store| store.edit(&edit))? {
            return Ok(Err(PolicyRefusal::Failed(chain(&error))));
        }
        self.stored = self.stored.after(&edit);
        self.publish()?;
        if !self.unstored.is_empty() {
            self.take_up_seen(Vec::new())?;
        }
        Ok(Ok(()))
    }

    /// Says that the rules of the file come first, where it has some.
    fn rules_of_the_file(&self, app: Option<&str>, list: RuleList) -> Option<String> {
        let filter = match app {
            None => Some(&self.choice.settings.filter),
            Some(app) => self.section_of(app),
        };
        let rules =
            filter.map(|filter| rules_of(filter, list)).filter(|rules| !rules.is_empty())?;
        let file = self.arguments.file.display();
        Some(match rules.len() {
            1 => format!("a rule of {file} comes before it"),
            count => format!("{count} rules of {file} come before it"),
        })
    }

    fn no_such_rule(&self, asked: &ChangeRule, list: &str) -> PolicyRefusal {
        let filter = match &asked.app {
            None => Some(&self.choice.settings.filter),
            Some(app) => self.section_of(app),
        };
        let wanted = layer::read_rule(&asked.rule);
        let is_in_file = filter.zip(wanted.ok()).is_some_and(|(filter, wanted)| {
            rules_of(filter, asked.list).iter().any(|rule| changes::is_meant(rule, &wanted))
        });
        let rule = &asked.rule;
        PolicyRefusal::Failed(match is_in_file {
            true => format!(
                "`{rule}` is said in {}, which locks it: change it there",
                self.arguments.file.display()
            ),
            false => format!("there is no `{rule}` in {list}"),
        })
    }
}

fn rules_of(filter: &AppFilter, list: RuleList) -> &Rules {
    match list {
        RuleList::Outgoing => &filter.outgoing_rules,
        RuleList::Incoming => &filter.incoming_rules,
    }
}

fn list_name(profile: Option<&Profile>, list: RuleList) -> String {
    match profile {
        Some(profile) => format!("{} of the profile \"{}\"", list.key(), profile.name),
        None => format!("{} for all", list.key()),
    }
}

pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
