//! What is put into the store: in force at once, there after a restart, behind what the file says.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use seawall_messages::policy::{
    AddedRule, AppMatch, ChangeRule, ChangedRule, DefaultAction, Difference, Import, Message,
    NewRule, PolicyGeneration, PolicyRefusal, PolicyStatus, Profile, ProfileChange, RuleChange,
    RuleList, RulePlace, SeenApp, SettingsChange, SettingsStatus,
};
use seawall_messages::setting::{Origin, Value, Values};

use super::{Machine, Worker};
use crate::Store;
use crate::store::Edit;
use crate::stored::fingerprint_of;

const CURL: &str = "/usr/bin/curl";

impl Worker {
    pub(super) fn add(
        &self,
        app: Option<&str>,
        rule: &str,
    ) -> Result<(AddedRule, PolicyStatus), PolicyRefusal> {
        let app = app.map(AppMatch::of_text);
        let (list, place) = (RuleList::Outgoing, RulePlace::First);
        let rule = NewRule { app, list, place, rule: rule.to_owned() };
        self.ask(|reply| Message::AddRule { rule: rule.clone(), reply })
    }

    pub(super) fn change(
        &self,
        change: RuleChange,
        app: Option<&str>,
        rule: &str,
    ) -> Result<(ChangedRule, PolicyStatus), PolicyRefusal> {
        let (app, list) = (app.map(str::to_owned), RuleList::Outgoing);
        let asked = ChangeRule { app, list, rule: rule.to_owned(), change };
        self.ask(|reply| Message::ChangeRule { asked: asked.clone(), reply })
    }

    pub(super) fn set(
        &self,
        app: Option<&str>,
        key: &str,
        value: Option<Value>,
    ) -> Result<PolicyStatus, PolicyRefusal> {
        let changes = BTreeMap::from([(key.to_owned(), value)]);
        let change = SettingsChange { app: app.map(str::to_owned), changes };
        self.ask(|reply| Message::ChangeSettings { change: change.clone(), reply })
    }

    pub(super) fn settings(&self, app: Option<&str>) -> Result<SettingsStatus, PolicyRefusal> {
        self.ask(|reply| Message::Settings { app: app.map(str::to_owned), reply })
    }

    fn profiles(&self) -> Vec<Profile> {
        let mut profiles = self.all_profiles();
        profiles.retain(|profile| profile.id != 0);
        profiles
    }

    /// Those that come with Seawall, too.
    fn all_profiles(&self) -> Vec<Profile> {
        self.ask(|reply| Message::Profiles { reply }).expect("profiles")
    }

    pub(super) fn change_profile(
        &self,
        change: &ProfileChange,
    ) -> Result<(Profile, PolicyStatus), PolicyRefusal> {
        self.ask(|reply| Message::ChangeProfile { change: change.clone(), reply })
    }

    pub(super) fn import(
        &self,
        import: &Import,
    ) -> Result<(Difference, PolicyStatus), PolicyRefusal> {
        self.ask(|reply| Message::Import { import: import.clone(), reply })
    }

    fn rules(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        snapshot.filter.outgoing_rules.iter().map(|rule| rule.text.to_string()).collect()
    }
}

#[track_caller]
pub(super) fn assert_refused<T: std::fmt::Debug>(found: Result<T, PolicyRefusal>, expected: &str) {
    match found {
        Err(PolicyRefusal::Failed(told) | PolicyRefusal::Invalid(told)) => {
            assert!(told.contains(expected), "{told}");
        }
        Ok(done) => panic!("{done:?}"),
    }
}

