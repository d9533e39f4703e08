//! What tells whether a program that a process started may have used its sockets, and be gone.

use std::fs::{metadata, read_dir};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;

use super::owners::{MAX_LINKS, socket_inode};
use super::text::{self, RECORD_BYTES, read_once};

/// Most threads of a process whose children are looked for, and most children.
const MAX_THREADS: usize = 1_024;
const MAX_CHILDREN: usize = 4_096;

/// The children of a process that have ended, or may be about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedChildren {
    /// When the process itself started, in hundredths of a second since boot.
    pub parent_started_ticks: u64,
    /// Who started that.
    pub grandparent: u32,
    /// Page faults of those that it waited for: grows with each of them. 0: there never was one.
    pub page_faults: u64,
    /// Whether there are some that it didn't wait for yet.
    pub waits_for_some: bool,
    /// When the youngest of the others started, in hundredths of a second since
    /// boot: it may have closed its files, and not be told from one that runs.
    pub youngest_ticks: Option<u64>,
}

/// Whether a process has this socket open such that it stays open over an exec: then it may
/// have been somebody else's to begin with. A process that is gone has nothing open.
pub fn stays_open_over_exec(pid: u32, inode: u32) -> bool {
    let Ok(files) = read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().take(MAX_LINKS).any(|file| {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        if socket_inode(target.as_os_str().as_bytes()) != Some(inode) {
            return false;
        }
        let name = file.file_name();
        let info = read_once(format!("/proc/{pid}/fdinfo/{}", name.to_string_lossy()));
        !info.is_ok_and(|info| closes_on_exec(&String::from_utf8_lossy(&info)))
    })
}

/// From the flags in `/proc/PID/fdinfo/FD` (proc(5)), which are octal digits.
pub(super) fn closes_on_exec(info: &str) -> bool {
    const O_CLOEXEC: u32 = 0o2_000_000;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & O_CLOEXEC != 0)
}

/// The children of a process that have ended; `None` where that can't be said, or it is gone.
pub fn ended_children(pid: u32) -> Option<EndedChildren> {
    let (mut waits_for_some, mut youngest_ticks) = (false, None);
    for child in children(pid)? {
        let stat = read_once(format!("/proc/{child}/stat")).unwrap_or_default();
        if is_zombie(&String::from_utf8_lossy(&stat)) {
            waits_for_some = true;
        } else {
            let started = text::stat(&stat).map(|stat| stat.started_ticks);
            youngest_ticks = youngest_ticks.max(started);
        }
    }
    // Last: a child that was listed, and is waited for meanwhile, is counted here.
    let stat = read_once(format!("/proc/{pid}/stat")).ok()?;
    let own = text::stat(&stat)?;
    Some(EndedChildren {
        parent_started_ticks: own.started_ticks,
        grandparent: own.parent_pid,
        page_faults: page_faults(&String::from_utf8_lossy(&stat))?,
        waits_for_some,
        youngest_ticks,
    })
}

/// Fields 11 and 13 of proc(5), of which the second is the process's name, with any spaces and
/// parentheses in it: minor and major page faults of children that were waited for.
fn page_faults(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(8);
    let minor: u64 = fields.next()?.parse().ok()?;
    let major: u64 = fields.nth(1)?.parse().ok()?;
    Some(minor.saturating_add(major))
}

/// Ids of a process's children; `None` where there are too many, or the kernel doesn't tell.
fn children(pid: u32) -> Option<Vec<String>> {
    let tasks = format!("/proc/{pid}/task");
    let first = pid.to_string();
    let (mut all, mut some_ended) = (Vec::new(), false);
    // One link for each thread (proc_task_getattr).
    if metadata(&tasks).ok()?.nlink().saturating_sub(2) > 1 {
        for (count, thread) in read_dir(&tasks).ok()?.enumerate() {
            let thread = thread.ok()?.file_name();
            if count >= MAX_THREADS || all.len() > MAX_CHILDREN {
                return None;
            }
            if thread == *first {
                continue;
            }
            match children_of_thread(&tasks, &thread.to_string_lossy()) {
                Ok(children) => all.extend(children),
                Err(error) if is_gone(&error) => some_ended = true,
                Err(_) => return None,
            }
        }
    }
    // Last: the first thread gets the children of one that ends meanwhile (find_new_reaper).
    all.extend(children_of_thread(&tasks, &first).ok()?);
    // Where it has ended itself, another one got them, and may have been looked at before.
    let is_hidden = some_ended && has_ended(pid)?;
    (!is_hidden && all.len() <= MAX_CHILDREN).then_some(all)
}

