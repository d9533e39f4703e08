//! What a file means, and what is said of one that means nothing.

use proptest::prelude::*;

use seawall_messages::policy::{DefaultAction, Filter};

use super::*;

const PATH: &str = "seawall.toml";

fn good(text: &str) -> PolicyFile {
    parse(text, Path::new(PATH)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad(text: &str) -> Problems {
    parse(text, Path::new(PATH)).expect_err(text)
}

#[test]
fn an_empty_file_means_the_defaults() {
    let file = good("");
    assert_eq!(file, PolicyFile::default());
    let snapshot = file.snapshot(PolicyGeneration(1), Vec::new(), &crate::rule::now().into());
    assert_eq!((snapshot.filter, snapshot.permanent_verdicts), (Filter::permit_all(), true));
    assert_eq!((file.filter, file.permanent_verdicts), (AppFilter::default(), None));
    assert_eq!(file.service.layout(), Layout::default());
    assert_eq!(file.service.metrics_listen, Some("127.0.0.1:9817".parse().unwrap()));
}

#[test]
fn every_setting_is_read() {
    let file = good(
        r#"
        [filter]
        default_action = "block"
        block_inbound = true
        block_lan = true
        block_internet = true
        block_local = true
        outgoing_rules = [
            "- 10.0.0.5 TCP/80",   # the printer
            '+ *',
        ]
        incoming_rules = ["+ LAN TCP/SSH"]
        permanent_verdicts = false

        [service]
        mode = "lockdown"
        backend = "iptables-legacy"
        queue_base = 0x1000
        mark_shift = 8
        label_base = 0

        [metrics]
        listen = "off"
        "#,
    );
    let filter = &file.filter;
    assert_eq!(filter.default_action, Some(DefaultAction::Block));
    let switches =
        [filter.block_inbound, filter.block_lan, filter.block_internet, filter.block_local];
    assert_eq!((switches, file.permanent_verdicts), ([Some(true); 4], Some(false)));
    let texts = |rules: &[seawall_messages::rule::Rule]| {
        rules.iter().map(|rule| rule.text.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&filter.outgoing_rules), ["- 10.0.0.5 TCP/HTTP", "+ *"]);
    assert_eq!(texts(&filter.incoming_rules), ["+ LAN TCP/SSH"]);
    let service = ServiceSettings {
        mode: Mode::Lockdown,
        backend: BackendChoice::IptablesLegacy,
        queue_base: 4096,
        mark_shift: 8,
        label_base: 0,
        metrics_listen: None,
    };
    assert_eq!(file.service, service);
}

#[test]
fn a_problem_says_where_it_is_and_what_was_expected() {
    let cases = [
        (
            "[filter]\ndefault_action = \"deny\"\n",
            "2:18: filter.default_action: found the string \"deny\"; expected \"permit\" or \"block\" or \"ask\"",
        ),
        (
            "[filter]\nask_timeout = 9\n",
            "2:15: filter.ask_timeout: found the number 9; expected a whole number of 10 to 999999",
        ),
        (
            "filter.block_lan = \"yes\"",
            "1:20: filter.block_lan: found the string \"yes\"; expected true or false",
        ),
        (
            "[filter]\n  block_inbond = true",
            "2:3: filter.block_inbond: found an unknown key \"block_inbond\"; expected `block_inbound`, perhaps",
        ),
        (
            "[fliter]",
            "1:2: fliter: found an unknown section or key \"fliter\"; expected `filter`, perhaps",
        ),
        (
            "[zzz]",
            "1:2: zzz: found an unknown section or key \"zzz\"; expected one of filter, app, network, service, metrics",
        ),
        ("filter = 3", "1:10: filter: found the number 3; expected a section: [filter]"),
        (
            "[service]\nmark_shift = 25",
            "2:14: service.mark_shift: found the number 25; expected a whole number of 0 to 24",
        ),
        (
            "[service]\nqueue_base = -1",
            "2:14: service.queue_base: found the number -1; expected a whole number of 0 to 65506",
        ),
        (
            "[service]\nlabel_base = 32",
            "2:14: service.label_base: found the number 32; expected 0 or 64",
        ),
        (
            "[service]\nbackend = \"iptables\"",
            "2:11: service.backend: found the string \"iptables\"; expected \"auto\" or \"nft\" or \"iptables-nft\" or \"iptables-legacy\"",
        ),
        (
            "[metrics]\nlisten = \"localhost\"",
            "2:10: metrics.listen: found the string \"localhost\"; expected an address and port such as 127.0.0.1:9817, or off",
        ),
        (
            "[filter]\noutgoing_rules = \"- *\"",
            "2:18: filter.outgoing_rules: found the string \"- *\"; expected a list of rules such as [\"- 10.0.0.5 TCP/80\", \"+ *\"]",
        ),
        (
            "[filter]\noutgoing_rules = [\"+ *\", 7]",
            "2:26: filter.outgoing_rules[2]: found the number 7; expected a rule in quotes",
        ),
        (
            "[filter]\nincoming_rules = [\n  \"+ lan TCP/ssx\",\n]",
            "3:14: filter.incoming_rules[1]: found `ssx`; expected a port of 1 to 65535, its name (HTTP, SSH …) or a range\n    + lan TCP/ssx\n              ^^^",
        ),
        // With escapes, the place within the string can't be told.
        (
            "[filter]\nincoming_rules = [\"\\u002b lan TCP/ssx\"]",
            "2:19: filter.incoming_rules[1]: found `ssx`; expected a port of 1 to 65535, its name (HTTP, SSH …) or a range\n    + lan TCP/ssx\n              ^^^",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(bad(text).to_string(), format!("{PATH}:{expected}"));
    }
}

#[test]
fn syntax_errors_say_where_they_are() {
    for (text, line) in [
        ("[filter]\nblock_lan = \n", 2),
        ("[filter\n", 1),
        ("[filter]\nblock_lan = true\nblock_lan = false\n", 3),
        ("a b", 1),
        ("[filter]\noutgoing_rules = [\n\"- *\n]\n", 3),
        ("\"", 1),
    ] {
        let problems = bad(text);
        let first = &problems.problems[0];
        assert_eq!((first.line, first.field.as_str()), (line, "syntax"), "{problems}");
    }
}

#[test]
fn all_problems_are_told_in_order_up_to_twenty() {
    let problems = bad("[service]\nmode = 1\n[filter]\nblock_lan = 2\nx = 3\nblock_local =\n");
    let lines: Vec<usize> = problems.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 4, 5, 6]);

    let rules: String = (0..100).map(|_| "\"x\",\n").collect();
    let problems = bad(&format!("[filter]\noutgoing_rules = [{rules}]"));
    assert_eq!((problems.problems.len(), problems.more), (20, 80));
    assert!(problems.to_string().ends_with("\nseawall.toml: and 80 more"), "{problems}");
}

#[test]
fn lists_of_rules_are_bounded() {
    let list = |count| format!("[filter]\noutgoing_rules = [{}]", "\"- *\",".repeat(count));
    assert_eq!(good(&list(MAX_RULES)).filter.outgoing_rules.len(), MAX_RULES);
    assert!(
        bad(&list(MAX_RULES + 1)).to_string().contains("found 10001 rules; expected at most 10000")
    );
}

#[test]
fn files_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(path(name), bytes).unwrap();
        path(name)
    };
    assert_eq!(read(&write("good", b"[filter]")).unwrap(), "[filter]");
    assert!(matches!(read(&path("missing")), Err(ReadError::Missing(_))));
    assert!(matches!(read(folder.path()), Err(ReadError::NotAFile(_))));
    let large = vec![b'#'; MAX_FILE_BYTES as usize + 1];
    assert!(matches!(read(&write("large", &large)), Err(ReadError::TooLarge(_))));
    assert!(read(&write("largest", &large[1..])).is_ok());
    let error = read(&write("bytes", b"a = 1\n\xc3\xa9\xff")).expect_err("not UTF-8");
    assert!(matches!(error, ReadError::NotText { line: 2, column: 2, .. }), "{error}");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(matches!(read(&path("pipe")), Err(ReadError::NotAFile(_))));
}

#[test]
fn settings_that_need_a_restart_are_named() {
    let running = ServiceSettings::default();
    let changed = good(
        "[service]\nmode='lockdown'\nqueue_base=1\nmark_shift=1\nlabel_base=0\nbackend='nft'\n[metrics]\nlisten='off'",
    );
    assert_eq!(running.restart_needed(&running), Vec::<String>::new());
    assert_eq!(
        changed.service.restart_needed(&running),
        [
            "service.backend",
            "service.queue_base",
            "service.mark_shift",
            "service.label_base",
            "metrics.listen"
        ]
    );
}

proptest! {
    #[test]
    fn any_text_gives_settings_or_problems_that_print(
        text in "(\\[(filter|service|x)\\]\n)?((block_lan|mode|outgoing_rules|y) ?= ?(true|1|\"[-+*a-z/ ]{0,9}\"|\\[\"[^\n]{0,9}\",?\\]|[^\n]{0,9})\n){0,6}|\\PC{0,80}",
    ) {
        if let Err(problems) = parse(&text, Path::new(PATH)) {
            prop_assert!(!problems.problems.is_empty());
            for problem in &problems.problems {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
                prop_assert!(problem.line <= text.lines().count() + 1);
            }
        }
    }
}