#[test]
fn a_rule_that_is_added_is_in_force_and_there_after_a_restart() {
    const FILE: &str = "# mine\n[filter]\noutgoing_rules = [\"+ LAN\"]\n";
    let machine = Machine::with_file(FILE);
    let worker = machine.start();
    let (added, status) = worker.add(None, "- 10.0.0.5 TCP/81").expect("added");
    assert_eq!((added.list.as_str(), added.was_there), ("outgoing_rules for all", false));
    assert!(added.behind.expect("told").contains("a rule of"), "the file's comes first");
    assert_eq!(status.generation, PolicyGeneration(2));
    assert_eq!(worker.rules(), ["+ LAN", "- 10.0.0.5 TCP/81"]);
    let (again, status) = worker.add(None, "- 10.0.0.5 TCP/81").expect("there");
    assert_eq!((again.was_there, status.generation), (true, PolicyGeneration(2)));
    let (added, _) = worker.add(Some(CURL), "- *").expect("added");
    assert_eq!(
        (added.list.as_str(), added.behind),
        ("outgoing_rules of the profile \"curl\"", None)
    );
    worker.stop();
    assert_eq!(std::fs::read_to_string(machine.file()).expect("a file"), FILE);

    let worker = machine.start();
    assert_eq!(worker.rules(), ["+ LAN", "- 10.0.0.5 TCP/81"]);
    let snapshot = worker.snapshot();
    assert_eq!((snapshot.profiles.len(), &*snapshot.profiles[0].name), (1, "curl"));
    worker.stop();
}

#[test]
fn a_rule_is_switched_and_removed_in_the_store_and_locked_in_the_file() {
    let machine = Machine::with_file("[filter]\noutgoing_rules = [\"+ LAN\"]\n");
    let worker = machine.start();
    worker.add(None, "- 10.0.0.5").expect("added");
    worker.change(RuleChange::Disable, None, "- 10.0.0.5").expect("off");
    assert_eq!(worker.rules(), ["+ LAN", "- 10.0.0.5 off"]);
    assert!(!worker.snapshot().filter.outgoing_rules[1].is_active);
    worker.change(RuleChange::Enable, None, "- 10.0.0.5").expect("on");
    let (changed, _) = worker.change(RuleChange::Remove, None, "- 10.0.0.5").expect("gone");
    assert_eq!(changed.rule, "- 10.0.0.5");
    assert_eq!(worker.rules(), ["+ LAN"]);
    assert_refused(worker.change(RuleChange::Remove, None, "+ LAN"), "locks it");
    assert_refused(worker.change(RuleChange::Remove, None, "- 9.9.9.9"), "there is no `- 9.9.9.9`");
    assert_refused(worker.add(None, "nonsense"), "expected");
    assert_refused(worker.add(Some("curl"), "- *"), "no profile that is named");
    worker.stop();
}

#[test]
fn settings_are_kept_and_what_the_file_says_is_locked() {
    let machine = Machine::with_file("[filter]\nblock_lan = false\n");
    let worker = machine.start();
    worker.set(None, "filter.block_internet", Some(Value::Switch(true))).expect("set");
    let block = Some(Value::Word("block".to_owned()));
    worker.set(None, "default_action", block).expect("set");
    assert_refused(worker.set(None, "block_lan", Some(Value::Switch(true))), "which locks it");
    assert_refused(worker.set(None, "blok_lan", None), "`block_lan`, perhaps");
    worker.set(Some(CURL), "block_internet", Some(Value::Switch(false))).expect("set");
    worker.stop();

    let worker = machine.start();
    let snapshot = worker.snapshot();
    assert!(snapshot.filter.block_internet && !snapshot.filter.block_lan);
    assert_eq!(snapshot.filter.default_action, DefaultAction::Block);
    assert_eq!(snapshot.profiles[0].filter.block_internet, Some(false));
    let status = worker.settings(None).expect("all");
    let origin =
        |key: &str| status.settings.iter().find(|it| it.name.ends_with(key)).map(|it| it.origin);
    assert_eq!(origin(".block_lan"), Some(Origin::File));
    assert_eq!(origin(".block_internet"), Some(Origin::Store));
    let of_curl = worker.settings(Some("curl")).expect("its own");
    assert_eq!(of_curl.profile.as_deref(), Some("curl"));
    assert_refused(worker.settings(Some("wget")), "there is no profile");
    worker.set(None, "block_internet", None).expect("reset");
    assert!(!worker.snapshot().filter.block_internet);
    // The file may lock what is stored later, and free it again.
    machine.write("[filter]\ndefault_action = \"permit\"\n");
    worker.reload().expect("good");
    assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Permit);
    machine.write("");
    worker.reload().expect("good");
    assert_eq!(worker.snapshot().filter.default_action, DefaultAction::Block);
    worker.stop();
}

