//! Gives up what the worker does not need, and ties its life to its parent's.

use std::io;

use rustix::process::{Pid, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// What stays after [`drop_privileges`]:
/// - NET_ADMIN: verdicts, connection tracking, destroying sockets, word of those that close;
/// - SYS_PTRACE, DAC_READ_SEARCH: whose socket it is, from /proc;
/// - NET_BIND_SERVICE: a metrics port below 1024.
pub const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// What reading maps in the kernel takes: nothing, since Linux 5.19; before
/// that, every bpf(2) call where `kernel.unprivileged_bpf_disabled` is set.
pub fn to_read_maps() -> CapabilitySet {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if is_older_than(&release, (5, 19)) { CapabilitySet::BPF } else { CapabilitySet::empty() }
}

/// Of a release such as `6.1.0-18-amd64`. One that can't be read is old.
fn is_older_than(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < version,
        _ => true,
    }
}

/// Keeps of the calling thread's capabilities those in [`KEPT`] and `besides`, for good:
/// programs that it runs gain none either. The user id stays. Threads started
/// later inherit this; called before there are others.
pub fn drop_privileges(besides: CapabilitySet) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let have = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: have.effective & (KEPT | besides),
            permitted: have.permitted & (KEPT | besides),
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

/// Has the kernel kill this process as soon as its parent is gone. An error if
/// the parent is not (or no longer) `parent_pid`.
pub fn die_with_parent(parent_pid: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // After the call above: a parent that died before it leaves no signal.
    let parent = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    if u32::try_from(parent) == Ok(parent_pid) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "the parent process is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_gone_from_this_thread() {
        std::thread::spawn(|| {
            drop_privileges(CapabilitySet::empty()).expect("capabilities can always be given up");
            let left = rustix::thread::capabilities(None).expect("readable");
            assert!(KEPT.contains(left.effective) && KEPT.contains(left.permitted));
            assert_eq!(left.inheritable, CapabilitySet::empty());
            assert!(rustix::thread::no_new_privs().expect("readable"));
        })
        .join()
        .expect("the thread ends well");
    }

    #[test]
    fn releases_are_compared_by_their_first_numbers() {
        let cases = [
            ("5.18.19", true),
            ("5.19.0", false),
            ("6.1.0-18-amd64", false),
            ("5.4", true),
            ("unknown", true),
            ("", true),
        ];
        for (release, expected) in cases {
            assert_eq!(is_older_than(release, (5, 19)), expected, "{release}");
        }
    }

    #[test]
    fn a_stranger_is_no_parent() {
        assert!(die_with_parent(1 << 30).is_err());
    }
}
