//! The rendered rules, whole: a change of a rule is a change of these files.

use super::super::saved::{Order, Saved, install};
use super::*;

fn rendered(family: Family, mode: Mode, judge_loopback: bool) -> String {
    let rules = WantedRules { epoch: 1, mode, judge_loopback };
    let tables = tables(&rules, Epoch::FIRST, &Layout::default(), family);
    install(&tables, &Saved::default(), Order::JudgeFirst)
}

#[test]
fn rules_are_as_written_down() {
    let cases = [
        (rendered(Family::V4, Mode::Open, false), include_str!("../golden/ipv4-open.rules")),
        (
            rendered(Family::V6, Mode::Lockdown, false),
            include_str!("../golden/ipv6-lockdown.rules"),
        ),
        (
            rendered(Family::V4, Mode::Lockdown, true),
            include_str!("../golden/ipv4-lockdown-loopback.rules"),
        ),
    ];
    for (text, golden) in cases {
        assert_eq!(text, golden);
    }
}

#[test]
fn only_lockdown_and_never_loopback_waits_for_a_reader() {
    for family in [Family::V4, Family::V6] {
        for judge_loopback in [false, true] {
            let open = rendered(family, Mode::Open, judge_loopback);
            assert!(
                open.lines()
                    .filter(|line| line.contains("NFQUEUE"))
                    .all(|line| line.ends_with("--queue-bypass"))
            );
            assert!(!open.contains("--ctstate NEW -j DROP"));
            let lockdown = rendered(family, Mode::Lockdown, judge_loopback);
            for line in lockdown.lines().filter(|line| line.contains("NFQUEUE")) {
                let only_on = |device: &&str| {
                    line.contains(*device) && !line.contains(&format!("! {device}"))
                };
                let loopback = ["-o lo ", "-i lo "].iter().any(only_on);
                assert_eq!(line.ends_with("--queue-bypass"), loopback, "{line}");
            }
            assert_eq!(lockdown.matches("--ctstate NEW -j DROP").count(), 3);
        }
    }
}

#[test]
fn marks_and_labels_move_with_the_layout() {
    let layout = Layout { mark_shift: 8, label_base: 0, queue_base: 100, own_gid: 5 };
    let rules = WantedRules { epoch: 7, mode: Mode::Open, judge_loopback: false };
    let epoch = Epoch::new(7).unwrap();
    let tables = tables(&rules, epoch, &layout, Family::V4);
    let text = install(&tables, &Saved::default(), Order::JudgeFirst);
    for rule in [
        "-A SEAWALL_SAVE -m mark --mark 0xf100/0xff00 -m connlabel --label 15 --set",
        "-A SEAWALL_SAVE -m mark --mark 0x100/0x700 -m connlabel --label 0 --set",
        "-A SEAWALL_JUDGE_OUT -m connlabel --label 56 -j RETURN",
        "-A SEAWALL_FILTER -m connlabel --label 31 -j DROP",
        "-A SEAWALL_RAW -m mark --mark 0x8000/0x8000 -j MARK --set-xmark 0x0/0xff00",
        "-A SEAWALL_PRE -m mark --mark 0x8000/0x8000 -j MARK --set-xmark 0x0/0xff00",
        "-A SEAWALL_JUDGE_FWD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 120 --queue-bypass",
    ] {
        assert!(text.lines().any(|line| line == rule), "{rule} in {text}");
    }
}