fn children_of_thread(tasks: &str, thread: &str) -> Result<Vec<String>> {
    let path = format!("{tasks}/{thread}/children");
    let mut children = read_once(&path)?;
    if children.len() >= RECORD_BYTES {
        children = std::fs::read(&path)?;
    }
    let children = String::from_utf8_lossy(&children);
    Ok(children.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Whether the first thread of a process has ended; others may run.
fn has_ended(pid: u32) -> Option<bool> {
    let stat = read_once(format!("/proc/{pid}/stat")).ok()?;
    Some(is_zombie(&String::from_utf8_lossy(&stat)))
}

/// Whether a thread has ended since it was listed.
fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Ended: a zombie, or gone since it was listed.
fn is_zombie(stat: &str) -> bool {
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    matches!(state, None | Some("Z" | "X"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 10 20 30 40 5 6";
        assert_eq!(page_faults(stat), Some(60));
        assert!(!is_zombie(stat));
        assert!(is_zombie("8 (x) Z 7 8"));
        assert!(is_zombie(""));
        assert_eq!(page_faults("7 (a) S 1"), None);
        assert_eq!(page_faults(""), None);
    }

    #[test]
    fn a_socket_that_stays_open_is_told_from_one_that_closes() {
        use std::os::fd::AsRawFd;
        let cases = [
            ("pos:\t0\nflags:\t02000002\nmnt_id:\t9\n", true),
            ("pos:\t0\nflags:\t02\n", false),
            ("flags:\tx\n", false),
            ("", false),
        ];
        for (info, expected) in cases {
            assert_eq!(closes_on_exec(info), expected, "{info:?}");
        }
        let own = std::process::id();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        let link = link.expect("an open file");
        let inode = socket_inode(link.as_os_str().as_bytes()).expect("a socket");
        assert!(!stays_open_over_exec(own, inode), "those of the standard library close");
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("changed");
        assert!(stays_open_over_exec(own, inode));
        assert!(!stays_open_over_exec(own, 1));
    }

    #[test]
    fn threads_that_end_meanwhile_hide_no_child() {
        let script = "import subprocess, sys, threading\n\
                      child = []\n\
                      start = lambda: child.append(subprocess.Popen(['sleep', '100']))\n\
                      first = threading.Thread(target=start); first.start(); first.join()\n\
                      ended = threading.Event(); print(flush=True)\n\
                      threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()\n\
                      while not ended.is_set(): threading.Thread(target=int).start()\n\
                      child[0].kill(); child[0].wait()";
        let mut parent = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program `python3`");
        let mut output = BufReader::new(parent.stdout.take().expect("a pipe"));
        output.read_line(&mut String::new()).expect("it is ready");
        for look in 0..1_000 {
            let ended = ended_children(parent.id());
            assert!(ended.is_some_and(|ended| ended.youngest_ticks.is_some()), "{look}: {ended:?}");
        }
        drop(parent.stdin.take());
        parent.wait().expect("it ends");
    }

    #[test]
    fn children_that_end_are_told_of() {
        // A process of its own: other tests of this one have children, too.
        let script = "sleep 0 & while kill -0 $! 2>/dev/null && \
                      ! grep -q ') Z' /proc/$!/stat; do :; done; read line";
        let mut parent = Command::new("bash")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program `bash`");
        let started = std::time::Instant::now();
        let ended = loop {
            let ended = ended_children(parent.id()).expect("it is there");
            if ended.waits_for_some || ended.page_faults > 0 {
                break ended;
            }
            assert!(started.elapsed().as_secs() < 10, "{ended:?}");
        };
        assert!(ended.waits_for_some || ended.page_faults > 0);
        drop(parent.stdin.take());
        parent.wait().expect("it ends");
        assert_eq!(ended_children(parent.id()), None);
    }
}
