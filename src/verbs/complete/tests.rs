//! What is offered of what Seawall knows.

use seawall_messages::api::RuleInForce;
use seawall_messages::policy::{Fingerprint, Pattern, PolicyGeneration, Profile};
use seawall_messages::setting::Values;

use super::*;
use crate::verbs::prompts::words;

fn values(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.value.as_str()).collect()
}

fn profiles() -> ProfileList {
    let profile = |name: &str, matches: Vec<Fingerprint>| Profile {
        id: 1,
        name: name.into(),
        matches,
        settings: Values::default(),
        problems: Vec::new(),
        created_s: 0,
    };
    let path =
        |text: &str| Fingerprint { path: Some(Pattern::new(text)), ..Fingerprint::default() };
    let tag = |text: &str| Fingerprint { tag: Some(Pattern::new(text)), ..Fingerprint::default() };
    let profiles = vec![
        profile("Firefox", vec![tag("snap:firefox"), path("/opt/firefox/*")]),
        profile("curl", vec![path("/usr/bin/curl")]),
        profile("evil\nname", vec![path("/usr/bin/ev\u{1b}il")]),
    ];
    ProfileList { profiles }
}

#[test]
fn apps_are_offered_by_name_path_and_id() {
    let found = fitting(apps(&profiles(), true), "");
    assert_eq!(values(&found), ["Firefox", "curl", "/usr/bin/curl", "snap:firefox"]);
    assert_eq!(found[0].about, "snap:firefox");
    assert_eq!(values(&fitting(apps(&profiles(), false), "")), ["/usr/bin/curl", "snap:firefox"]);
    assert_eq!(values(&fitting(apps(&profiles(), true), "/usr")), ["/usr/bin/curl"]);
}

#[test]
fn what_is_offered_is_bounded_and_said_once() {
    let many = (0..2_000).map(|number| candidate(number % 1_000, "")).collect();
    let found = fitting(many, "");
    assert_eq!(found.len(), MOST);
    assert_eq!(values(&fitting(vec![candidate("a", ""), candidate("a", "")], "")), ["a"]);
}

#[test]
fn prompts_are_offered_by_their_ids_and_told_apart() {
    let list = Prompts { prompts: vec![words::sample()], answers: Vec::new() };
    let found = prompts(&list, true);
    assert_eq!(found, [candidate(3, "waits: curl to 9.9.9.9:443 TCP")]);
}

#[test]
fn rules_are_those_that_the_line_is_about() {
    let rule = |app: Option<&str>, list, origin, text: &str| RuleInForce {
        app: app.map(Into::into),
        list,
        position: 1,
        origin,
        rule: text.into(),
        idle: None,
        connections: 0,
        last: None,
    };
    let (out, into) = (RuleList::Outgoing, RuleList::Incoming);
    let answer = RulesInForce {
        generation: PolicyGeneration(1),
        rules: vec![
            rule(Some("curl"), out, Origin::Store, "- 1"),
            rule(None, out, Origin::Store, "- 2"),
            rule(None, into, Origin::Store, "- 3"),
            rule(None, out, Origin::File, "- 4"),
        ],
    };
    let cases = [(None, false, "- 2"), (None, true, "- 3"), (Some("curl"), false, "- 1")];
    for (app, incoming, expected) in cases {
        let place = Place {
            kind: Kind::StoredRule,
            text: String::new(),
            before: String::new(),
            run_dir: "/run".into(),
            app: app.map(str::to_owned),
            incoming,
        };
        assert_eq!(values(&rules(&answer, &place)), [expected], "{app:?} {incoming}");
    }
}