#[test]
fn profiles_are_made_renamed_and_removed() {
    let machine = Machine::with_file("");
    let worker = machine.start();
    worker.set(Some("snap:firefox"), "block_lan", Some(Value::Switch(true))).expect("set");
    let rename = |app: &str, name: &str| ProfileChange::Rename {
        app: app.to_owned(),
        name: name.to_owned(),
    };
    let (profile, _) = worker.change_profile(&rename("firefox", "Browser")).expect("renamed");
    assert_eq!((&*profile.name, profile.id), ("Browser", 1));
    assert_refused(worker.change_profile(&rename("firefox", "x")), "there is no profile");
    worker.set(Some(CURL), "block_lan", Some(Value::Switch(true))).expect("set");
    assert_refused(worker.change_profile(&rename("curl", "Browser")), "already");
    let names: Vec<_> = worker.profiles().iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["Browser", "curl"]);
    worker.change_profile(&ProfileChange::Remove { app: CURL.to_owned() }).expect("removed");
    assert_eq!(worker.snapshot().profiles.len(), 1);
    worker.stop();
    let worker = machine.start();
    assert_eq!(&*worker.profiles()[0].name, "Browser");
    worker.stop();
}

#[test]
fn an_import_is_shown_first_and_then_taken() {
    let machine = Machine::with_file("");
    let worker = machine.start();
    worker.set(None, "block_local", Some(Value::Switch(true))).expect("set");
    let text = "[filter]\nblock_lan = true\n\n[[app]]\nname = \"curl\"\nmatch = { path = \"/usr/bin/curl\" }\noutgoing_rules = [\n  \"- * # all\",\n]\n";
    let asked = |dry_run| Import { text: text.to_owned(), dry_run, replace: false };
    let (difference, status) = worker.import(&asked(true)).expect("good");
    assert_eq!((difference.lines.len(), status.generation), (3, PolicyGeneration(2)));
    assert!(!worker.snapshot().filter.block_lan);
    let (_, status) = worker.import(&asked(false)).expect("good");
    assert_eq!(status.generation, PolicyGeneration(3));
    let snapshot = worker.snapshot();
    assert!(snapshot.filter.block_lan && snapshot.filter.block_local);
    let exported = worker.ask(|reply| Message::Export { app: None, reply }).expect("a text");
    assert_eq!(
        exported,
        text.replacen("block_lan = true", "block_lan = true\nblock_local = true", 1)
    );
    let (difference, _) = worker.import(&asked(false)).expect("good");
    assert_eq!(difference.lines, Vec::<String>::new());
    worker.stop();
}

#[test]
fn an_app_that_is_seen_has_a_profile_that_says_nothing_and_its_name() {
    let machine = Machine::with_file("");
    let worker = machine.start();
    worker.add(Some("/usr/bin/wget"), "- *").expect("added");
    let seen = |name: &str, app: &str| SeenApp { name: name.into(), app: AppMatch::of_text(app) };
    let apps = vec![
        seen("Web Browser", "snap:firefox"),
        seen("wget", "/usr/bin/wget"),
        seen("wget", "/opt/wget"),
        seen("", "/opt/nameless"),
    ];
    for _ in 0..2 {
        worker.policy.tell(Message::AppsSeen(apps.clone())).expect("room");
    }
    let told: Vec<_> = worker
        .profiles()
        .iter()
        .map(|it| (it.name.to_string(), it.matches[0].to_string(), it.settings.len()))
        .collect();
    let expected = [
        ("Web Browser", "tag=snap:firefox", 0),
        ("nameless", "path=/opt/nameless", 0),
        ("wget", "path=/usr/bin/wget", 1),
        ("wget 2", "path=/opt/wget", 0),
    ];
    let expected = expected.map(|(name, whom, said)| (name.to_owned(), whom.to_owned(), said));
    assert_eq!(told, expected);
    let snapshot = worker.snapshot();
    assert_eq!((snapshot.generation, snapshot.profiles.len()), (PolicyGeneration(2), 1));
    worker.set(Some("Web Browser"), "block_lan", Some(Value::Switch(true))).expect("set");
    let exported = worker.ask(|reply| Message::Export { app: None, reply }).expect("a text");
    assert!(exported.contains("Web Browser") && !exported.contains("nameless"), "{exported}");
    let import = Import { text: String::new(), dry_run: false, replace: true };
    worker.import(&import).expect("good");
    assert_eq!(worker.profiles().len(), 2, "what says nothing isn't replaced");
    worker.stop();
}

