//! Whether a file is a Seawall that this machine can run.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long it may take to say its version.
const TO_ANSWER: Duration = Duration::from_secs(5);

/// How much of it is read; more than a pipe holds is never waited for.
const MAX_ANSWER_BYTES: u64 = 256;

/// What an ELF file begins with, up to the machine (`elf(5)`).
const HEADER_BYTES: usize = 20;

/// Runs it for its version, which is given. An error continues its name.
pub(super) fn examine(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("can't be read: {error}");
    let own = header(Path::new("/proc/self/exe")).map_err(unreadable)?;
    check_header(&own, &header(path).map_err(unreadable)?)?;
    let answer = version(path).map_err(|error| format!("can't be run: {error}"))?;
    check_version(&answer)
}

fn header(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

/// Both must be of one class, byte order and machine.
fn check_header(own: &[u8], other: &[u8]) -> Result<(), String> {
    if other.len() < HEADER_BYTES || !other.starts_with(b"\x7fELF") {
        return Err("is no program for Linux".to_owned());
    }
    let kind = |header: &[u8]| {
        let (class, machine) = (header.get(4..6)?, header.get(18..20)?);
        Some((class.to_owned(), machine.to_owned()))
    };
    if kind(own) == kind(other) { Ok(()) } else { Err("is for another kind of machine".to_owned()) }
}

fn check_version(answer: &str) -> Result<String, String> {
    let line = answer.lines().next().unwrap_or_default().trim();
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["seawall", version] if version.starts_with(|c: char| c.is_ascii_digit()) => {
            Ok(line.to_owned())
        }
        _ => Err(format!("is no Seawall: its version is {line:?}")),
    }
}

fn version(path: &Path) -> io::Result<String> {
    let mut child = Command::new(path)
        .arg("--version")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let ended = wait(&child);
    if !matches!(ended, Ok(true)) {
        // It may have ended just now; then there is nothing to kill.
        let _ = child.kill();
    }
    let status = child.wait()?;
    if !ended? {
        return Err(io::Error::other("it doesn't say its version in time"));
    }
    if !status.success() {
        return Err(io::Error::other(format!("it says no version: {status}")));
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether it ends in time.
fn wait(child: &Child) -> io::Result<bool> {
    let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let timeout = Timespec::try_from(TO_ANSWER).map_err(io::Error::other)?;
    let polled =
        poll(&mut [PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)], Some(&timeout));
    Ok(polled? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_for_this_machine_will_do() {
        let elf = |class: u8, order: u8, machine: u8| {
            let mut header = b"\x7fELF".to_vec();
            header.extend([class, order]);
            header.resize(18, 0);
            header.extend([machine, 0]);
            header
        };
        let own = elf(2, 1, 62);
        let cases = [
            (elf(2, 1, 62), true),
            (elf(2, 1, 183), false),
            (elf(1, 1, 3), false),
            (elf(2, 2, 62), false),
            (b"#!/bin/sh\necho seawall 1.0.0".to_vec(), false),
            (b"\x7fELF".to_vec(), false),
            (Vec::new(), false),
        ];
        for (other, expected) in cases {
            assert_eq!(check_header(&own, &other).is_ok(), expected, "{other:?}");
        }
    }

    #[test]
    fn only_a_seawall_will_do() {
        let cases = [
            ("seawall 0.1.0\n", true),
            ("seawall 0.2.0+fault-injection\n", true),
            ("seawall\n", false),
            ("seawall new\n", false),
            ("true (GNU coreutils) 9.1\n", false),
            ("", false),
        ];
        for (answer, expected) in cases {
            assert_eq!(check_version(answer).is_ok(), expected, "{answer:?}");
        }
        assert!(examine(Path::new("/usr/bin/true")).is_err_and(|error| error.contains("Seawall")));
    }
}
