//! Rules that end with their app: of its oldest process, published anew when that has ended.

use seawall_messages::policy::{
    Fingerprint, Import, Message, NewProfile, Pattern, ProfileChange, RuleChange,
};
use seawall_messages::process::ProcessKey;
use seawall_messages::setting::{Value, Values};

use super::storing::assert_refused;
use super::{Machine, Programs, Worker, wait_until};

const CURL: &str = "/usr/bin/curl";
const RULE: &str = "+ 10.0.0.5 until=exit";

impl Programs {
    fn start(&self, pid: u32, started_ticks: u64, path: &str) {
        let key = ProcessKey { pid, started_ticks, exec_id: None };
        self.0.lock().expect("no test panicked with it").push((key, path.to_owned()));
    }

    fn end(&self, pid: u32) {
        self.0.lock().expect("no test panicked with it").retain(|(key, _)| key.pid != pid);
    }
}

impl Worker {
    /// Whether the first rule of the first profile counts.
    fn counts(&self) -> bool {
        self.snapshot().profiles[0].filter.outgoing_rules[0].is_active
    }

    fn export(&self) -> String {
        self.ask(|reply| Message::Export { app: None, reply }).expect("a text")
    }
}

fn rules(lines: &[&str]) -> Value {
    Value::Rules(lines.iter().map(|line| (*line).to_owned()).collect())
}

#[test]
fn a_rule_counts_while_the_oldest_process_of_its_app_runs_and_is_listed_after_it() {
    let machine = Machine::new();
    machine.programs.start(5, 10, "/usr/bin/wget");
    machine.programs.start(8, 30, CURL);
    machine.programs.start(7, 20, CURL);
    let worker = machine.start();
    worker.add(Some(CURL), RULE).expect("added");
    assert!(worker.counts());
    let (again, _) = worker.add(Some(CURL), RULE).expect("there");
    assert!(again.was_there);
    let generation = worker.status().generation;
    machine.programs.end(8);
    assert_eq!(worker.status().generation, generation, "another process is no matter");
    worker.stop();

    let worker = machine.start();
    assert!(worker.counts(), "whatever restarts");
    machine.programs.start(9, 40, CURL);
    machine.programs.end(7);
    wait_until("the rule is over", || !worker.counts());
    assert_eq!(
        worker.snapshot().profiles[0].filter.outgoing_rules[0].why_not(),
        "the app has ended since"
    );
    let shown = worker.settings(Some(CURL)).expect("a profile");
    let listed = |it: &seawall_messages::policy::SettingStatus| it.value == rules(&[RULE]);
    assert!(shown.settings.iter().any(listed), "{shown:?}");
    // Said again, it is of the one that runs now.
    worker.add(Some(CURL), RULE).expect("added");
    assert!(worker.counts());
    assert_eq!(worker.snapshot().profiles[0].filter.outgoing_rules.len(), 1);
    worker.stop();
}

#[test]
fn it_is_switched_and_removed_as_it_is_written_and_not_exported() {
    let machine = Machine::new();
    machine.programs.start(7, 20, CURL);
    let worker = machine.start();
    worker.add(Some(CURL), RULE).expect("added");
    let (changed, _) = worker.change(RuleChange::Disable, Some(CURL), RULE).expect("off");
    assert_eq!(changed.rule, "+ 10.0.0.5 off until=exit");
    assert!(!worker.counts());
    worker.change(RuleChange::Enable, Some(CURL), RULE).expect("on");
    assert!(worker.counts());
    assert_eq!(worker.export(), "");
    let (changed, _) = worker.change(RuleChange::Remove, Some(CURL), RULE).expect("gone");
    assert_eq!(changed.rule, RULE);
    assert!(worker.snapshot().profiles.is_empty());
    worker.stop();
}

#[test]
fn only_a_command_about_an_app_that_runs_takes_it() {
    let machine = Machine::new();
    machine.programs.start(7, 20, "/usr/bin/wget");
    let worker = machine.start();
    assert_refused(worker.add(None, RULE), "until=exit needs an app");
    assert_refused(worker.add(Some(CURL), RULE), "process of the app \"curl\"");
    assert_refused(worker.add(Some(CURL), "+ nowhere.* until=exit # x"), "curl");
    machine.programs.start(8, 20, CURL);
    let said = "takes until=exit";
    for line in [RULE, "+ * until=exit@8-20-0fcbee07bad8"] {
        let value = rules(&["- LAN", line]);
        for app in [None, Some(CURL)] {
            assert_refused(worker.set(app, "outgoing_rules", Some(value.clone())), said);
        }
        let settings = Values::from([("outgoing_rules".to_owned(), value)]);
        let path = Some(Pattern::new(CURL));
        let matches = vec![Fingerprint { path, ..Fingerprint::default() }];
        let made = ProfileChange::Make(NewProfile { name: None, matches, settings });
        assert_refused(worker.change_profile(&made), said);
        for section in ["[filter]", "[[app]]\nmatch = { path = \"/usr/bin/curl\" }"] {
            let text = format!("{section}\noutgoing_rules = [\"{line}\"]\n");
            let asked = Import { text: text.clone(), dry_run: false, replace: false };
            assert_refused(worker.import(&asked), said);
            machine.write(&text);
            assert!(worker.reload().expect_err("not in a file").contains(said));
        }
    }
    worker.stop();
}

#[test]
fn the_profile_that_says_most_of_a_process_is_the_one_whose_it_is() {
    let machine = Machine::new();
    machine.programs.start(7, 20, CURL);
    let worker = machine.start();
    worker.add(Some(CURL), "- LAN").expect("added");
    assert_refused(worker.add(Some("/usr/bin/*"), RULE), "there is none");
    machine.programs.start(8, 30, "/usr/bin/wget");
    worker.add(Some("/usr/bin/*"), RULE).expect("added");
    machine.programs.end(7);
    machine.programs.end(8);
    let over = || {
        let snapshot = worker.snapshot();
        snapshot.profiles.iter().any(|app| app.filter.outgoing_rules.iter().any(|it| !it.is_active))
    };
    wait_until("the rule is over", over);
    worker.stop();
}
