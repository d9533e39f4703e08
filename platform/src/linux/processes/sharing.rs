//! Whether a process may have shared a socket with programs that it started.

use std::fs::{read_dir, read_to_string};

use super::owners::{MAX_LINKS, socket_inode};

/// Most threads whose children are looked for.
const MAX_THREADS: usize = 256;

/// O_CLOEXEC, as `/proc/PID/fdinfo/FD` writes it (proc(5)): in octal digits.
const CLOSES_ON_EXEC: u32 = 0o2_000_000;

/// Whether a program that the process started may have, or have had, this socket: the
/// process has or had children, and the socket stays open over an exec. That it
/// was given away in a message can't be seen. A process that is gone shares nothing.
pub fn may_have_shared(pid: u32, inode: u32) -> bool {
    (had_children(pid) || has_children(pid)) && stays_open(pid, inode)
}

/// Whether it waited for a child: then it has that one's page faults in its account.
fn had_children(pid: u32) -> bool {
    // Page faults of children that were waited for: fields 11 and 13 of proc(5), of which
    // the second is the process's name, with any spaces and parentheses in it.
    let Ok(stat) = read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(11).collect();
    [8, 10].iter().any(|at| fields.get(*at).is_some_and(|faults| *faults != "0"))
}

fn has_children(pid: u32) -> bool {
    let Ok(threads) = read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().take(MAX_THREADS).any(|thread| {
        let children = read_to_string(thread.path().join("children"));
        // A kernel that doesn't tell leaves it open.
        children.map_or(true, |children| !children.trim().is_empty())
    })
}

fn stays_open(pid: u32, inode: u32) -> bool {
    let Ok(files) = read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().take(MAX_LINKS).any(|file| {
        let target = std::fs::read_link(file.path());
        let found = target.ok().and_then(|target| {
            socket_inode(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str()))
        });
        if found != Some(inode) {
            return false;
        }
        let name = file.file_name();
        let info = read_to_string(format!("/proc/{pid}/fdinfo/{}", name.to_string_lossy()));
        !info.is_ok_and(|info| closes_on_exec(&info))
    })
}

fn closes_on_exec(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSES_ON_EXEC != 0)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn flags_are_octal() {
        let cases = [
            ("pos:\t0\nflags:\t02000002\nmnt_id:\t9\n", true),
            ("pos:\t0\nflags:\t02\n", false),
            ("flags:\tx\n", false),
            ("", false),
        ];
        for (info, expected) in cases {
            assert_eq!(closes_on_exec(info), expected, "{info:?}");
        }
    }

    #[test]
    fn a_socket_that_stays_open_may_be_shared() {
        let own = std::process::id();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        let link = link.expect("an open file");
        let inode = socket_inode(link.to_string_lossy().as_bytes()).expect("a socket");
        assert!(!stays_open(own, inode), "sockets of the standard library close on exec");
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("changed");
        assert!(stays_open(own, inode));
        assert!(!stays_open(own, 1));
        let status = std::process::Command::new("true").status().expect("the program `true`");
        assert!(status.success() && had_children(own));
        assert!(may_have_shared(own, inode));
    }
}
