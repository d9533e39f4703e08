//! Whom an `[[app]]` is about.

use proptest::prelude::*;

use super::*;
use crate::process::{App, AppKind, Attribution, Method, Process, ProcessKey};

/// A script of which everything is known.
fn process() -> Process {
    Process {
        key: ProcessKey { pid: 7, started_ticks: 1, exec_id: Some(3) },
        parent_pid: 1,
        uid: 1000,
        path: "/usr/bin/python3.13".into(),
        deleted: false,
        command_line: ["python3", "/usr/bin/meld", "a b"].map(str::to_owned).into(),
        parent_path: "/usr/bin/bash".into(),
        ancestors: Vec::new(),
        cgroup: "/user.slice/app.scope".into(),
        sha256: Some("00ff".into()),
        app: App {
            id: "script:/usr/bin/meld".into(),
            kind: AppKind::Script,
            name: "Meld".into(),
            icon: None,
        },
    }
}

fn pattern(text: &str) -> Option<Pattern> {
    Some(Pattern::new(text))
}

fn by_path(text: &str) -> Fingerprint {
    Fingerprint { path: pattern(text), ..Fingerprint::default() }
}

fn by_tag(text: &str) -> Fingerprint {
    Fingerprint { tag: pattern(text), ..Fingerprint::default() }
}

fn owned_by(process: Process) -> Attribution {
    Attribution { method: Method::Connect, process: Some(Arc::new(process)) }
}

fn with_apps(fingerprints: &[Fingerprint]) -> Snapshot {
    let app = |fingerprint: &Fingerprint| AppPolicy {
        name: fingerprint.to_string().into(),
        fingerprint: fingerprint.clone(),
        filter: AppFilter::default(),
    };
    Snapshot { apps: fingerprints.iter().map(app).collect(), ..Snapshot::unloaded() }
}

#[test]
fn a_star_stands_for_any_text() {
    for (text, fitting, others) in [
        ("/usr/bin/curl", &["/usr/bin/curl"][..], &["", "/usr/bin/curl2", "/usr/bin/cur"][..]),
        ("*", &["", "a", "*"], &[]),
        ("/opt/*", &["/opt/", "/opt/a/b"], &["/opt", "a/opt/"]),
        ("*/curl", &["/curl", "/usr/bin/curl", "/curl/curl"], &["curl", "/curl "]),
        ("a*a", &["aa", "aba", "aaa"], &["a", "ab", ""]),
        ("a*b*c", &["abc", "axbxc", "abbcc", "abcbc"], &["acb", "ac", "abcd"]),
        ("**", &["", "a"], &[]),
        ("a**b", &["ab", "axb"], &["a", "b"]),
        ("*a*", &["a", "bab"], &["", "b"]),
        ("*ab*ba*", &["abba", "xabyba"], &["aba", "bab"]),
        ("é*ü", &["éü", "éöü"], &["é", "e\u{301}ü"]),
        ("", &[""], &["a"]),
    ] {
        for fits in fitting {
            assert!(Pattern::new(text).fits(fits), "{text:?} fits {fits:?}");
        }
        for other in others {
            assert!(!Pattern::new(text).fits(other), "{text:?} doesn't fit {other:?}");
        }
        assert_eq!(Pattern::new(text).is_literal(), !text.contains('*'), "{text:?}");
    }
}

#[test]
fn all_that_a_fingerprint_says_has_to_fit() {
    let nothing = Fingerprint::default;
    let cases = [
        ("nothing said", nothing(), false),
        ("path", by_path("/usr/bin/python3*"), true),
        ("another path", by_path("/usr/bin/python2*"), false),
        ("tag", by_tag("script:/usr/bin/meld"), true),
        ("another tag", by_tag("path:*"), false),
        ("words", Fingerprint { command_line: pattern("* /usr/bin/meld a b"), ..nothing() }, true),
        ("one word", Fingerprint { command_line: pattern("python3"), ..nothing() }, false),
        ("parent", Fingerprint { parent: pattern("/usr/bin/*sh"), ..nothing() }, true),
        ("another parent", Fingerprint { parent: pattern("/usr/bin/zsh"), ..nothing() }, false),
        ("cgroup", Fingerprint { cgroup: pattern("/user.slice/*"), ..nothing() }, true),
        ("another cgroup", Fingerprint { cgroup: pattern("/system.slice/*"), ..nothing() }, false),
        ("hash", Fingerprint { sha256: Some("00ff".into()), ..nothing() }, true),
        ("another hash", Fingerprint { sha256: Some("00".into()), ..nothing() }, false),
        ("both", Fingerprint { parent: pattern("/usr/bin/bash"), ..by_path("/*") }, true),
        ("one of two", Fingerprint { parent: pattern("/usr/bin/zsh"), ..by_path("/*") }, false),
        ("the other", Fingerprint { parent: pattern("/usr/bin/bash"), ..by_path("/a") }, false),
    ];
    for (name, fingerprint, expected) in cases {
        assert_eq!(fingerprint.fits(&process()), expected, "{name}");
    }
    let hash = Fingerprint { sha256: Some("00ff".into()), ..nothing() };
    assert!(!hash.fits(&Process { sha256: None, ..process() }), "nobody knows its hash");
}

