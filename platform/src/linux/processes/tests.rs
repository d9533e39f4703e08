use proptest::prelude::*;

use super::owners::socket_inode;
use super::text::{
    Told, condition, control_group, control_group_mount, effective_uid, environment, executable,
    stat, words,
};
use super::watched::Layout;
use super::*;

fn stat_line(comm: &str, flags: u64) -> String {
    format!("42 ({comm}) S 7 42 42 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20 18446744")
}

#[test]
fn a_program_is_told_by_where_its_parts_lie() {
    // Each field is its own number: proc(5).
    let line = |stack: u64| {
        let field = |number: u64| if number == 28 { stack } else { number };
        let fields: Vec<String> = (4..=52).map(|number| field(number).to_string()).collect();
        format!("1 (a) 2 (b)) S {}", fields.join(" "))
    };
    let expected = Told {
        started_ticks: 22,
        threads: 20,
        children_faults: 11 + 13,
        layout: Layout([26, 27, 28, 45, 46, 47, 48, 49, 50, 51]),
    };
    assert_eq!(condition(line(28).as_bytes()), Some(expected));
    assert_eq!(
        condition(line(0).as_bytes()),
        None,
        "a kernel thread, or what may not be looked at"
    );
    let whole = line(28);
    let cut = whole.rsplit_once(" 51 ").map(|(head, _)| head).expect("a field");
    for broken in ["", "1 (a) S", cut, "1 (a) S x"] {
        assert_eq!(condition(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn a_name_ends_at_the_last_parenthesis() {
    for comm in ["sleep", "a b", "a) S 1 (b", ")", "((", "", "Web Content", "x) R 1 1 1"] {
        let read = stat(stat_line(comm, 0x40_0000).as_bytes()).expect(comm);
        assert_eq!((read.comm.as_str(), read.parent_pid, read.started_ticks), (comm, 7, 987_654));
        assert!(!read.is_kernel_thread);
    }
    assert!(
        stat(stat_line("kworker/0:1", 0x0420_8060).as_bytes())
            .is_some_and(|stat| stat.is_kernel_thread)
    );
    for broken in ["", "42", "42 (x", "42 (x)", "42 (x) S", "42 (x) S 7 42 42 0 -1 0 1 2", "() S a"]
    {
        assert_eq!(stat(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn a_process_has_ended_when_none_of_its_threads_runs() {
    let line = |state: &str, threads: u32| {
        format!("42 (x) {state} 7 42 42 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 987654 1000 20")
    };
    let cases = [("S", 1, false), ("R", 3, false), ("Z", 1, true), ("Z", 2, false), ("X", 0, true)];
    for (state, threads, expected) in cases {
        let read = stat(line(state, threads).as_bytes()).expect(state);
        assert_eq!((read.has_ended, read.started_ticks), (expected, 987_654), "{state} {threads}");
    }
}

#[test]
fn the_effective_user_is_the_second() {
    let cases = [
        ("Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t1\t2\t3\t4\n", Some(0)),
        ("Uid:\t0\t1000\t0\t0\n", Some(1000)),
        ("Uid:\t0\n", None),
        ("Name:\tUid:\nGid:\t1\n", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(effective_uid(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn words_end_with_zero_bytes() {
    let cases: [(&[u8], &[&str]); 6] = [
        (b"", &[]),
        (b"\0", &[]),
        (b"sleep\0day\0", &["sleep", "day"]),
        (b"a\0\0b\0", &["a", "", "b"]),
        (b"cut\0off", &["cut", "off"]),
        (b"\xff\0", &["\u{fffd}"]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(words(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn of_the_environment_only_packages_are_kept() {
    let read =
        environment(b"HOME=/root\0SNAP_NAME=a\0SNAP_NAME=b\0APPDIR=/x=y\0FLATPAK_ID\0SNAP=cut");
    let expected = Environment {
        snap_name: Some("a".to_owned()),
        app_directory: Some("/x=y".to_owned()),
        ..Environment::default()
    };
    assert_eq!(read, expected);
    assert_eq!(environment(b"SNAP=unended"), Environment::default());
}

#[test]
fn the_unified_hierarchy_counts_first() {
    let cases = [
        ("0::/system.slice/ssh.service\n", "/system.slice/ssh.service"),
        ("9:name=systemd:/a\n8:pids:/long/long\n0::/b\n", "/b"),
        ("9:name=systemd:/a\n8:pids:/long/long\n0::/\n", "/a"),
        ("9:name=systemd:/\n8:pids:/docker/1\n4:cpu,cpuacct:/x\n0::/\n", "/docker/1"),
        ("9:name=systemd:/\n0::/\n", "/"),
        ("0::/gone.scope (deleted)\n", "/gone.scope"),
        ("0::/with:colon\n", "/with:colon"),
        ("nonsense\n1:x\n", ""),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(control_group(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_file_may_be_called_deleted() {
    let cases = [
        ("/bin/sleep", false, ("/bin/sleep", false)),
        ("/bin/sleep (deleted)", false, ("/bin/sleep", true)),
        ("/bin/sleep (deleted)", true, ("/bin/sleep (deleted)", false)),
        ("/a (deleted) (deleted)", false, ("/a (deleted)", true)),
        ("/memfd:x (deleted)", false, ("/memfd:x", true)),
    ];
    for (link, is_there, expected) in cases {
        assert_eq!(executable(link, || is_there), expected, "{link}");
    }
}

#[test]
fn the_mount_of_control_groups_is_found() {
    let whole = "30 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
    let part = "30 24 0:27 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
    let first = "31 24 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
    let blank = "30 24 0:27 / /a\\040b\\134c rw - cgroup2 none rw\n";
    let cases = [
        (format!("{first}{whole}"), Some("/sys/fs/cgroup/unified")),
        (format!("{part}{whole}"), Some("/sys/fs/cgroup/unified")),
        (blank.to_owned(), Some("/a b\\c")),
        (format!("{first}{part}"), None),
        ("x - cgroup2".to_owned(), None),
        (String::new(), None),
    ];
    for (text, expected) in cases {
        assert_eq!(control_group_mount(text.as_bytes()).as_deref(), expected, "{text}");
    }
}

#[test]
fn links_to_sockets_are_told_from_others() {
    let cases: [(&[u8], Option<u32>); 6] = [
        (b"socket:[4711]", Some(4711)),
        (b"socket:[4294967295]", Some(u32::MAX)),
        (b"socket:[4294967296]", None),
        (b"socket:[]", None),
        (b"pipe:[4711]", None),
        (b"/tmp/socket:[4711]", None),
    ];
    for (target, expected) in cases {
        assert_eq!(socket_inode(target), expected);
    }
}

#[test]
fn a_file_beyond_the_limit_is_not_hashed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "abc").expect("a file");
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(files::hash(&path, 3).expect("it fits"), expected);
    assert_eq!(sha256_of(&path).expect("it fits"), expected);
    assert!(files::hash(&path, 2).is_err());
    assert!(sha256_of(folder.path()).is_err());
    assert!(sha256_of("/dev/zero").is_err());
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        stat(&bytes);
        condition(&bytes);
        effective_uid(&bytes);
        words(&bytes);
        environment(&bytes);
        control_group(&bytes);
        control_group_mount(&bytes);
        socket_inode(&bytes);
    }
}
