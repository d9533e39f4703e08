//! What an `[[app]]` means, and what is said of one that means nothing.

use std::path::Path;

use proptest::prelude::*;
use seawall_messages::policy::{AppFilter, AppPolicy, DefaultAction, Fingerprint, Pattern};
use seawall_messages::rule::Rule;

use super::{MAX_APPS, MAX_PATTERN_BYTES, MAX_STARS};
use crate::file::{MAX_RULES, PolicyFile, parse};

const PATH: &str = "seawall.toml";

fn good(text: &str) -> PolicyFile {
    parse(text, Path::new(PATH)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad(text: &str) -> String {
    parse(text, Path::new(PATH)).expect_err(text).to_string()
}

fn pattern(text: &str) -> Option<Pattern> {
    Some(Pattern::new(text))
}

#[test]
fn every_setting_of_an_app_is_read() {
    let hash = "00FF".repeat(16);
    let file = good(&format!(
        r#"
        [[app]]
        name = "curl"
        match = {{ path = "/usr/bin/curl" }}
        default_action = "block"
        block_inbound = true
        block_lan = false
        block_internet = true
        block_local = false
        outgoing_rules = ["+ 10.0.0.0/8 TCP/443", "- *"]
        incoming_rules = ["+ LAN TCP/SSH"]

        [[app]]
        [app.match]
        path = "docker:*:/usr/bin/curl"
        command_line = "curl *"
        parent = "*/bash"
        tag = "container:*"
        cgroup = "/system.slice/*"
        sha256 = "{hash}"
        "#
    ));
    let [curl, contained] = &file.apps[..] else { panic!("{:?}", file.apps) };
    assert_eq!(&*curl.name, "curl");
    let expected = Fingerprint { path: pattern("/usr/bin/curl"), ..Fingerprint::default() };
    assert_eq!(curl.fingerprint, expected);
    let AppFilter { outgoing_rules, incoming_rules, .. } = &curl.filter;
    let texts = |rules: &[Rule]| rules.iter().map(|rule| rule.text.to_string()).collect::<Vec<_>>();
    assert_eq!(texts(outgoing_rules), ["+ 10.0.0.0/8 TCP/HTTPS", "- *"]);
    assert_eq!(texts(incoming_rules), ["+ LAN TCP/SSH"]);
    let expected = AppFilter {
        default_action: Some(DefaultAction::Block),
        block_inbound: Some(true),
        block_lan: Some(false),
        block_internet: Some(true),
        block_local: Some(false),
        outgoing_rules: outgoing_rules.clone(),
        incoming_rules: incoming_rules.clone(),
        use_parent: None,
    };
    assert_eq!(curl.filter, expected);

    let fingerprint = Fingerprint {
        path: pattern("docker:*:/usr/bin/curl"),
        command_line: pattern("curl *"),
        parent: pattern("*/bash"),
        tag: pattern("container:*"),
        cgroup: pattern("/system.slice/*"),
        sha256: Some("00ff".repeat(16).into()),
    };
    let name = fingerprint.to_string().into();
    assert_eq!(*contained, AppPolicy { name, fingerprint, filter: AppFilter::default() });
}

#[test]
fn what_is_said_of_apps_says_nothing_of_all() {
    let file = good("[[app]]\nmatch = { tag = 'unidentified' }\ndefault_action = 'block'");
    assert_eq!(PolicyFile { apps: Vec::new(), ..file }, PolicyFile::default());
    assert!(good("app = []").apps.is_empty());
}

#[test]
fn a_problem_says_where_it_is_and_what_was_expected() {
    const KEYS: &str = "expected at least one of path, command_line, parent, tag, cgroup, sha256: whom the section is about";
    const PATH_FORM: &str = "expected text of 1 to 1024 bytes with at most 16 stars that begins with / or *, or with a container: docker:NAME:/usr/bin/curl";
    let app = "[[app]]\nmatch = { path = \"/a\" }\n";
    let cases = [
        ("[app]\nmatch = { path = \"/a\" }".to_owned(), "1:1: app: found a single section [app]; expected a list of sections, each headed [[app]]".to_owned()),
        ("app = 3".to_owned(), "1:7: app: found the number 3; expected a list of sections, each headed [[app]]".to_owned()),
        ("app = [3]".to_owned(), "1:8: app[1]: found the number 3; expected a section: [[app]]".to_owned()),
        ("[[apps]]".to_owned(), "1:3: apps: found an unknown section or key \"apps\"; expected `app`, perhaps".to_owned()),
        (format!("{app}\n[[app]]\nblock_lan = true"), format!("4:1: app[2].match: found nothing; {KEYS}")),
        ("[[app]]\nmatch = {}".to_owned(), format!("2:9: app[1].match: found an empty table; {KEYS}")),
        ("[[app]]\nmatch = \"/usr/bin/curl\"".to_owned(), format!("2:9: app[1].match: found the string \"/usr/bin/curl\"; {KEYS}")),
        (
            "[[app]]\nmatch = { pth = \"/a\" }".to_owned(),
            "2:11: app[1].match.pth: found an unknown key \"pth\"; expected `path`, perhaps".to_owned(),
        ),
        (format!("{app}[[app]]\nmatch = {{ path = \"curl\" }}"), format!("4:18: app[2].match.path: found the string \"curl\"; {PATH_FORM}")),
        ("[[app]]\nmatch = { parent = \"\" }".to_owned(), format!("2:20: app[1].match.parent: found the string \"\"; {PATH_FORM}")),
        ("[[app]]\nmatch = { tag = 3 }".to_owned(), "2:17: app[1].match.tag: found the number 3; expected text of 1 to 1024 bytes with at most 16 stars".to_owned()),
        ("[[app]]\nmatch = { cgroup = \"ssh.service\" }".to_owned(), "2:20: app[1].match.cgroup: found the string \"ssh.service\"; expected text of 1 to 1024 bytes with at most 16 stars that begins with / or *".to_owned()),
        ("[[app]]\nmatch = { sha256 = \"abc\" }".to_owned(), "2:20: app[1].match.sha256: found the string \"abc\"; expected 64 hexadecimal digits".to_owned()),
        (format!("{app}name = \"\""), "3:8: app[1].name: found the string \"\"; expected a name of 1 to 200 bytes without control characters".to_owned()),
        (format!("{app}name = \"a\\u001b\""), "3:8: app[1].name: found the string \"a\\u{1b}\"; expected a name of 1 to 200 bytes without control characters".to_owned()),
        (format!("{app}default_action = \"deny\""), "3:18: app[1].default_action: found the string \"deny\"; expected \"permit\" or \"block\" or \"ask\"".to_owned()),
        (format!("{app}block_lan = 1"), "3:13: app[1].block_lan: found the number 1; expected true or false".to_owned()),
        (format!("{app}permanent_verdicts = true"), "3:22: app[1].permanent_verdicts: found a key of another section; expected it in [filter]: it is one for all apps".to_owned()),
        (format!("{app}ask_timeout = 20"), "3:15: app[1].ask_timeout: found a key of another section; expected it in [filter]: it is one for all apps".to_owned()),
        (format!("{app}mode = \"open\""), "3:1: app[1].mode: found an unknown key \"mode\"; expected one of name, match, default_action, block_inbound, block_lan, block_internet, block_local, outgoing_rules, incoming_rules, use_parent".to_owned()),
        (
            format!("{app}\n{app}outgoing_rules = [\"+ *\", 7]"),
            "6:26: app[2].outgoing_rules[2]: found the number 7; expected a rule in quotes".to_owned(),
        ),
        (
            format!("{app}incoming_rules = [\n  \"+ lan TCP/ssx\",\n]"),
            "4:14: app[1].incoming_rules[1]: found `ssx`; expected a port of 1 to 65535, its name (HTTP, SSH …) or a range\n    + lan TCP/ssx\n              ^^^".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(bad(&text), format!("{PATH}:{expected}"));
    }
}

#[test]
fn paths_are_those_of_the_host_or_of_a_container() {
    let file = |path: &str| format!("[[app]]\nmatch = {{ path = '{path}' }}");
    for path in ["/", "*", "*/curl", "docker:web:/a", "docker:*:/a", "docker:*", "lxc:a:b:/c"] {
        assert_eq!(good(&file(path)).apps.len(), 1, "{path}");
    }
    for path in ["curl", "./curl", "~/curl", ":/curl", "docker:web", "a/b:c:/d", "snap:firefox"] {
        assert!(bad(&file(path)).contains("app[1].match.path"), "{path}");
    }
}

#[test]
fn everything_is_bounded() {
    let with = |text: String| format!("[[app]]\nmatch = {{ command_line = '{text}' }}\n");
    assert_eq!(good(&with("x".repeat(MAX_PATTERN_BYTES))).apps.len(), 1);
    assert!(bad(&with("x".repeat(MAX_PATTERN_BYTES + 1))).contains("of 1 to 1024 bytes"));
    assert_eq!(good(&with("*".repeat(MAX_STARS))).apps.len(), 1);
    assert!(bad(&with("*".repeat(MAX_STARS + 1))).contains("at most 16 stars"));

    let app = with("a".to_owned());
    assert_eq!(good(&app.repeat(MAX_APPS)).apps.len(), MAX_APPS);
    let refused = bad(&app.repeat(MAX_APPS + 1));
    assert!(refused.contains("app: found 1001 sections; expected at most 1000"), "{refused}");

    let rules = format!("{app}outgoing_rules = [{}]", "\"- *\",".repeat(MAX_RULES + 1));
    let refused = bad(&rules);
    assert!(refused.contains("app[1].outgoing_rules: found 10001 rules"), "{refused}");
}

proptest! {
    #[test]
    fn an_app_is_read_or_something_is_said_of_it(
        apps in prop::collection::vec(
            "(match = ?(\\{ ?((path|tag|sha256|x) = '[/*:a]{0,3}')? \\}|'')\n)?((name|block_lan|permanent_verdicts) = ('.{0,4}'|true)\n){0,2}",
            0..4,
        ),
    ) {
        let text: String = apps.iter().map(|app| format!("[[app]]\n{app}")).collect();
        match parse(&text, Path::new(PATH)) {
            Ok(file) => {
                prop_assert_eq!(file.apps.len(), apps.len());
                prop_assert!(file.apps.iter().all(|app| !app.fingerprint.is_empty()));
            }
            Err(problems) => prop_assert!(!problems.problems.is_empty()),
        }
    }
}

#[test]
fn an_app_may_have_what_is_said_of_its_parent() {
    let file = good("[[app]]\nmatch = { path = \"/bin/sh\" }\nuse_parent = true\n");
    assert_eq!(file.apps[0].filter.use_parent, Some(true));
    assert!(!file.apps[0].filter.says_something());
    let problems = bad("[filter]\nuse_parent = true\n");
    assert!(problems.to_string().contains("filter.use_parent"), "{problems}");
}