#[test]
fn a_built_in_profile_is_switched_off_and_on_and_stays_so() {
    let machine = Machine::with_file("[filter]\nbuilt_in_profiles_off = [\"The kernel\"]\n");
    let worker = machine.start();
    let are_off = |worker: &Worker| -> Vec<String> {
        let off = worker.all_profiles().into_iter().filter(|profile| !profile.problems.is_empty());
        off.map(|profile| profile.name.to_string()).collect()
    };
    assert_eq!(are_off(&worker), ["The kernel"]);
    assert!(!worker.snapshot().built_in.is_empty());
    let disable = |app: &str| ProfileChange::Disable { app: app.to_owned() };
    let (profile, _) = worker.change_profile(&disable("/usr/sbin/chronyd")).expect("switched");
    assert_eq!(&*profile.name, "Time synchronisation");
    worker.change_profile(&disable("dns clients")).expect("switched");
    assert_refused(worker.change_profile(&disable("curl")), "expected one of \"DNS clients\"");
    let enable = |app: &str| ProfileChange::Enable { app: app.to_owned() };
    assert_refused(worker.change_profile(&enable("kernel")), "change it there");
    let remove = ProfileChange::Remove { app: "Seawall".to_owned() };
    assert_refused(worker.change_profile(&remove), "seawall profile disable");
    worker.stop();

    let worker = machine.start();
    assert_eq!(are_off(&worker), ["DNS clients", "Time synchronisation", "The kernel"]);
    worker.change_profile(&enable("DNS clients")).expect("switched");
    assert_eq!(are_off(&worker), ["Time synchronisation", "The kernel"]);
    worker.set(None, "built_in_profiles", Some(Value::Switch(false))).expect("set");
    assert!(worker.snapshot().built_in.is_empty());
    worker.stop();
}

#[test]
fn a_profile_of_an_app_that_was_not_seen_for_long_is_tidied_away_unless_it_is_somebodys() {
    const DAY_S: u64 = 24 * 3_600;
    let machine = Machine::with_file("");
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let profile = |id: u32, app: &str| Profile {
        id,
        name: app.into(),
        matches: vec![fingerprint_of(&AppMatch::Path(format!("/opt/{app}")))],
        settings: Values::new(),
        problems: Vec::new(),
        created_s: 0,
    };
    let edit = Edit {
        profiles: vec![
            profile(1, "old"),
            profile(2, "new"),
            profile(3, "mine"),
            profile(4, "renamed"),
        ],
        seen: [(1, 100), (2, 10), (4, 100)]
            .map(|(id, days)| (id, Some(now_s - days * DAY_S)))
            .into(),
        ..Edit::default()
    };
    Store::open(&machine.state()).expect("a store").edit(&edit).expect("written");
    let worker = machine.start();
    let rename = ProfileChange::Rename { app: "renamed".to_owned(), name: "Renamed".to_owned() };
    worker.change_profile(&rename).expect("renamed");
    let names = |worker: &Worker| -> Vec<String> {
        worker.profiles().iter().map(|profile| profile.name.to_string()).collect()
    };
    assert_eq!(names(&worker), ["Renamed", "mine", "new", "old"]);
    let seen = SeenApp { name: "new".into(), app: AppMatch::of_text("/opt/new") };
    worker.policy.tell(Message::AppsSeen(vec![seen])).expect("room");
    assert_eq!(names(&worker), ["Renamed", "mine", "new"]);
    worker.stop();

    let mut store = Store::open(&machine.state()).expect("a store");
    let seen = store.seen().expect("read");
    assert_eq!(seen.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    assert!(seen[0].1 >= now_s, "it is noted that it was seen");
}
