//! Programs that the lab starts: awaited with a deadline, ended by their own id.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::check::until;

/// Output kept of a program, in bytes.
const OUTPUT_BYTES: usize = 4 << 20;

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// Whether it ended with exit code 0.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }
}

/// A program that runs; ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    stderr_reader: Option<JoinHandle<()>>,
    exit: Option<ExitStatus>,
}

/// Runs a program to its end and collects its output. Panics if it can't be
/// started or takes longer than two minutes.
pub fn run(command: &mut Command) -> Finished {
    run_with_input(command, "")
}

/// As [`run`], with text on standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Finished {
    let name = name_of(command);
    let mut running = Running::start(command);
    running.write(input);
    running.close_input();
    let status = running.wait(Duration::from_secs(120)).unwrap_or_else(|| {
        panic!("{name} did not end within two minutes; it said: {}", running.stderr())
    });
    let stdout = running.rest_of_output();
    running.read_stderr_to_its_end();
    Finished { code: status.code(), stdout, stderr: running.stderr() }
}

/// As [`run`], but panics unless the exit code is 0. Gives what was printed.
#[track_caller]
pub fn run_ok(command: &mut Command) -> String {
    let name = name_of(command);
    let finished = run(command);
    assert!(finished.ok(), "{name} failed ({:?}): {}", finished.code, finished.stderr);
    finished.stdout
}

impl Running {
    /// Starts a program with all three streams piped. Panics if it can't be started.
    pub fn start(command: &mut Command) -> Self {
        let name = name_of(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let stderr = Arc::new(Mutex::new(String::new()));
        let stderr_reader = child.stderr.take().map(|pipe| {
            let kept = Arc::clone(&stderr);
            std::thread::spawn(move || keep_output(pipe, &kept))
        });
        Self { child, lines, stderr, stderr_reader, exit: None }
    }

    /// Its process id. Namespace entry does not fork, so this is the program itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it complained about so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its next line of output; `None` at the end or when none comes within the time.
    pub fn line(&self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    /// Waits until standard error has ended: with the program, or with the last of its children.
    pub(crate) fn read_stderr_to_its_end(&mut self) {
        if let Some(reader) = self.stderr_reader.take() {
            let _ = reader.join();
        }
    }

    /// Reads lines up to one that satisfies `wanted`; `None` if none comes.
    pub fn line_where(&self, within: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if wanted(&line) => return Some(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Writes to its standard input. A program that has gone shows in its output.
    pub fn write(&mut self, text: &str) {
        if let Some(stdin) = &mut self.child.stdin {
            let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
        }
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.poll().is_none()
            && let Some(pid) = Pid::from_raw(self.child.id() as i32)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended, if it has.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten();
        }
        self.exit
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        until(within, || self.poll())
    }

    /// All output that has not been read yet; waits for its end.
    pub fn rest_of_output(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close_input();
        if self.poll().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Shows text beside a failing test's message.
#[allow(clippy::print_stderr, reason = "the reader of a failed test needs the program's log")]
pub fn print_for_failure(text: &str) {
    eprintln!("{text}");
}

fn keep_output(mut pipe: impl Read, kept: &Mutex<String>) {
    let mut buffer = [0_u8; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < OUTPUT_BYTES {
            kept.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }
}

fn name_of(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(command.get_program().to_string_lossy())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
