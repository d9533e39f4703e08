//! What is shown: `seawall monitor` where it exists and somebody watches, else
//! the verbs, every few seconds.

use std::io::IsTerminal as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lab::seawall::{Seawall, binary};
use lab::{Neighbourhood, run};
use seawall_platform::linux::signals::SignalFd;

use crate::cast::Playing;
use crate::output;
use crate::stage::{NEIGHBOUR, SHOP, TRACKER};

/// Between two looks, without a monitor.
const EVERY: Duration = Duration::from_secs(3);
/// Between two looks at signals and at the monitor's end.
const SOON: Duration = Duration::from_millis(100);
/// Connections shown at a time.
const SHOWN: &str = "12";

/// The demo, ready to be watched.
pub(crate) struct Show<'a> {
    pub(crate) place: &'a Neighbourhood,
    pub(crate) seawall: &'a Seawall<'a>,
    pub(crate) signals: &'a SignalFd,
}

impl Show<'_> {
    /// What there is to see, and what to try.
    pub(crate) fn explain(&self) {
        let inside = format!("sudo ip netns exec {}", self.place.desktop().namespace());
        let neighbour =
            format!("sudo ip netns exec {}", self.place.neighbour(NEIGHBOUR).namespace());
        let program = binary();
        let program = std::path::absolute(&program).unwrap_or(program);
        let seawall = program.display();
        let run_dir = self.seawall.run_dir();
        let run_dir = run_dir.display();
        let policy = self.seawall.policy_file();
        let (shop, tracker) = (self.place.site(SHOP), self.place.site(TRACKER));
        let [shop, tracker] = [shop, tracker].map(|site| site.at(lab::Family::V4, 80).to_string());
        let desktop = Neighbourhood::desktop_address(lab::Family::V4);
        output::line(format_args!(
            "\n\
             Seawall guards the desktop, on which these programs run:\n\
             \x20 browser      opens pages of two sites: permitted\n\
             \x20 download     downloads a large file: permitted\n\
             \x20 backup       may talk to the LAN alone: its copy to the Internet is refused\n\
             \x20 telemetry    calls {TRACKER}, to which nobody may talk: refused\n\
             \x20 file-share   listens; the noisy neighbour scans the desktop and is not answered\n\
             \n\
             To try, in another terminal:\n\
             \x20 sudo {seawall} status --run-dir {run_dir}\n\
             \x20 sudo {seawall} ps --run-dir {run_dir}\n\
             \x20 sudo {seawall} connections --run-dir {run_dir}\n\
             \x20 sudo {seawall} components --run-dir {run_dir}\n\
             \x20 {inside} curl http://{shop}/       a page\n\
             \x20 {inside} curl http://{tracker}/       the tracker: refused\n\
             \x20 {neighbour} curl -m 3 http://{desktop}:8080/   as the neighbour: no answer\n\
             \x20 sudo kill -9 {}       kill the worker: a successor takes over, nothing breaks\n\
             \x20 sudo nano {}       change the policy: it is in force as soon as it is saved\n\
             \n\
             Nothing leaves this machine, and all is gone in the end: q or Ctrl-C.\n",
            self.seawall.worker_pid(),
            policy.display(),
        ));
    }

    /// Shows until somebody ends it, or the time is over.
    pub(crate) fn run(
        &self,
        cast: &mut Playing,
        plain: bool,
        seconds: Option<u64>,
    ) -> anyhow::Result<()> {
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let watched = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if watched && !plain && self.has_monitor() {
            self.monitor(cast, end)
        } else {
            self.print_again_and_again(cast, end)
        }
    }

    fn has_monitor(&self) -> bool {
        let binary = binary();
        run(self.place.desktop().command(&binary.to_string_lossy()).args(["monitor", "--help"]))
            .ok()
    }

    fn monitor(&self, cast: &mut Playing, end: Option<Instant>) -> anyhow::Result<()> {
        let binary = binary();
        let mut command = self.place.desktop().command(&binary.to_string_lossy());
        command.arg("monitor").arg("--run-dir").arg(self.seawall.run_dir());
        let monitor = command
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting seawall monitor")?;
        let mut monitor = Ending(monitor);
        while monitor.0.try_wait().context("waiting for seawall monitor")?.is_none()
            && !self.is_over(end)?
        {
            cast.listen();
            std::thread::sleep(SOON);
        }
        Ok(())
    }

    fn print_again_and_again(
        &self,
        cast: &mut Playing,
        end: Option<Instant>,
    ) -> anyhow::Result<()> {
        let mut next = Instant::now() + EVERY;
        loop {
            if self.is_over(end)? {
                self.print(cast);
                return Ok(());
            }
            if next <= Instant::now() {
                self.print(cast);
                next = Instant::now() + EVERY;
            }
            std::thread::sleep(SOON);
        }
    }

    fn is_over(&self, end: Option<Instant>) -> anyhow::Result<bool> {
        let told = self.signals.next().context("taking a signal")?.is_some();
        Ok(told || end.is_some_and(|end| end <= Instant::now()))
    }

    fn print(&self, cast: &mut Playing) {
        for verb in [&["status"][..], &["ps", "--all"], &["connections", "--limit", SHOWN]] {
            let answer = self.seawall.verb(verb);
            output::line(format_args!(
                "$ seawall {}\n{}{}",
                verb.join(" "),
                answer.stdout,
                answer.stderr
            ));
        }
        output::line(format_args!("What programs saw:\n  {}\n", cast.accounts().join("\n  ")));
    }
}

/// A program that is ended, and awaited, with this.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        if let (Ok(None), Some(pid)) =
            (self.0.try_wait(), rustix::process::Pid::from_raw(self.0.id() as i32))
        {
            // Politely, so that it gives the terminal back as it was.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        // It was just told to end, or has.
        let _ = self.0.wait();
    }
}
