//! The program stays in memory. As root: others may lock a few MiB only.

use seawall_platform::linux::memory::keep_program;

#[test]
fn the_program_stays_in_memory() {
    let own = std::env::current_exe().expect("a program");
    let program_kib = std::fs::metadata(own).expect("its file").len() / 1024;
    assert_eq!(locked_kib(), 0, "nobody locked anything so far");
    keep_program();
    assert!(locked_kib() > program_kib / 4, "{} KiB of {program_kib}", locked_kib());
}

/// What this process has locked (proc(5), VmLck).
fn locked_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line of it");
    let number = line.trim().strip_suffix(" kB").expect("a size in kB");
    number.trim().parse().expect("a number")
}
