//! Runs the programs that write rules: no shell, no inherited environment,
//! bounded output, bounded time.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::RulesError;

/// Where programs are looked for, whatever PATH says.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// How long a program may run before it is killed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most output that is read: a host with a hundred thousand rules prints 10 MB.
const MAX_OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// What a program's messages are cut to.
const MAX_MESSAGE_CHARS: usize = 400;

/// A program by its absolute path.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: PathBuf,
}

/// What a program left behind.
struct Finished {
    success: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Program {
    /// Looks for an executable of that name.
    pub(super) fn find(name: &str) -> Option<Self> {
        FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| {
                fs::metadata(path)
                    .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
            })
            .map(|path| Self { path })
    }

    /// Runs it with this input and returns what it printed. A failure carries its message.
    pub(super) fn run(&self, arguments: &[&str], input: &str) -> Result<String, RulesError> {
        let finished = self.finish(arguments, input.as_bytes()).map_err(|source| {
            RulesError::System { doing: format!("run {}", self.path.display()), source }
        })?;
        if finished.success {
            return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
        }
        let message = String::from_utf8_lossy(&finished.stderr);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(RulesError::Refused {
            program: self.path.display().to_string(),
            message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
        })
    }

    fn finish(&self, arguments: &[&str], input: &[u8]) -> std::io::Result<Finished> {
        let deadline = Instant::now() + TIMEOUT;
        let mut child = Command::new(&self.path)
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let outcome = converse(&mut child, input, deadline);
        if outcome.is_err() {
            // It may be gone already; then there is nothing to kill.
            let _ = child.kill();
        }
        let status = child.wait()?;
        let (stdout, stderr) = outcome?;
        Ok(Finished { success: status.success(), stdout, stderr })
    }
}

/// Feeds the child and reads from it until it has exited, all in one thread.
fn converse(
    child: &mut Child,
    mut input: &[u8],
    deadline: Instant,
) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let exited = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut stdin = child.stdin.take();
    if let Some(pipe) = &stdin {
        fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    }
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    loop {
        if input.is_empty() {
            stdin = None;
        }
        if stdout.is_none() && stderr.is_none() {
            wait_until(&mut [PollFd::new(&exited, PollFlags::IN)], deadline)?;
            return Ok((printed, complained));
        }
        let mut watched = Vec::with_capacity(3);
        watched.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        wait_until(&mut watched, deadline)?;
        let mut ready = watched.iter().map(|fd| !fd.revents().is_empty());
        let out_ready = stdout.is_some() && ready.next().unwrap_or(false);
        let err_ready = stderr.is_some() && ready.next().unwrap_or(false);
        let in_ready = stdin.is_some() && ready.next().unwrap_or(false);
        drop(watched);
        if out_ready && !read_some(&mut stdout, &mut printed)? {
            stdout = None;
        }
        if err_ready && !read_some(&mut stderr, &mut complained)? {
            stderr = None;
        }
        if in_ready {
            input = write_some(&mut stdin, input)?;
        }
    }
}

fn wait_until(watched: &mut [PollFd<'_>], deadline: Instant) -> std::io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(watched, Some(&timeout)) {
            Ok(0) => return Err(ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Reads what is there. `false` at the end.
fn read_some(pipe: &mut Option<impl Read>, into: &mut Vec<u8>) -> std::io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut buffer = [0; 16 * 1024];
    let length = pipe.read(&mut buffer)?;
    into.extend_from_slice(buffer.get(..length).unwrap_or_default());
    if into.len() > MAX_OUTPUT_BYTES {
        return Err(std::io::Error::other("it prints without end"));
    }
    Ok(length > 0)
}

/// Writes what fits and returns the rest; nothing if the child doesn't read on.
fn write_some<'a>(pipe: &mut Option<impl Write>, input: &'a [u8]) -> std::io::Result<&'a [u8]> {
    let Some(pipe) = pipe else { return Ok(&[]) };
    match pipe.write(input) {
        Ok(written) => Ok(input.get(written..).unwrap_or_default()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(input),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(&[]),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_back_and_input_goes_in() {
        let cat = Program::find("cat").unwrap();
        let input = "x".repeat(1_000_000);
        assert_eq!(cat.run(&[], &input).unwrap(), input);
    }

    #[test]
    fn a_failure_carries_the_message() {
        let cat = Program::find("cat").unwrap();
        let error = cat.run(&["/does/not/exist"], "").unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }

    #[test]
    fn a_child_that_does_not_read_is_no_failure() {
        let child = Program::find("true").unwrap();
        assert_eq!(child.run(&[], &"x".repeat(1_000_000)).unwrap(), "");
    }

    #[test]
    fn the_environment_is_empty() {
        let env = Program::find("env").unwrap();
        assert_eq!(env.run(&[], "").unwrap(), "LC_ALL=C\n");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let mut child = Command::new("/usr/bin/sleep")
            .arg("1000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let outcome = converse(&mut child, b"", Instant::now() + Duration::from_millis(50));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
