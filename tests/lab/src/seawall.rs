//! Seawall itself, running on a host of the lab, and its command.

mod owners;
mod verbs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use self::owners::{attribution, initiator_port, process};
pub use self::verbs::{Answer, sample};
use crate::check::{patient, until};
use crate::load::program;
use crate::process::{Finished, Running, print_for_failure, run};
use crate::vitals;
use crate::world::Host;

/// How long a start may take on a loaded machine.
const START: Duration = Duration::from_secs(30);
/// Lays a file system of its own over the folder of the state, and becomes Seawall.
const ON_OWN_FILE_SYSTEM: &str = r#"
state=$1 size=$2
shift 2
mkdir -p "$state"
mount -t tmpfs -o "size=$size,mode=700" seawall-state "$state"
exec "$@"
"#;

/// Lays another word of which run of the machine this is over the kernel's, and becomes Seawall.
const IN_ANOTHER_BOOT: &str = r#"
boot_id=$1
shift
mount --bind "$boot_id" /proc/sys/kernel/random/boot_id
exec "$@"
"#;

/// How long an ordered stop may take.
const STOP: Duration = Duration::from_secs(15);

/// Path of the program under test: `SEAWALL_BIN`, or beside the test.
pub fn binary() -> PathBuf {
    program("seawall", "SEAWALL_BIN")
}

/// How Seawall is to be started.
#[derive(Debug)]
pub struct SeawallBuilder<'a> {
    host: &'a Host,
    policy: String,
    mode: &'static str,
    backend: String,
    folder: Option<TempDir>,
    environment: Vec<(String, String)>,
    program: Option<PathBuf>,
    state_bytes: Option<u64>,
    is_rebooted: bool,
}

/// A running Seawall. Stopped when dropped.
#[derive(Debug)]
pub struct Seawall<'a> {
    host: &'a Host,
    folder: Option<TempDir>,
    keeper: Running,
    worker: Option<u32>,
    service: String,
    took: Duration,
}

impl<'a> SeawallBuilder<'a> {
    /// The policy file but for its `[service]` section.
    pub fn policy(mut self, text: &str) -> Self {
        self.policy = text.to_owned();
        self
    }

    /// New connections are dropped while Seawall is absent.
    pub fn lockdown(mut self) -> Self {
        self.mode = "lockdown";
        self
    }

    /// `iptables-nft`, `iptables-legacy` or `auto`.
    pub fn backend(mut self, name: &str) -> Self {
        self.backend = name.to_owned();
        self
    }

