//! Rules that stand, are in their places, and are seen to be changed by others.

use seawall_messages::keeper::Layout;
use seawall_messages::policy::Mode;
use seawall_platform::linux::layout::Epoch;
use seawall_platform::linux::rules::{Backend, Rules};

use super::host::Host;
use super::{BACKENDS, apply, install, iptables, savers};

/// The first rule of each built-in chain in which we come first, per table.
const FIRST_RULES: [(&str, &str); 11] = [
    ("raw", "-A PREROUTING -j SEAWALL_RAW"),
    ("raw", "-A OUTPUT -j SEAWALL_RAW"),
    ("mangle", "-A OUTPUT -j SEAWALL_OUT"),
    ("mangle", "-A INPUT -j SEAWALL_IN"),
    ("mangle", "-A FORWARD -j SEAWALL_FWD"),
    ("filter", "-A OUTPUT -j SEAWALL_FILTER"),
    ("filter", "-A INPUT -j SEAWALL_FILTER"),
    ("filter", "-A FORWARD -j SEAWALL_FILTER"),
    ("security", "-A OUTPUT -j SEAWALL_BACK_OUT"),
    ("security", "-A INPUT -j SEAWALL_BACK_IN"),
    ("security", "-A FORWARD -j SEAWALL_BACK_FWD"),
];

/// The last rule of each built-in chain in which we come last.
const LAST_RULES: [(&str, &str); 2] =
    [("raw", "-A OUTPUT -j SEAWALL_RAW"), ("mangle", "-A PREROUTING -j SEAWALL_PRE")];

/// Each of our jumps is there once, in its place.
fn assert_in_place(host: &Host, backend: Backend) {
    for save in savers(backend) {
        let rules_beside = |table: &str, jump: &str| -> Vec<String> {
            let text = host.run(&format!("{save} -t {table}"));
            let chain = jump.rsplit_once(" -j ").expect("a jump").0;
            let rules = text.lines().filter(|line| line.starts_with(&format!("{chain} ")));
            rules.map(String::from).collect()
        };
        for (table, jump) in FIRST_RULES {
            let rules = rules_beside(table, jump);
            assert_eq!(rules.first().map(String::as_str), Some(jump), "{save} {table}");
            let wanted = 1 + usize::from(LAST_RULES.contains(&(table, jump)));
            let found = rules.iter().filter(|rule| *rule == jump).count();
            assert_eq!(found, wanted, "{save} {table}: {rules:?}");
        }
        for (table, jump) in LAST_RULES {
            let rules = rules_beside(table, jump);
            assert_eq!(rules.last().map(String::as_str), Some(jump), "{save} {table}");
        }
    }
}

fn assert_nothing_of_ours(host: &Host) {
    for backend in BACKENDS {
        for save in savers(backend) {
            let text = host.run(save);
            assert!(!text.contains("SEAWALL"), "{save}: {text}");
        }
    }
    let text = host.run("nft list ruleset");
    assert!(!text.to_lowercase().contains("seawall"), "{text}");
}

#[test]
fn rules_are_in_their_places_however_often_they_are_applied() {
    for backend in BACKENDS {
        let host = Host::new();
        for table in ["raw", "mangle", "filter"] {
            host.run(&format!(
                "{} -t {table} -A OUTPUT -p udp --dport 9 -j ACCEPT",
                iptables(backend)
            ));
        }
        let mut rules = install(&host, backend, Mode::Open);
        let mut epoch = Epoch::FIRST;
        for _ in 0..4 {
            assert_in_place(&host, backend);
            assert!(host.on(|| rules.intact().unwrap()));
            epoch = epoch.next();
            apply(&host, &mut rules, epoch, Mode::Lockdown);
        }
        let text = host.run(savers(backend)[0]);
        assert_eq!(text.matches("--dport 9 -j ACCEPT").count(), 3, "foreign rules stay: {text}");
    }
}

