//! Programs that come to be by a fork without an exec: a copy of python3 does that, which stays.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use lab::oneshot::{Deed, Done};
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

const SCRIPT: &str = include_str!("forker.py");

/// A process that forks when told. Ended when dropped.
pub(crate) struct Forker {
    child: Child,
    orders: ChildStdin,
    lines: BufReader<ChildStdout>,
    path: PathBuf,
}

/// Makes this process the parent of orphans below it. Else thousands of them
/// would wait for a first process that, in a container, may wait for nobody.
pub(crate) fn adopt_orphans() -> anyhow::Result<()> {
    set_child_subreaper(Some(getpid())).context("adopting orphans")
}

impl Forker {
    pub(crate) fn start(path: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(path)
            .args(["-S", "-s", "-B", "-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", path.display()))?;
        let orders = child.stdin.take().context("its input")?;
        let lines = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Self { child, orders, lines, path: path.to_path_buf() })
    }

    /// The file of the programs that it forks.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Has one program more do its deed, and waits until it is gone.
    pub(crate) fn shoot(&mut self, deed: Deed, to: SocketAddr) -> anyhow::Result<Done> {
        writeln!(self.orders, "{} {} {}", deed.as_str(), to.ip(), to.port())
            .context("ordering a fork")?;
        let mut shot = None;
        let mut parent_gone = false;
        while shot.is_none() || !parent_gone {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).context("reading of a fork")?;
            anyhow::ensure!(length > 0, "{} has ended", self.path.display());
            match line.strip_prefix("shot ").and_then(|rest| rest.split_once(' ')) {
                Some((pid, done)) => {
                    let pid = pid.parse().ok().and_then(Pid::from_raw).context("its process id")?;
                    shot = Some((pid, done.parse::<Done>().map_err(anyhow::Error::msg)?));
                }
                None => parent_gone = true,
            }
        }
        let (pid, done) = shot.context("a fork")?;
        waitpid(Some(pid), WaitOptions::empty()).context("waiting for an orphan")?;
        Ok(done)
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
