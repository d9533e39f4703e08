//! A process that is looked at again and again, through files of `/proc` that stay open: they never tell of
//! another process, and a look takes a system call where opening and closing would take two more.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, Mode, OFlags, fstat, openat, readlinkat_raw};
use rustix::io::{pread, read};

use super::owners::{LINK_BYTES, socket_inode};
use super::sharing::closes_on_exec;
use super::text::{self, RECORD_BYTES};

/// Decimal digits of a descriptor.
const NAME_BYTES: usize = 10;
/// Most threads of a process that is watched.
const MOST_THREADS: usize = 8;
/// ADDR_NO_RANDOMIZE (linux/personality.h).
const NOT_RANDOM: u32 = 0x0004_0000;

/// See the module.
#[derive(Debug)]
pub struct Watched {
    files: OwnedFd,
    descriptions: OwnedFd,
    tasks: OwnedFd,
    /// Its threads. The first one comes last.
    threads: Vec<Thread>,
    stat: OwnedFd,
}

#[derive(Debug)]
struct Thread {
    /// Its name, which can be read as long as it runs.
    name: OwnedFd,
    children: OwnedFd,
}

/// What a process is like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// When it started, in hundredths of a second since boot.
    pub started_ticks: u64,
    /// Names the program that it runs: changes with each exec, for the kernel then lays out its memory anew, at
    /// random.
    pub program: u32,
    /// Whether it has children, ended or not.
    pub has_children: bool,
    /// Page faults of those that it waited for: grows with each of them.
    pub children_faults: u64,
}

/// Where a program's parts lie: fields 26 to 28 and 45 to 51 of `/proc/PID/stat` (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layout(pub(super) [u64; 10]);