#[test]
fn leftovers_of_a_crashed_run_are_repaired() {
    for backend in BACKENDS {
        let host = Host::new();
        let ours = iptables(backend);
        // Another back-end's whole set, and wild remains of this one.
        for other in BACKENDS.into_iter().filter(|other| *other != backend) {
            install(&host, other, Mode::Lockdown);
        }
        install(&host, backend, Mode::Lockdown);
        for line in [
            "-t mangle -I OUTPUT 1 -j SEAWALL_OUT",
            "-t mangle -A OUTPUT -p tcp -m comment --comment a_word -j SEAWALL_OUT",
            "-t mangle -N SEAWALL_OLD",
            "-t mangle -A SEAWALL_OUT -j SEAWALL_OLD",
            "-t mangle -I INPUT 1 -p udp -j ACCEPT",
            "-t nat -N SEAWALL_NAT",
            "-t nat -A OUTPUT -j SEAWALL_NAT",
        ] {
            host.run(&format!("{ours} {line}"));
        }
        let mut rules = install(&host, backend, Mode::Open);
        assert_in_place(&host, backend);
        let all = BACKENDS.map(|backend| host.run(savers(backend)[0])).concat();
        assert!(!all.contains("SEAWALL_OLD") && !all.contains("SEAWALL_NAT"), "{all}");
        assert_eq!(all.matches("-j SEAWALL_OUT").count(), 1, "{all}");
        assert!(all.contains("-A INPUT -p udp -j ACCEPT"), "{all}");

        host.on(|| rules.remove().unwrap());
        assert_nothing_of_ours(&host);
        host.on(|| rules.remove().unwrap());
    }
}

#[test]
fn what_others_do_to_our_rules_is_seen_and_mended() {
    for backend in BACKENDS {
        let ours = iptables(backend);
        let six = ours.replacen("ip", "ip6", 1);
        for damage in [
            format!("{ours} -t mangle -F OUTPUT"),
            format!("{ours} -t mangle -F SEAWALL_OUT"),
            format!("{ours} -t mangle -F"),
            format!("{ours} -D INPUT -j SEAWALL_FILTER"),
            format!("{six} -t mangle -D INPUT -j SEAWALL_IN"),
            format!("{six} -t security -F SEAWALL_BACK_OUT"),
            format!("{ours} -t mangle -I OUTPUT 1 -j ACCEPT"),
            format!("{six} -t raw -I PREROUTING 1 -j ACCEPT"),
            format!("{six} -t raw -A OUTPUT -j MARK --set-mark 0x91000000"),
            format!("{ours} -t mangle -A PREROUTING -j CONNMARK --restore-mark"),
            format!("{ours} -t mangle -D PREROUTING -j SEAWALL_PRE"),
            format!("{ours} -t mangle -I SEAWALL_OUT 3 -p udp -j RETURN"),
            format!("{ours} -t mangle -R SEAWALL_OUT 2 -p udp -j RETURN"),
            format!("{ours} -t filter -A SEAWALL_FILTER -j ACCEPT"),
        ] {
            let host = Host::new();
            let mut rules = install(&host, backend, Mode::Open);
            assert!(host.on(|| rules.intact().unwrap()));
            host.run(&damage);
            assert!(!host.on(|| rules.intact().unwrap()), "not seen: {damage}");
            assert!(!host.on(|| rules.intact().unwrap()), "forgotten: {damage}");
            apply(&host, &mut rules, Epoch::FIRST, Mode::Open);
            assert!(host.on(|| rules.intact().unwrap()), "not mended: {damage}");
            assert_in_place(&host, backend);
        }
    }
}