#[test]
fn a_file_of_a_container_is_never_taken_for_a_hosts() {
    let contained = Process { path: "docker:web:/usr/bin/curl".into(), ..process() };
    assert!(!by_path("/usr/bin/curl").fits(&contained));
    assert!(!by_path("/*").fits(&contained));
    assert!(by_path("docker:*:/usr/bin/curl").fits(&contained));
    assert!(by_path("*/curl").fits(&contained), "asked for anyone's");
}

#[test]
fn the_first_app_that_fits_counts() {
    let snapshot = with_apps(&[by_path("/opt/*"), by_tag("script:*"), by_path("/usr/bin/*")]);
    let found = |path: &str, id: &str| {
        let app = App { id: id.into(), ..process().app };
        let process = Process { path: path.into(), app, ..process() };
        snapshot.layers_of(&owned_by(process)).section.map(|app| app.name.to_string())
    };
    assert_eq!(found("/opt/a", "script:/b").as_deref(), Some("path=/opt/*"));
    assert_eq!(found("/usr/bin/a", "script:/b").as_deref(), Some("tag=script:*"));
    assert_eq!(found("/usr/bin/a", "path:/usr/bin/a").as_deref(), Some("path=/usr/bin/*"));
    assert_eq!(found("/usr/sbin/a", "path:/usr/sbin/a"), None);
    assert!(with_apps(&[]).app_place(&owned_by(process())).is_nowhere());
}

#[test]
fn what_nobody_knows_the_owner_of_is_an_app_only_where_that_is_said() {
    let of_nobody = |fingerprint: Fingerprint| {
        let snapshot = with_apps(&[by_path("*"), fingerprint]);
        let section = snapshot.layers_of(&Attribution::unidentified()).section;
        section.map(|app| app.name.to_string())
    };
    assert_eq!(of_nobody(by_tag(&App::unidentified().id)).as_deref(), Some("tag=unidentified"));
    let more = Fingerprint { path: pattern("*"), ..by_tag("unidentified") };
    let hash = Fingerprint { sha256: Some("00".into()), ..by_tag("unidentified") };
    for fingerprint in [by_tag("*"), by_tag("unidentified*"), more, hash, Fingerprint::default()] {
        assert_eq!(of_nobody(fingerprint.clone()), None, "{fingerprint}");
    }
}

#[test]
fn a_fingerprint_is_shown_as_all_that_it_says() {
    let all = Fingerprint {
        command_line: pattern("* a"),
        parent: pattern("/b"),
        tag: pattern("snap:c"),
        cgroup: pattern("/d"),
        sha256: Some("00ff".into()),
        ..by_path("/usr/bin/*")
    };
    let expected =
        "path=/usr/bin/*, command_line=* a, parent=/b, tag=snap:c, cgroup=/d, sha256=00ff";
    assert_eq!(all.to_string(), expected);
    assert_eq!(by_tag("snap:c").to_string(), "tag=snap:c");
}

/// Tries every text that a star may stand for.
fn fits_naively(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| fits_naively(rest, &text[skipped..])),
        [first, rest @ ..] => text.first() == Some(first) && fits_naively(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn patterns_agree_with_trying_everything(pattern in "[abé*]{0,7}", text in "[abé]{0,9}") {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = fits_naively(&characters(&pattern), &characters(&text));
        prop_assert_eq!(Pattern::new(&pattern).fits(&text), expected);
    }
}
