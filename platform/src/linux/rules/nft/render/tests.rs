//! The rendered table, whole, and what `nft` and the kernel make of it. Where
//! the kernel has no `queue` statement, everything else is loaded all the same.

use super::super::{NftRules, Program, REMOVAL, RuleEvents};
use super::*;

fn rendered(mode: Mode, judge_loopback: bool) -> String {
    let rules = WantedRules { epoch: 1, mode, judge_loopback };
    table(&rules, Epoch::FIRST, &Layout::default())
}

#[test]
fn rules_are_as_written_down() {
    assert_eq!(rendered(Mode::Open, false), include_str!("../../golden/open.nft"));
    assert_eq!(rendered(Mode::Lockdown, true), include_str!("../../golden/lockdown-loopback.nft"));
}

#[test]
fn the_table_loads_is_refilled_and_goes() {
    in_new_namespace(|| {
        let rules = open();
        let listed = |arguments: &[&str]| rules.program.run(arguments, "").unwrap();
        let mut hooked_in: Option<Vec<String>> = None;
        for mode in [Mode::Open, Mode::Lockdown] {
            for judge_loopback in [false, true] {
                let text = without_queues(&rendered(mode, judge_loopback));
                assert!(!text.contains("queue"), "{text}");
                for _ in 0..2 {
                    rules.install(&text).unwrap();
                    let found = listed(&["--stateless", "list", "ruleset"]);
                    // Every rule once, in one line each; a base chain's policy is in its own line.
                    assert_eq!(lines(&found), lines(&text), "{found}");
                    // No chain was ever taken away: each is still the one of the first time.
                    let handles = chain_handles(&listed(&["--handle", "list", "ruleset"]));
                    assert_eq!(hooked_in.get_or_insert_with(|| handles.clone()), &handles);
                }
            }
        }
        assert_eq!(hooked_in.map(|chains| chains.len()), Some(14));
        super::super::remove().unwrap();
        super::super::remove().unwrap();
        assert_eq!(listed(&["list", "ruleset"]), "");
    });
}

#[test]
fn a_table_of_other_chains_is_replaced() {
    in_new_namespace(|| {
        let rules = open();
        let text = without_queues(&rendered(Mode::Open, false));
        for other in [
            "chain raw_output { type filter hook output priority -299; policy accept; }",
            "chain judge_output { type filter hook output priority -7; policy drop; }",
            "chain save { type filter hook output priority -7; policy drop; }",
        ] {
            let other = format!("table inet seawall {{ {other}; }}");
            rules.program.run(&["-f", "-"], &format!("{REMOVAL}{other}")).unwrap();
            let listed = rules.install(&text).unwrap();
            assert_eq!(lines(&listed), lines(&text), "{listed}");
        }
    });
}

#[test]
fn what_is_tried_hooks_in_nowhere_and_holds_every_rule() {
    in_new_namespace(|| {
        let rules = open();
        let probe = probe(&Layout::default());
        assert!(!probe.contains(" hook "), "{probe}");
        for line in rendered(Mode::Lockdown, true).lines().skip(1) {
            assert!(line.contains(" hook ") || probe.contains(line), "{line}");
        }
        rules.program.run(&["--check", "-f", "-"], &without_queues(&probe)).unwrap();
        assert_eq!(rules.program.run(&["list", "ruleset"], "").unwrap(), "");
    });
}

fn open() -> NftRules {
    NftRules {
        program: Program::find("nft").expect("nft is needed for this test"),
        events: RuleEvents::open().expect("a netlink socket"),
        applied: None,
    }
}

fn lines(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty()).count()
}

fn chain_handles(text: &str) -> Vec<String> {
    let chains = text.lines().filter(|line| line.trim().starts_with("chain "));
    chains.map(String::from).collect()
}

/// Each queue statement replaced by an accept.
fn without_queues(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let line =
            line.split_once("queue num").map_or(line.into(), |(head, _)| format!("{head}accept"));
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

fn in_new_namespace(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        enter_new_namespace();
        work();
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[allow(unsafe_code, reason = "unshare is unsafe: it may take descriptors apart; NEWNET does not")]
fn enter_new_namespace() {
    // SAFETY: only the network namespace of this thread changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
        .expect("a network namespace: this test needs CAP_SYS_ADMIN");
}