    /// Uses the folder of a Seawall that was stopped: its state and its policy file's place.
    pub fn folder(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs this file instead of the program under test.
    pub fn program(mut self, path: PathBuf) -> Self {
        self.program = Some(path);
        self
    }

    /// Its state lies on a file system of its own, of that size, in a mount namespace of its own.
    pub fn state_bytes(mut self, bytes: u64) -> Self {
        self.state_bytes = Some(bytes);
        self
    }

    /// As if the machine had been started again: what says so to Seawall is a file of the test's in
    /// place of the kernel's, in a mount namespace of its own.
    pub fn after_mock_reboot(mut self) -> Self {
        self.is_rebooted = true;
        self
    }

    /// The program, on a file system of its own for the state, or in another run of the machine,
    /// where that is wanted.
    fn command(&self, program: &Path, state: &Path) -> Command {
        let mut command = self.host.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-euc"]);
        match self.state_bytes {
            Some(bytes) => {
                command.args([ON_OWN_FILE_SYSTEM, "sh"]).arg(state).arg(bytes.to_string());
            }
            None if self.is_rebooted => {
                let boot_id = state.with_file_name("boot_id");
                std::fs::write(&boot_id, "3e1f2a60-0000-4000-8000-0fcbee07bad8\n")
                    .unwrap_or_else(|error| panic!("can't write {}: {error}", boot_id.display()));
                command.args([IN_ANOTHER_BOOT, "sh"]).arg(boot_id);
            }
            None => return self.host.command(&program.to_string_lossy()),
        }
        command.arg(program);
        command
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// With its log, when it does not become ready.
    pub fn start(self) -> Seawall<'a> {
        match self.try_start() {
            Ok((seawall, _)) => seawall,
            Err((finished, _)) => panic!(
                "Seawall did not start ({:?}):\n{}\n{}",
                finished.code, finished.stdout, finished.stderr
            ),
        }
    }

    /// Starts it. Gives it with the lines it printed up to `seawall: ready`, or
    /// how it ended, with its folder.
    pub fn try_start(mut self) -> Result<(Seawall<'a>, Vec<String>), (Finished, TempDir)> {
        let folder = self.folder.take().unwrap_or_else(|| {
            TempDir::with_prefix("seawall-lab-")
                .unwrap_or_else(|error| panic!("can't make a temporary folder: {error}"))
        });
        let service =
            format!("\n[service]\nmode = \"{}\"\nbackend = \"{}\"\n", self.mode, self.backend);
        write_policy(folder.path(), &(self.policy.clone() + &service));
        let program = self.program.clone().unwrap_or_else(binary);
        let state = folder.path().join("state");
        let mut command = self.command(&program, &state);
        command
            .arg("run")
            .arg("--config")
            .arg(folder.path().join("seawall.toml"))
            .arg("--state-dir")
            .arg(state)
            .arg("--run-dir")
            .arg(folder.path().join("run"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("LISTEN_FDS")
            .envs(self.environment);
        let begun = Instant::now();
        let mut keeper = Running::start(&mut command);
        let mut lines = Vec::new();
        while let Some(line) = keeper.line(patient(START).saturating_sub(begun.elapsed())) {
            let ready = line.trim() == "seawall: ready";
            lines.push(line);
            if ready {
                let took = begun.elapsed();
                let mut seawall = Seawall {
                    host: self.host,
                    folder: Some(folder),
                    keeper,
                    worker: None,
                    service,
                    took,
                };
                seawall.note_worker();
                return Ok((seawall, lines));
            }
        }
        let status = keeper.wait(patient(START).saturating_sub(begun.elapsed()));
        if status.is_some() {
            keeper.read_stderr_to_its_end();
        }
        let (code, stderr) = (status.and_then(|status| status.code()), keeper.stderr());
        Err((Finished { code, stdout: lines.join("\n"), stderr }, folder))
    }
}

impl<'a> Seawall<'a> {
    /// Will run on this host: permits everything, open mode, back-end of its own choice.
    pub fn on(host: &'a Host) -> SeawallBuilder<'a> {
        SeawallBuilder {
            host,
            policy: String::new(),
            mode: "open",
            backend: "auto".to_owned(),
            folder: None,
            environment: Vec::new(),
            program: None,
            state_bytes: None,
            is_rebooted: false,
        }
    }

    /// The host it runs on.
    pub fn host(&self) -> &'a Host {
        self.host
    }

    /// From its start to `seawall: ready`.
    pub fn start_took(&self) -> Duration {
        self.took
    }

    /// Process id of the keeper.
    pub fn keeper_pid(&self) -> u32 {
        self.keeper.pid()
    }

    /// Process id of the worker, as it says itself.
    pub fn worker_pid(&self) -> u32 {
        self.components().worker_pid
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.keeper.stderr()
    }

    /// Folder of its state, its socket and its policy file.
    pub fn path(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// The folder that clients are given.
    pub fn run_dir(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The folder of its state, as Seawall itself sees it: it may have mounts of its own.
    pub fn state_folder(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper_pid());
        Path::new(&root).join(self.path().strip_prefix("/").unwrap_or(Path::new(""))).join("state")
    }

    /// The policy file.
    pub fn policy_file(&self) -> PathBuf {
        self.path().join("seawall.toml")
    }

    /// Replaces the policy file, but for its `[service]` section, as an editor
    /// would. Seawall sees that by itself.
    pub fn write_policy(&self, text: &str) {
        write_policy(self.path(), &(text.to_owned() + &self.service));
    }

    /// Replaces the policy and waits until it is in force. Panics when it is refused.
    #[track_caller]
    pub fn set_policy(&self, text: &str) {
        self.write_policy(text);
        let answer = self.verb(&["reload"]);
        assert_eq!(answer.code, Some(0), "reload was refused: {}{}", answer.stdout, answer.stderr);
    }

    /// Ends the worker without warning, and gives its process id.
    pub fn kill_worker(&mut self) -> u32 {
        let pid = self.worker_pid();
        kill(pid, Signal::KILL);
        pid
    }

    /// Ends the keeper without warning.
    pub fn kill_keeper(&mut self) {
        self.note_worker();
        self.keeper.signal(Signal::KILL);
        self.keeper.wait(patient(STOP));
    }

    /// Waits until another worker than `old` answers, with every component running.
    pub fn wait_for_successor(&mut self, old: u32, within: Duration) -> Option<u32> {
        let found = until(within, || {
            let components = self.try_components()?;
            (components.worker_pid != old && verbs::all_run(&components))
                .then_some(components.worker_pid)
        });
        self.note_worker();
        found
    }

    /// Stops it in order. Gives its exit code and its folder.
    ///
    /// # Panics
    /// When it does not end within 15 s.
    pub fn stop(mut self) -> (Option<i32>, Option<TempDir>) {
        self.note_worker();
        self.keeper.signal(Signal::TERM);
        let status = self.keeper.wait(patient(STOP));
        let Some(status) = status else { panic!("Seawall did not stop in time:\n{}", self.log()) };
        (status.code(), self.folder.take())
    }

    /// Gives the folder of one whose keeper is dead. Nobody is asked anything:
    /// where a service manager keeps the API's listener, nobody would answer.
    pub fn leave_behind(mut self) -> Option<TempDir> {
        self.folder.take()
    }

    /// How the keeper ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.keeper.poll()
    }

    /// Memory of both processes in KiB, shared pages in proportion.
    pub fn pss_kib(&self) -> u64 {
        self.both(vitals::pss_kib).into_iter().sum()
    }

    /// CPU time of both processes so far, of the threads that live.
    pub fn cpu_time(&self) -> Duration {
        self.both(vitals::cpu_time).into_iter().sum()
    }

    /// Open descriptors of both processes.
    pub fn descriptors(&self) -> usize {
        self.both(vitals::descriptors).into_iter().sum()
    }

    fn both<T>(&self, measure: impl Fn(u32) -> Option<T>) -> Vec<T> {
        [self.keeper_pid(), self.worker_pid()]
            .into_iter()
            .map(|pid| measure(pid).unwrap_or_else(|| panic!("process {pid} can't be measured")))
            .collect()
    }

    fn note_worker(&mut self) {
        if let Some(components) = self.try_components() {
            self.worker = Some(components.worker_pid);
        }
    }
}

impl Drop for Seawall<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let filters = run(&mut self.host.command("iptables-nft-save")).stdout
                + &run(&mut self.host.command("iptables-legacy-save")).stdout;
            let queues =
                run(self.host.command("cat").arg("/proc/net/netfilter/nfnetlink_queue")).stdout;
            let log = self.log();
            print_for_failure(&format!(
                "--- rules:\n{filters}\n--- queues:\n{queues}\n--- log:\n{log}"
            ));
        }
        self.keeper.signal(Signal::TERM);
        if self.keeper.wait(patient(STOP)).is_none() {
            self.keeper.signal(Signal::KILL);
            self.keeper.wait(patient(STOP));
        }
        if let Some(pid) = self.worker
            && is_ours(pid)
            && until(Duration::from_secs(5), || (!vitals::alive(pid)).then_some(())).is_none()
        {
            kill(pid, Signal::KILL);
        }
    }
}

/// A program id may have been used again: only a process of the program under test is ended.
fn is_ours(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seawall"))
    })
}

fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, signal);
    }
}

/// Writes beside and renames, so that no reader sees half a file.
fn write_policy(folder: &Path, text: &str) {
    let (beside, file) = (folder.join("seawall.toml.new"), folder.join("seawall.toml"));
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, &file))
        .unwrap_or_else(|error| panic!("can't write {}: {error}", file.display()));
}

/// The program's command line, for verbs without a running Seawall.
pub fn command(host: &Host, arguments: &[&str]) -> Finished {
    let mut command: Command = host.command(&binary().to_string_lossy());
    run(command.args(arguments))
}