#[test]
fn changes_that_do_not_touch_ours_count_as_intact() {
    for backend in BACKENDS {
        let host = Host::new();
        let mut rules = install(&host, backend, Mode::Open);
        let ours = iptables(backend);
        for line in [
            "-t mangle -A OUTPUT -p udp --dport 9 -j ACCEPT",
            "-t mangle -D OUTPUT -p udp --dport 9 -j ACCEPT",
            "-N FOREIGN",
            "-A FOREIGN -m comment --comment -j -j DROP",
            "-t nat -A POSTROUTING -j MASQUERADE",
            "-t mangle -I PREROUTING 1 -p udp --dport 9 -j MARK --set-mark 1",
            "-t raw -I OUTPUT 2 -p udp --dport 9 -j MARK --set-mark 1",
            "-t raw -D OUTPUT 2",
            "-t mangle -Z",
        ] {
            host.run(&format!("{ours} {line}"));
            assert!(host.on(|| rules.intact().unwrap()), "{line}");
        }
        // Traffic moves counters, which are no change.
        host.try_run("ping -c 2 -i 0.01 -W 1 127.0.0.1");
        assert!(host.on(|| rules.intact().unwrap()));
    }
}

#[test]
fn a_change_wakes_whoever_watches_nft_rules() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let host = Host::new();
    let rules = install(&host, Backend::IptablesNft, Mode::Open);
    let fd = rules.watch_fd().expect("a descriptor to watch");
    let readable = |seconds| {
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
    };
    assert!(!readable(0), "our own change is no event");
    host.run("iptables-nft -A INPUT -p udp -j ACCEPT");
    assert!(readable(5));
    assert!(install(&Host::new(), Backend::IptablesLegacy, Mode::Open).watch_fd().is_none());
}

#[test]
fn a_foreign_flush_of_everything_is_mended() {
    let host = Host::new();
    let mut rules = install(&host, Backend::IptablesNft, Mode::Open);
    host.run("nft flush ruleset");
    assert!(!host.on(|| rules.intact().unwrap()));
    apply(&host, &mut rules, Epoch::FIRST, Mode::Open);
    assert!(host.on(|| rules.intact().unwrap()));
    assert_in_place(&host, Backend::IptablesNft);
}

#[test]
fn two_namespaces_do_not_know_of_each_other() {
    for backend in BACKENDS {
        let (one, other) = (Host::new(), Host::new());
        let mut first = install(&one, backend, Mode::Open);
        let mut second = install(&other, backend, Mode::Lockdown);
        one.on(|| first.remove().unwrap());
        assert_nothing_of_ours(&one);
        assert!(other.on(|| second.intact().unwrap()));
        assert_in_place(&other, backend);
    }
}

#[test]
fn detection_takes_the_first_back_end_that_queues() {
    let host = Host::new();
    // Legacy tables that are in use already don't matter.
    host.run("iptables-legacy -A INPUT -p udp -j ACCEPT");
    host.on(|| {
        let rules = Rules::detect(None, Layout::default()).unwrap();
        assert_eq!(rules.backend(), detected_by_hand(&host));
        assert!(rules.guards_ipv6());
    });
    assert_nothing_of_ours(&host);
}

/// nft where its `queue` statement works, else iptables-nft.
fn detected_by_hand(host: &Host) -> Backend {
    let statement = "add table inet t; add chain inet t c; add rule inet t c queue num 1";
    let output = host.on(|| std::process::Command::new("nft").args(["-c", statement]).output());
    if output.expect("nft is needed for this test").status.success() {
        Backend::Nft
    } else {
        Backend::IptablesNft
    }
}

#[test]
fn what_a_kernel_lacks_is_said() {
    let host = Host::new();
    let outcome = host.on(|| Rules::detect(Some(Backend::Nft), Layout::default()));
    match (detected_by_hand(&host), outcome) {
        (Backend::Nft, outcome) => assert_eq!(outcome.unwrap().backend(), Backend::Nft),
        (_, Ok(_)) => panic!("a back-end that doesn't work was taken"),
        (_, Err(error)) => {
            let text = error.to_string();
            assert!(text.contains("nft: ") && text.contains("No such file"), "{text}");
        }
    }
}