impl Watched {
    /// Opens what is looked at. `None` where that process is gone, may not be looked at, has too many threads, or is
    /// laid out where all are, so that one program can't be told from the next.
    pub fn open(pid: u32) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open(format!("/proc/{pid}"), folder, Mode::empty()).ok()?;
        let open = |name: &str, flags| openat(&process, name, flags, Mode::empty()).ok();
        let personality = once(&open("personality", flags)?)?;
        let personality = std::str::from_utf8(&personality).ok()?;
        let personality = u32::from_str_radix(personality.trim(), 16).ok()?;
        let all = std::fs::read_to_string("/proc/sys/kernel/randomize_va_space").ok()?;
        if personality & NOT_RANDOM != 0 || all.trim() == "0" {
            return None;
        }
        let tasks = open("task", flags | OFlags::DIRECTORY)?;
        let mut threads = listed(&tasks)?;
        threads.retain(|thread| *thread != pid);
        threads.push(pid);
        let of_thread = |thread: u32, file: &str| {
            openat(&tasks, format!("{thread}/{file}"), flags, Mode::empty()).ok()
        };
        let thread = |id: u32| {
            Some(Thread { name: of_thread(id, "comm")?, children: of_thread(id, "children")? })
        };
        Some(Self {
            files: open("fd", flags | OFlags::DIRECTORY)?,
            descriptions: open("fdinfo", flags | OFlags::DIRECTORY)?,
            threads: threads.into_iter().map(thread).collect::<Option<_>>()?,
            tasks,
            stat: open("stat", flags)?,
        })
    }

    /// The inode of the socket that it has open by this descriptor.
    pub fn socket_at(&self, descriptor: u32) -> Option<u32> {
        let mut buffer = [MaybeUninit::uninit(); LINK_BYTES];
        let mut name = [0; NAME_BYTES];
        let name = digits(descriptor, &mut name);
        let (target, _) = readlinkat_raw(&self.files, name, buffer.as_mut_slice()).ok()?;
        socket_inode(target)
    }

    /// By which descriptor it has this socket open, of the first so many.
    pub fn descriptor_of(&self, inode: u32, most: usize) -> Option<u32> {
        let names = Dir::read_from(&self.files).ok()?;
        let descriptors = names
            .take(most)
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok());
        descriptors.into_iter().find(|descriptor| self.socket_at(*descriptor) == Some(inode))
    }

    /// Whether what it has open by this descriptor closes with the next exec: then it can't have been left
    /// to it by the program that it was before.
    pub fn closes_on_exec(&self, descriptor: u32) -> bool {
        let mut name = [0; NAME_BYTES];
        let name = digits(descriptor, &mut name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let info = openat(&self.descriptions, name, flags, Mode::empty()).ok();
        let info = info.and_then(|info| once(&info));
        info.is_some_and(|info| closes_on_exec(&String::from_utf8_lossy(&info)))
    }

    fn has_the_same_threads(&self) -> Option<bool> {
        // One link for each (proc_task_getattr).
        let count = fstat(&self.tasks).ok()?.st_nlink.saturating_sub(2);
        if count != self.threads.len() as u64 {
            return Some(false);
        }
        let mut others = self.threads.iter().rev().skip(1);
        Some(others.all(|thread| pread(&thread.name, &mut [0; 1], 0).is_ok()))
    }

    /// What it is like now; `None` where it is gone, or has other threads than it had.
    pub fn condition(&self) -> Option<Condition> {
        if !self.has_the_same_threads()? {
            return None;
        }
        let mut has_children = false;
        // The first thread last: it gets the children of one that ends meanwhile.
        for thread in &self.threads {
            has_children |= pread(&thread.children, &mut [0; 1], 0).ok()? > 0;
        }
        // Last: a child that was there, and is waited for meanwhile, is counted here.
        let mut buffer = [0; RECORD_BYTES];
        let length = pread(&self.stat, &mut buffer, 0).ok()?;
        let told = text::condition(buffer.get(..length)?)?;
        if told.threads != self.threads.len() as u64 {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        told.layout.hash(&mut hasher);
        Some(Condition {
            started_ticks: told.started_ticks,
            program: hasher.finish() as u32,
            has_children,
            children_faults: told.children_faults,
        })
    }
}

/// Ids of threads; `None` where they can't be listed, or are too many.
fn listed(tasks: &OwnedFd) -> Option<Vec<u32>> {
    let mut threads = Vec::new();
    for entry in Dir::read_from(tasks).ok()? {
        // What else is there has no number for a name.
        if let Ok(thread) = entry.ok()?.file_name().to_str().ok()?.parse() {
            threads.push(thread);
        }
        if threads.len() > MOST_THREADS {
            return None;
        }
    }
    Some(threads)
}

fn once(file: &OwnedFd) -> Option<Vec<u8>> {
    let mut buffer = [0; RECORD_BYTES];
    let length = read(file, &mut buffer).ok()?;
    buffer.get(..length).map(<[u8]>::to_vec)
}

/// A number as text, without an allocation.
fn digits(mut number: u32, buffer: &mut [u8; NAME_BYTES]) -> &str {
    let mut start = NAME_BYTES;
    for digit in buffer.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(buffer.get(start..).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn numbers_are_written_out() {
        for number in [0, 7, 10, 4711, u32::MAX] {
            assert_eq!(digits(number, &mut [0; NAME_BYTES]), number.to_string());
        }
    }

    #[test]
    fn sockets_are_found_by_their_descriptor_and_told_apart_by_what_an_exec_leaves() {
        let mut python = Shell::python();
        let descriptor =
            python.tell("import socket; own = socket.socket(); print(own.fileno(), end='')");
        let descriptor = descriptor.parse().expect("a number");
        let watched = Watched::open(python.0.id()).expect("it runs");
        let inode = watched.socket_at(descriptor).expect("a socket");
        assert_eq!(super::super::socket_at(python.0.id(), descriptor), Some(inode));
        assert_eq!(watched.descriptor_of(inode, 1024), Some(descriptor));
        assert_eq!(watched.descriptor_of(inode, 0), None);
        assert!(watched.closes_on_exec(descriptor), "those of Python do");
        python.tell("own.set_inheritable(True)");
        assert!(!watched.closes_on_exec(descriptor));
        python.tell("own.close()");
        assert_eq!(watched.socket_at(descriptor), None);
        assert!(!watched.closes_on_exec(u32::MAX));
        drop(python.0.stdin.take());
        python.0.wait().expect("it ends");
    }

    #[test]
    fn other_threads_than_before_are_noticed_and_their_children_are_the_process_s() {
        let mut python = Shell::python();
        python.tell("import subprocess, threading; go = threading.Event()");
        let open = |python: &Shell| Watched::open(python.0.id()).expect("it runs");
        let alone = open(&python);
        assert!(alone.condition().is_some());
        python.tell("start = lambda: globals().update(child=subprocess.Popen(['sleep', '100']))");
        python.tell("thread = threading.Thread(target=lambda: (start(), go.wait()))");
        python.tell("thread.start()");
        assert_eq!(alone.condition(), None, "another thread");
        let both = open(&python);
        while !both.condition().expect("as it was").has_children {
            std::thread::yield_now();
        }
        python.tell("go.set(); thread.join()");
        python.becomes_threads(1);
        assert_eq!(both.condition(), None, "one thread less");
        let alone = open(&python).condition().expect("it runs");
        assert!(alone.has_children, "it got the child of the other");
        python.tell("child.kill(); child.wait()");
        let later = open(&python).condition().expect("it runs");
        assert!(!later.has_children && later.children_faults > 0);
        python.tell("wait = lambda: threading.Event().wait()");
        python.tell("threading.Thread(target=wait, daemon=True).start()");
        let both = open(&python);
        assert!(both.condition().is_some());
        python.tell("go.clear(); thread = threading.Thread(target=go.wait); thread.start()");
        let three = open(&python);
        python.tell("go.set(); thread.join()");
        python.becomes_threads(2);
        python.tell("threading.Thread(target=wait, daemon=True).start()");
        assert_eq!(three.condition(), None, "as many, but not the same");
        python.0.kill().expect("a process");
        python.0.wait().expect("it ends");
        assert_eq!(both.condition(), None, "it is gone");
    }

    /// A shell that does what it is told, a line at a time, and says so.
    struct Shell(std::process::Child, BufReader<std::process::ChildStdout>);

    impl Shell {
        fn start() -> Self {
            let script = "while read -r line; do eval \"$line\"; echo done; done";
            Self::running(Command::new("bash").args(["-c", script]))
        }

        /// Python, that does so.
        fn python() -> Self {
            let script = "import sys\nfor line in sys.stdin: exec(line); print(flush=True)";
            Self::running(Command::new("python3").args(["-c", script]))
        }

        fn running(command: &mut Command) -> Self {
            let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("the program");
            let output = BufReader::new(child.stdout.take().expect("a pipe"));
            Self(child, output)
        }

        /// What it says then.
        fn tell(&mut self, line: &str) -> String {
            writeln!(self.0.stdin.as_mut().expect("a pipe"), "{line}").expect("it reads");
            let mut said = String::new();
            self.1.read_line(&mut said).expect("it answers");
            said.trim_end().to_owned()
        }

        /// Waits until it has as many threads: one that Python has joined may be on its way out still.
        fn becomes_threads(&self, count: usize) {
            let tasks = format!("/proc/{}/task", self.0.id());
            while std::fs::read_dir(&tasks).expect("it runs").count() != count {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn the_same_program_run_anew_is_another_and_children_are_told_of() {
        let mut shell = Shell::start();
        shell.tell(":");
        let watched = Watched::open(shell.0.id()).expect("it runs");
        let first = watched.condition().expect("it runs");
        assert_eq!(Some(first), watched.condition());
        assert!(!first.has_children && first.children_faults == 0);
        shell.tell("sleep 100 & :");
        assert!(watched.condition().expect("it runs").has_children);
        shell.tell("kill %1; wait");
        let later = watched.condition().expect("it runs");
        assert!(!later.has_children && later.children_faults > 0);
        assert_eq!(later.program, first.program);
        shell.tell("exec bash -c 'echo here; read -r line; echo done; read -r line'");
        shell.tell(":");
        let another = watched.condition().expect("it runs");
        assert_ne!(another.program, first.program);
        assert_eq!(another.started_ticks, first.started_ticks);
        drop(shell.0.stdin.take());
        shell.0.wait().expect("it ends");
        assert_eq!(watched.condition(), None);
    }

    #[test]
    fn who_is_laid_out_where_all_are_is_not_watched() {
        let mut command = Command::new("setarch");
        command.args(["-R", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program `setarch`");
        child.stdin.as_mut().expect("a pipe").write_all(b"x\n").expect("it reads");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut String::new()).expect("it answers");
        assert!(Watched::open(child.id()).is_none());
        drop(child.stdin.take());
        child.wait().expect("it ends");
        assert!(Watched::open(u32::MAX).is_none());
    }
}
